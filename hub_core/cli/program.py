"""The program: its commands, and how an error becomes one line and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from hub_core.cli import answering, converting, modules, system, training
from hub_core.errors import HubError


def build() -> typer.Typer:
    """All commands, those of plugins included."""
    app = typer.Typer(
        name="hub",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
        help="A hub of pre-trained language models: list, install, run, train, evaluate and convert them.",
    )

    @app.callback()
    def options(
        debug: Annotated[bool, typer.Option("--debug", help="Show the whole traceback of an error.")] = False,
    ) -> None:
        """A hub of pre-trained language models: list, install, run, train, evaluate and convert them."""

    for group in (modules, answering, training, converting, system):
        group.add_to(app)
    _add_plugin_commands(app)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code: 0, 1 (an error), 2 (wrong usage), 130 (Ctrl-C), 143 (SIGTERM)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        build()(given, prog_name="hub")
    except SystemExit as done:  # how typer ends, wrong usage and Ctrl-C included
        return done.code if isinstance(done.code, int) else 0
    except (HubError, OSError) as error:
        if "--debug" in given:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _add_plugin_commands(app: typer.Typer) -> None:
    """Let installed plugins add commands; a plugin that fails is named and does no other harm."""
    from hub_core.plugins import manager

    plugins = manager()
    for implementation in plugins.hook.hub_commands.get_hookimpls():
        try:
            implementation.function(cli=app)
        except Exception as error:  # noqa: BLE001  (a plugin is other people's code)
            name = implementation.plugin_name
            print(f"warning: plugin {name} could not add its commands: {error}", file=sys.stderr)
