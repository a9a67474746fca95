"""What every command is: a click command with examples on its help page, near matches, and ``--debug``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import click

from hub_core.errors import unknown

#: What all commands have in common: options may be written with ``_`` for ``-``, and help shows defaults.
CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 110,
    "show_default": True,
    "token_normalize_func": lambda token: token.replace("_", "-"),
}
_DEBUG = "hub_core.debug"
#: What the program is called, and the variable by which a shell asks it for completions (click derives it so).
PROGRAM, COMPLETION_VARIABLE = "hub", "_HUB_COMPLETE"


class Command(click.Command):
    """A command of the hub. `examples` are whole command lines, shown at the end of its help page."""

    def __init__(self, *args: Any, examples: Sequence[str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.examples = tuple(examples)
        self.params.append(debug_option())

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the examples, each on a line of its own however long it is."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(" " * formatter.current_indent + example + "\n")


class Group(click.Group):
    """A command with subcommands; a mistyped one is answered with near matches.

    `elsewhere`: what takes the place of commands that others have.
    """

    elsewhere: ClassVar[Mapping[str, str]] = {}

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand. Raises click.UsageError with near matches and the known ones."""
        # The underscores are for options; `hub show_` is no command.
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-") and not ctx.resilient_parsing:
            instead = self.elsewhere.get(args[0])
            ctx.fail(instead or unknown("command", args[0], self.list_commands(ctx)))
        return super().resolve_command(ctx, args)


def command(name: str, *, examples: Sequence[str]) -> Callable[[Callable[..., None]], Command]:
    """Make a function a command of this name; its docstring is the help text."""
    return click.command(name, cls=Command, examples=examples)


def debug_option() -> click.Option:
    """``--debug``, which stands before or after the command."""
    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        callback=_remember,
        help="Show the whole traceback of an error.",
    )


def is_debug(ctx: click.Context) -> bool:
    """Whether ``--debug`` was given anywhere."""
    return bool(ctx.meta.get(_DEBUG))


def _remember(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: ARG001
    if value:
        ctx.meta[_DEBUG] = True  # shared by the contexts of all nested commands
