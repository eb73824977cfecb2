"""Decide whether the fields of a label column are classes: one each, several, none, or numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from foveate.errors import DataError
from foveate.formats._shared.layout import printable
from foveate.formats._shared.tables.several_labels import several_labels
from foveate.wording import count_noun

Labels = list[tuple[int, str]]
"""The line and the label of each row."""

_MISSING = frozenset({"nan", "na", "n/a", "#n/a", "#na", "<na>", "null"})
_LISTS = re.compile(r"\[(.*)\]|\((.*)\)|\{(.*)\}", re.DOTALL)
_SEPARATORS = {
    "|": "bars",
    ";": "semicolons",
    ",": "commas",
    "+": "plus signs",
    "&": "ampersands",
    "/": "slashes",
    " ": "spaces",
}
_FLAGS = {
    **dict.fromkeys(("1", "1.0", "true", "yes"), True),
    **dict.fromkeys(("0", "0.0", "-1", "-1.0", "false", "no"), False),
}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_FEW_VALUES = 20  # so many numbers may be classes, however few rows there are
_FEW_UNNAMED = 10  # the same for a column that no heading calls a label


def checked(
    labels: Labels, heading: str, table: Path, *, is_named: bool = True
) -> tuple[list[str], list[str]]:
    """Return the class of each row, and notes on what was decided about the fields.

    Args:
        labels: The fields with their lines.
        heading: The heading of their column.
        table: The table, for messages.
        is_named: Whether the heading says that these are labels; many numbers then may be classes.

    Raises:
        DataError: If a label is missing, if rows have several labels, or if the labels are
            measurements; the error names the first such line.
    """
    for line, label in labels:
        if not label.strip():
            raise DataError("a label is expected, got nothing", where=table, line=line)
        if label.strip().casefold() in _MISSING:
            raise _missing(label, line, labels, table)
    notes: list[str] = []
    values = [label for _, label in labels]
    values = _without_brackets(values, labels, table, notes)
    if values and all(NUMBER.fullmatch(value.strip()) for value in set(values)):
        values = _whole_numbers(values, labels, heading, table, notes, is_named=is_named)
    else:
        notes += _one_label_each(values, labels, table)
    if any(value.strip().casefold() == "none" for value in set(values)):
        notes.append("'none' is read as a class, since it is written like one")
    return values, notes


def _missing(label: str, line: int, labels: Labels, table: Path) -> DataError:
    count = sum(one == label for _, one in labels)
    rows = count_noun(count, "row has", "rows have")
    return DataError(
        f"a label is expected, got {label.strip()!r}, which stands for a missing value ({rows} it)",
        where=table,
        line=line,
        remedy="Write the label or remove the row. If it is the name of a class, spell it out.",
    )


def _without_brackets(
    values: list[str], labels: Labels, table: Path, notes: list[str]
) -> list[str]:
    """Return the only entry of each field that is a list of one: "['cat']" gives "cat"."""
    matches = {value: _LISTS.fullmatch(value.strip()) for value in set(values)}
    if not values or not all(matches.values()):
        return values
    inner: dict[str, list[str]] = {}
    for value, match in matches.items():
        text = next(group for group in match.groups() if group is not None) if match else ""
        inner[value] = [entry.strip().strip("'\"") for entry in text.split(",") if entry.strip()]
    for line, label in labels:
        if len(inner[label]) != 1 or not inner[label][0]:
            raise several_labels(
                f"a list of {len(inner[label])} labels in {label[:100]!r}", table, line
            )
    first = values[0]
    notes.append(f"lists of one label are read as that label: {first!r} is {inner[first][0]!r}")
    return [inner[value][0] for value in values]


def _whole_numbers(
    values: list[str],
    labels: Labels,
    heading: str,
    table: Path,
    notes: list[str],
    *,
    is_named: bool,
) -> list[str]:
    """Return numbers as class names, 1.0 as 1; refuse measurements."""
    distinct = {value: float(value) for value in set(values)}
    broken = [value for value, number in distinct.items() if number != number // 1]
    many = len(distinct) > (max(_FEW_VALUES, len(values) // 2) if is_named else _FEW_UNNAMED)
    if broken or many:
        line, label = next((n, v) for n, v in labels if many or v in broken)
        raise DataError(
            f"classes are expected in the column {heading!r}, got numbers such as "
            f"{label.strip()!r} ({count_noun(len(distinct), 'different number')} in "
            f"{count_noun(len(values), 'row')})",
            where=table,
            line=line,
            remedy="foveate has no task that predicts a number: write the name of a range for each "
            "(such as low, middle and high). If "
            f"{'another' if is_named or broken else 'this'} column holds the classes, name it "
            "'label'.",
        )
    _refuse_other_zeros(distinct, labels, heading, table)
    if not any("." in value or "e" in value.casefold() for value in distinct):
        return values
    notes.append(
        f"whole numbers are read as such: {values[0].strip()!r} is '{int(distinct[values[0]])}'"
    )
    return [str(int(distinct[value])) for value in values]


def _refuse_other_zeros(
    numbers: dict[str, float], labels: Labels, heading: str, table: Path
) -> None:
    """Raise DataError if one number is written with zeros before it and without: 01 and 1."""
    whole = {value.strip() for value in numbers if value.strip().isdecimal()}
    for line, label in labels:
        short = label.strip().lstrip("0") or "0"
        if label.strip() in whole and label.strip() != short and short in whole:
            raise DataError(
                f"one way of writing each class is expected in the column {heading!r}, got "
                f"{label.strip()!r} and {short!r}, which may be the same",
                where=table,
                line=line,
                remedy="Spreadsheets leave out zeros at the beginning: write both in one way, or, "
                "if they are two classes, put a letter before the numbers.",
            )


def _one_label_each(values: list[str], labels: Labels, table: Path) -> list[str]:
    """Return notes on labels with separators that are one class each; refuse several labels."""
    distinct = dict.fromkeys(values)
    notes: list[str] = []
    noted: set[str] = set()
    for separator, name in _SEPARATORS.items():
        split = {value: _tokens(value, separator) for value in distinct}
        joined = [value for value in distinct if len(split[value]) > 1]
        if not joined:
            continue
        if evidence := _evidence_of_several(split, joined, separator):
            line = next(line for line, label in labels if label in joined)
            raise several_labels(
                f"{joined[0]!r}, whose {name} separate labels: {evidence}",
                table,
                line,
                "If the whole text is the name of one class, write it with hyphens.",
            )
        if new := [value for value in joined if value not in noted]:
            number = count_noun(len(new), "label")
            notes.append(
                f"{number} with {name}, read as one class each, since their words are not labels "
                f"by themselves (such as {printable(new[0])!r})"
            )
        noted.update(joined)
    return notes


def _tokens(value: str, separator: str) -> tuple[str, ...]:
    return tuple(token.strip() for token in value.strip().split(separator) if token.strip())


def _evidence_of_several(
    split: dict[str, tuple[str, ...]], joined: list[str], separator: str
) -> str | None:
    """Return why the tokens of labels are labels themselves, or None if nothing says so."""
    alone = {tokens[0] for tokens in split.values() if len(tokens) == 1}
    sets = [frozenset(split[value]) for value in joined]
    by_set: dict[frozenset[str], str] = {}
    for value, tokens in zip(joined, sets, strict=True):
        if by_set.setdefault(tokens, value) != value and len(tokens) > 1:
            return f"{by_set[tokens]!r} and {value!r} are the same in another order"
    counts = Counter(token for tokens in sets for token in tokens)
    if all(token in alone for token in counts):
        return f"each of them is a label of other rows, too ({_listed(counts)})"
    if any(len(tokens) < len(split[value]) for value, tokens in zip(joined, sets, strict=True)):
        return None  # a word twice in one label: "New York, New York"
    shared = [token for token in counts if token in alone or counts[token] > 1]
    if separator in "|;" and len(shared) > len(counts) / 2:
        return f"most of them are in other rows, too ({_listed(shared)})"
    # With many combinations of few words, some within others, the words are what is labelled.
    everything = {*sets, *(frozenset(tokens) for tokens in split.values())}
    nested = any(one < other for one in everything for other in sets) if len(sets) < 2000 else True
    if nested and len(everything) > len(counts.keys() | alone) and len(shared) == len(counts):
        return f"{len(everything)} combinations of {len(counts.keys() | alone)} words occur"
    return None


def _listed(tokens: Iterable[str]) -> str:
    names = sorted(tokens)
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def is_flag(field: str) -> bool | None:
    """Return whether a field says yes, as 1 or true, None if it says neither yes nor no."""
    return _FLAGS.get(field.strip().casefold())
