import json

import pytest

from foveate.errors import RunError
from foveate.metrics.ledger import Ledger


def test_it_only_grows(tmp_path):
    ledger = Ledger(tmp_path / "test_ledger.json")
    assert ledger.entries == []
    assert ledger.find("a") is None
    first = ledger.record("a", {"accuracy": 0.5})
    ledger.record("b", {"accuracy": 0.6})
    assert [entry.weights for entry in ledger.entries] == ["a", "b"]
    assert ledger.find("a") == first
    assert first.when.endswith("+00:00")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"entries": [{"when": 1}]}', '{"entries": 3}', "null"]
)
def test_a_damaged_ledger_is_refused_and_not_overwritten(tmp_path, text):
    path = tmp_path / "test_ledger.json"
    path.write_text(text)
    for use in (lambda: Ledger(path).entries, lambda: Ledger(path).record("a", {})):
        with pytest.raises(RunError, match="damaged"):
            use()
    assert path.read_text() == text


def test_strange_metrics_are_kept_as_json(tmp_path):
    ledger = Ledger(tmp_path / "test_ledger.json")
    ledger.record("a", {"x": float("nan")})
    assert json.loads(ledger.path.read_text())["entries"][0]["result"] == {"x": None}
