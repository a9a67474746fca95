"""What shells complete: names of modules, and of commands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class ModuleName(click.ParamType):  # type: ignore[type-arg] # generic since click 8.4
    """A module as users name it; shells complete names, and paths where nothing of that name is known.

    `installed`: only what is installed, and could be removed, is completed.
    """

    name = "module"

    def __init__(self, *, installed: bool = False) -> None:
        self.installed = installed

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem[str]]:
        """The names that begin so; a path where there are none."""
        from click.shell_completion import CompletionItem

        names = _installed() if self.installed else _known()
        found = sorted({name for name in names if name.startswith(incomplete)}, key=str.lower)
        if not found and not self.installed:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(name) for name in found]


def complete_command(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem[str]]:
    """The commands, or the subcommands of those named so far."""
    from click.shell_completion import CompletionItem

    at = ctx.find_root().command
    for name in ctx.params.get("path") or ():
        found = at.get_command(ctx, name) if isinstance(at, click.Group) else None
        if found is None:
            return []
        at = found
    names = at.list_commands(ctx) if isinstance(at, click.Group) else []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _installed() -> Iterable[str]:
    from hub_core.store import Store

    return (item.spec.name for item in Store().installed() if not item.bundled)


def _known() -> Iterable[str]:
    from hub_core.registry import bundled_registry
    from hub_core.store import Store

    yield from (item.spec.name for item in Store().installed())
    yield from (spec.name for spec in bundled_registry().search(()))
