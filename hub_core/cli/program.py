"""The program: its commands, each imported when it is asked for, and how an error becomes one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from io import TextIOWrapper
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
from click.exceptions import Exit, NoArgsIsHelpError, NoSuchOption

from hub_core.cli.command import COMPLETION_VARIABLE, CONTEXT, PROGRAM, Group, debug_option, is_debug
from hub_core.cli.output import note, plain_notes
from hub_core.errors import HubError
from hub_core.user_config import log_level
from hub_core.version import __version__

#: The commands as the help page has them: section -> name -> where the command is.
COMMANDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "Modules": {
            "list": "hub_core.cli.modules:list_modules",
            "search": "hub_core.cli.modules:search",
            "show": "hub_core.cli.modules:show",
            "install": "hub_core.cli.modules:install",
            "download": "hub_core.cli.modules:download",
            "uninstall": "hub_core.cli.modules:uninstall",
        },
        "Answers": {
            "run": "hub_core.cli.answering:run",
            "predict": "hub_core.cli.answering:predict",
            "evaluate": "hub_core.cli.evaluating:evaluate",
            "compare": "hub_core.cli.evaluating:compare",
        },
        "Making modules": {
            "train": "hub_core.cli.training:train",
            "tune": "hub_core.cli.tuning:tune",
            "pretrain": "hub_core.cli.pretraining:pretrain",
            "convert": "hub_core.cli.converting:convert",
            "export": "hub_core.cli.exporting:export",
            "combine": "hub_core.cli.deriving:combine",
            "calibrate": "hub_core.cli.deriving:calibrate",
        },
        "Data": {
            "data": "hub_core.cli.data:data",
            "corpus": "hub_core.cli.corpora:corpus",
        },
        "This program": {
            "help": "hub_core.cli.system:show_help",
            "doctor": "hub_core.cli.examining:doctor",
            "config": "hub_core.cli.configuring:config",
            "clear": "hub_core.cli.system:clear",
            "plugins": "hub_core.cli.system:plugins",
            "completion": "hub_core.cli.system:completion",
            "version": "hub_core.cli.system:show_version",
        },
    }
)
_TARGETS: Mapping[str, str] = MappingProxyType({name: at for part in COMMANDS.values() for name, at in part.items()})

FAILED = 1
INTERRUPTED = 130  # what shells make of SIGINT


class Program(Group):
    """``hub``: finds its commands by name, imports only what runs, and words errors."""

    elsewhere = {"serving": "there is no 'serving' yet; `hub predict` answers the rows of a file"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__(
            PROGRAM,
            help="A hub of pre-trained language models: list, install, run, train, evaluate and convert them.",
            epilog="`hub COMMAND --help` says more about a command, with examples.",
            context_settings=CONTEXT,
            params=[debug_option()],
        )
        click.version_option(__version__, prog_name="hub_core")(self)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names of all commands, those of plugins last."""
        return [*_TARGETS, *self._plugin_commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """A command by name; plugins are loaded only for one that is not the hub's own."""
        if cmd_name not in _TARGETS:
            return self._plugin_commands.get(cmd_name)
        module, _, attribute = _TARGETS[cmd_name].partition(":")
        loaded: click.Command = getattr(importlib.import_module(module), attribute)
        return loaded

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section, each with the first sentence of its help."""
        sections = {**COMMANDS, "From plugins": self._plugin_commands}
        width = max(map(len, self.list_commands(ctx)))
        for title, names in sections.items():
            found = [(name, self.get_command(ctx, name)) for name in names]
            rows = [(name.ljust(width), command.get_short_help_str(80)) for name, command in found if command]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. What the user can mend becomes ``error: ...`` and exit code 1."""
        try:
            super().invoke(ctx)
            sys.stdout.flush()  # here, so that a full disk is an error like any other
        except (click.ClickException, click.Abort, Exit, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001  (what nobody foresaw is told in one line too)
            if is_debug(ctx):
                error.__suppress_context__ = False
                traceback.print_exc()
            note(f"error: {_worded(error)}")
            ctx.exit(FAILED)

    @cached_property
    def _plugin_commands(self) -> Mapping[str, click.Command]:
        """What installed plugins add; a plugin that fails, or takes a name that is taken, is named and passed over."""
        from hub_core.plugins import manager

        found: dict[str, click.Command] = {}
        for implementation in manager().hook.hub_commands.get_hookimpls():
            own, plugin = click.Group(), implementation.plugin_name
            try:
                implementation.function(cli=own)
            except Exception as error:  # noqa: BLE001  (a plugin is other people's code)
                _warn(f"plugin {plugin} could not add its commands: {type(error).__name__}: {error}")
            for name in sorted(own.commands.keys() & (_TARGETS.keys() | found.keys())):
                _warn(f"plugin {plugin}: there is a command {name!r} already; this one is passed over")
                del own.commands[name]
            found |= own.commands
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code.

    0: done; 1: an error, told as ``error: ...`` on stderr (the traceback with ``--debug``); 2: wrong usage; 130:
    Ctrl-C; 143: SIGTERM while training, which saves first. `arguments` are those after the program's name (default:
    this process's).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what the terminal's encoding lacks is shown as \uXXXX
            stream.reconfigure(errors="backslashreplace")
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except OSError:  # it was told; the interpreter would try again at its end, and tell it in its own way
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return code


def _run(arguments: Sequence[str] | None) -> int:
    with plain_notes(_kept_level()):
        try:
            result = Program().main(arguments, prog_name=PROGRAM, standalone_mode=False)
        except NoArgsIsHelpError as error:
            error.show()
            return error.exit_code
        except click.UsageError as error:
            return _wrong_usage(error)
        except click.ClickException as error:
            note(f"error: {error.format_message()}")
            return error.exit_code
        except (HubError, OSError) as error:  # what goes wrong before a command runs, such as help on a full disk
            note(f"error: {_worded(error)}")
            return FAILED
        except click.Abort:
            note("interrupted")
            return INTERRUPTED
        except SystemExit as done:  # SIGTERM while training, and a reader who has read enough (`hub list | head -1`)
            return done.code if isinstance(done.code, int) else FAILED
    return result if isinstance(result, int) else 0


def _warn(text: str) -> None:
    """Tell the user, but not while a shell asks for completions: that would be in the middle of a command line."""
    if COMPLETION_VARIABLE not in os.environ:
        note(f"warning: {text}")


def _kept_level() -> str | None:
    """How much is told, as `hub config` keeps it; a setting that cannot be understood keeps nothing from running."""
    try:
        return log_level()
    except HubError as error:
        _warn(str(error))
        return None


def _wrong_usage(error: click.UsageError) -> int:
    if isinstance(error, NoSuchOption) and error.ctx is not None:
        meant = " or ".join(map(repr, _meant(error.option_name.lstrip("-"), error.ctx)))
        error = click.UsageError(error.message + (f" Did you mean {meant}?" if meant else ""), error.ctx)
    note(f"error: {error.format_message()}")
    if error.ctx is not None:
        note(f"{error.ctx.get_usage()}\n`{error.ctx.command_path} --help` says more")
    return error.exit_code


def _meant(name: str, ctx: click.Context) -> list[str]:
    """The options that a name may be meant for: those it stands for by its letters (`lr`), else near matches."""
    known = [
        text.lstrip("-")
        for one in ctx.command.get_params(ctx)
        for text in (*one.opts, *one.secondary_opts)
        if "--" in text
    ]
    letters = [text for text in known if "".join(word[0] for word in text.split("-")) == name]
    return [f"--{text}" for text in letters or get_close_matches(name, known)]


def _worded(error: Exception) -> str:
    """The line for an error; one that nobody foresaw says so."""
    if isinstance(error, HubError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.strerror}: {error.filename}" if error.strerror and error.filename else str(error)
    return f"{type(error).__name__}: {error} (unforeseen; --debug shows where it comes from)"
