"""A plugin for hub_core. Whatever the hub may import at any time stands here; everything else is named by string."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub_core.hookspecs import hookimpl

_ENTRIES: Mapping[str, Mapping[str, str]] = {
    "family": {"swem": "hub_stars.swem:SwemFamily"},
    "task": {"rating": "hub_stars.rating:Rating"},
    "tokenizer": {"bigram": "hub_stars.bigrams:BigramTokenizer"},
}


@hookimpl
def hub_entries(kind: str) -> Mapping[str, str]:
    """The plugin's code of one kind, by name."""
    return _ENTRIES.get(kind, {})


@hookimpl
def hub_commands(cli: Any) -> None:
    """Add ``hub lengths``."""
    from hub_stars.lengths import lengths

    cli.add_command(lengths)
