"""The hooks through which code joins the hub. What core ships is registered through the same ones (builtins.py)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from hub_core.spec import ModuleSpec

PROJECT = "hub_core"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

#: What `hub_entries` is asked for.
KINDS = ("family", "tokenizer", "segmenter", "masking", "task", "dataset", "table", "report", "optimizer", "tracker")


@hookspec
def hub_entries(kind: str) -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Return the code of one kind by name: ``{"wordpiece": "hub_core.text.wordpiece:WordPieceTokenizer"}``.

    A value is the object itself or ``"package.module:Name"``, which is imported when the entry is first used.
    `kind` is one of `KINDS`; return ``{}`` for kinds you have nothing for.
    """


@hookspec
def hub_verify(spec: ModuleSpec, folder: Path) -> None:
    """Look at a staged module before it is installed; raise InstallError to refuse it."""


@hookspec
def hub_commands(cli: Any) -> None:
    """Add subcommands to the command line: `cli` is a `click.Group`, and what it is given becomes `hub NAME`.

    A name that the hub or another plugin has already is passed over with a warning.
    """
