import json

import pytest

from foveate.errors import RunError
from foveate.metrics.known_openings import Opening
from foveate.metrics.ledger import Ledger

ACCURACY = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
RESULT = {"metrics": {"accuracy": ACCURACY}, "baseline": {}, "lift": {}}


def test_an_opening_is_written_before_its_result_and_the_ledger_only_grows(tmp_path):
    ledger = Ledger(tmp_path / "test_ledger.json")
    assert ledger.entries == []
    assert ledger.find("a") is None
    earlier = [Opening("2026-01-01T00:00:00+00:00", "runs/other", "b", 12)]
    first = ledger.open("a", earlier)
    assert ledger.find("a") == first
    assert first.opened.endswith("+00:00")
    assert (first.completed, first.result, first.earlier) == (None, None, tuple(earlier))
    ledger.complete("a", RESULT)
    ledger.open("b")
    assert [(one.weights, one.result) for one in ledger.entries] == [("a", RESULT), ("b", None)]
    assert ledger.entries[0].completed is not None
    assert ledger.entries[0].earlier == tuple(earlier)


ENTRY = {
    "opened": "2026-01-01T00:00:00+00:00",
    "weights": "a",
    "earlier": [],
    "completed": None,
    "result": None,
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"entries": [{"when": 1}]}',
        '{"entries": 3}',
        "null",
        *(
            json.dumps({"entries": [{**ENTRY, **change}]})
            for change in (
                {"opened": "yesterday"},
                {"opened": 3},
                {"weights": None},
                {"completed": "2026-01-01T00:00:00+00:00"},
                {"result": {}},
                {"result": {"metrics": 3}, "completed": "2026-01-01T00:00:00+00:00"},
                {"earlier": [3]},
                {"more": 1},
            )
        ),
    ],
)
def test_a_damaged_ledger_is_refused_and_not_overwritten(tmp_path, text):
    path = tmp_path / "test_ledger.json"
    path.write_text(text)
    ledger = Ledger(path)
    for use in (lambda: ledger.entries, lambda: ledger.open("a")):
        with pytest.raises(RunError, match="damaged"):
            use()
    assert path.read_text() == text


def test_strange_metrics_are_kept_as_json(tmp_path):
    ledger = Ledger(tmp_path / "test_ledger.json")
    ledger.open("a")
    strange = {**ACCURACY, "value": float("nan")}
    ledger.complete("a", {**RESULT, "metrics": {"x": strange}})
    (entry,) = ledger.entries
    assert entry.result is not None
    assert entry.result["metrics"] == {"x": {**ACCURACY, "value": None}}
