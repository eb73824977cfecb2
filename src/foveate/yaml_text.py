"""YAML as foveate writes it: a few levels of lists and mappings."""

from __future__ import annotations

from typing import Any

import yaml

_MAX_DEPTH = 6  # the document, a setting, a list of lists
# libyaml's, where PyYAML was built with it: the settings of a long run are read ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_yaml(text: str) -> Any:
    """Parse YAML as foveate writes it: a few levels of lists and mappings, without anchors.

    A few lines of anchors can stand for billions of values.
    """
    depth = 0
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ValueError("anchors and aliases (& and *) are not expected")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth >= _MAX_DEPTH:
            raise ValueError(f"at most {_MAX_DEPTH} levels are expected")
    return yaml.load(text, _LOADER)
