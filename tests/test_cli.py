"""The program as a whole: help, wrong usage, errors, notes, plugins, and its own settings."""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
import tomllib
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
from command_line import ROOT, Hub, python

from hub_core import __main__, hookspecs, plugins
from hub_core.cli import program
from hub_core.cli.command import CONTEXT, Command
from hub_core.cli.output import download_progress, note, plain_notes, progress_bar
from hub_core.errors import HubError
from hub_core.hookspecs import hookimpl
from hub_core.version import __version__


@pytest.fixture
def hub(capsys: pytest.CaptureFixture[str]) -> Hub:
    return Hub(capsys)


def command(path: tuple[str, ...]) -> click.Command:
    """A command by its full name."""
    found: click.Command | None = program.Program()
    for name in path:
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), name)
    assert found is not None
    return found


def doing(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The full names of the commands under a name that do something."""
    group = command(path)
    if isinstance(group, click.Group):
        yield from (name for own in group.commands for name in doing((*path, own)))
    else:
        yield path


COMMANDS = [path for names in program.COMMANDS.values() for name in names for path in doing((name,))]


class TestHelp:
    def test_the_page_of_the_program_names_every_command(self, hub: Hub) -> None:
        page = hub("--help")
        assert page.code == 0
        for names in program.COMMANDS.values():
            for name in names:
                assert re.search(rf"^  {name} +[A-Z][a-z]", page.out, re.M), name
        assert "Commands:" not in page.out  # they stand in sections

    def test_every_summary_is_whole(self, hub: Hub) -> None:
        assert hub("help").out.count("...") == 1  # that of its usage

    def test_nothing_asked_for_shows_help_as_wrong_usage(self, hub: Hub) -> None:
        outcome = hub()
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err == hub("-h").out

    @pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
    def test_every_command_explains_itself(self, hub: Hub, path: tuple[str, ...]) -> None:
        page = hub(*path, "--help")
        assert page.code == 0
        assert page.out.startswith(f"Usage: hub {' '.join(path)} [OPTIONS]")
        assert re.search(r"\nExamples:\n  .*\bhub ", page.out)
        assert hub("help", *path).out == page.out
        assert all(not isinstance(p, click.Option) or p.help for p in command(path).params)
        assert max(map(len, page.out.partition("Examples:")[0].splitlines())) <= 110

    @pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
    def test_every_example_is_right_usage(self, path: tuple[str, ...]) -> None:
        found = command(path)
        assert isinstance(found, Command)
        for example in found.examples:
            words = shlex.split(re.sub(r'^eval "\$\((.*)\)"$', r"\1", example))
            assert tuple(words[: 1 + len(path)]) == ("hub", *path)
            found.make_context(example, words[1 + len(path) :], **CONTEXT)

    @pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
    def test_data_can_be_had_as_json(self, path: tuple[str, ...]) -> None:
        options = {name for parameter in command(path).params for name in parameter.opts}
        assert "--json" in options or path[0] in ("predict", "help", "completion")  # nothing else, or no data
        assert "--debug" in options

    def test_version(self, hub: Hub) -> None:
        assert hub("--version").out == f"hub_core, version {__version__}\n"


class TestWrongUsage:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["lst"], r"unknown command 'lst'; did you mean 'list'\? \d+ are known"),
            (["serving", "start"], r"there is no 'serving' yet; `hub predict` answers .*"),
            (["config", "mirors"], r"unknown command 'mirors'; did you mean 'mirrors'\? .*"),
            (["list", "--al"], r"No such option.*--all.*"),
            (["run", "x", "--input-txt", "y"], r"No such option.*--input-text.*"),
            (["train", "--epoch", "2"], r"No such option.*--epochs.*"),
            (["train", "--lr", "2"], r"No such option '--lr'. Did you mean '--learning-rate'\?"),
            (["list", "--hepl"], r"No such option.*--help.*"),
            (["show"], r"Missing argument 'NAME'\."),
            (["run", "x"], "nothing to answer: give TEXTS, --input-text or --input-path"),
            (["run", "x", "y", "--batch-size", "0"], r"Invalid value for '--batch-size': 0 is not in the range x>=1\."),
            (["train", "--data", "x", "--task", "y"], "give either --module .* or --manifest .*"),
            (["train", "--schedule", "linaer"], r"Invalid value for '--schedule': 'linaer' is not one of .*'linear'.*"),
            (["evaluate", "-m", "x", "--data", "y", "--rename-labels", "0"], r".*'0' is not of the form 0=negative.*"),
            (["evaluate", "-m", "x", "--data", "y", "--rename-labels", "0=a,0=b"], r".*is not of the form.*"),
        ],
    )
    def test_exits_with_2_and_a_hint(self, hub: Hub, arguments: list[str], said: str) -> None:
        first, usage, more = hub.fails(*arguments, code=2).splitlines()
        assert re.fullmatch(said, first), first
        assert usage.startswith("Usage: hub ")
        assert re.fullmatch("`hub.* --help` says more", more)

    def test_underscores_are_as_good_as_dashes(self, hub: Hub) -> None:
        texts = [hub.fails("run", "x", flag, " ") for flag in ("--input_text", "--input-text")]
        assert texts == ["unusable data:\n  text 1: the text is empty\n"] * 2
        assert "there is no folder" in hub.fails("run", "./x", "y", "--max_seq_len", "9", "--batch_size=2", "--use_gpu")
        assert "no folder" in hub.fails("train", "--data", "x", "--task", "seq-cls", "-m", "y", "--warmup_ratio", "0.1")


class TestErrors:
    @pytest.fixture
    def raising(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Make `hub list` raise something."""

        def arrange(error: BaseException) -> None:
            def store() -> None:
                raise error

            monkeypatch.setattr("hub_core.store.Store", store)

        return arrange

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (HubError("first\n  second \x1b[2J"), "first\n  second \\x1b[2J\n"),
            (PermissionError(13, "Permission denied", "/x"), "Permission denied: /x\n"),
            (OSError("all is lost"), "all is lost\n"),
            (KeyError("name"), "KeyError: 'name' (unforeseen; --debug shows where it comes from)\n"),
        ],
    )
    def test_an_error_is_told_and_exits_with_1(self, hub: Hub, raising: Any, error: Exception, said: str) -> None:
        raising(error)
        assert hub.fails("list") == said

    @pytest.mark.parametrize("arguments", [("--debug", "list"), ("list", "--debug"), ("list", "--all", "--debug")])
    def test_debug_shows_the_traceback_wherever_it_stands(
        self, hub: Hub, raising: Any, arguments: tuple[str, ...]
    ) -> None:
        error = HubError("broken")
        error.__context__, error.__suppress_context__ = ValueError("at the bottom"), True
        raising(error)
        outcome = hub(*arguments)
        assert outcome.code == 1
        assert outcome.err.startswith("ValueError: at the bottom\n\nDuring handling of the above exception")
        assert "Traceback (most recent call last):" in outcome.err
        assert outcome.err.endswith("hub_core.errors.HubError: broken\nerror: broken\n")

    @pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
    def test_signals_have_their_exit_codes(self, hub: Hub, raising: Any, error: BaseException, code: int) -> None:
        raising(error)
        outcome = hub("list")
        assert (outcome.code, outcome.out) == (code, "")
        assert outcome.err.strip() == ("interrupted" if code == 130 else "")

    def test_a_reader_who_has_read_enough(self) -> None:
        process = python("-m", "hub_core", "list", "--all")
        assert process.stdout is not None
        process.stdout.close()  # before anything was written
        _, said = process.communicate()
        assert (process.returncode, said) == (1, "")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, the disk that is always full")
    @pytest.mark.parametrize("unbuffered", ["", "1"])
    @pytest.mark.parametrize("arguments", [("list", "--all"), ("--help",), ("version",)])
    def test_a_full_disk(self, arguments: tuple[str, ...], unbuffered: str) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        with Path("/dev/full").open("w") as full:
            process = python("-m", "hub_core", *arguments, stdout=full, env=environment)
            _, said = process.communicate()
        assert (process.returncode, said) == (1, "error: [Errno 28] No space left on device\n")


class TestNotes:
    def test_a_warning_is_one_line_without_source(self, capsys: pytest.CaptureFixture[str]) -> None:
        with plain_notes():
            warnings.simplefilter("always")
            warnings.warn("two texts were cut", stacklevel=1)
        assert capsys.readouterr() == ("", "warning: two texts were cut\n")

    def test_log_lines_of_the_hub_are_shown_while_the_program_runs(self, capsys: pytest.CaptureFixture[str]) -> None:
        logger = logging.getLogger("hub_core")
        with plain_notes():
            logger.warning("%s: new head", "ernie")
            logger.info("not shown unless somebody lowers the level")
            logger.setLevel(logging.INFO)
            logger.info("Epoch=1/3")
            logger.setLevel(logging.NOTSET)
        assert capsys.readouterr().err == "warning: ernie: new head\nEpoch=1/3\n"
        assert logger.handlers == []

    def test_notes_work_without_a_loaded_tqdm(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(sys.modules, "tqdm", raising=False)
        note("one\ntwo\x07")
        assert capsys.readouterr().err == "one\ntwo\\x07\n"
        assert "tqdm" not in sys.modules

    def test_bars_are_for_terminals(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        with progress_bar(3, "row") as advance, download_progress() as told:
            advance(2)
            assert told is None
        assert capsys.readouterr() == ("", "")
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        with progress_bar(3, "row") as advance, download_progress() as told:
            advance(3)
            note("between")
            assert told is not None
            told("vocab.txt", 10, 20)
            told("vocab.txt", 20, 20)
        out, err = capsys.readouterr()
        assert out == ""
        assert "3/3" in err
        assert "\nbetween\n" in err or "\rbetween\n" in err
        assert "vocab.txt" in err


class Polite:
    """A plugin with a command of its own, and one whose name is taken."""

    @hookimpl
    def hub_commands(self, cli: click.Group) -> None:
        """Add the commands."""

        @cli.command("greet")
        @click.argument("name")
        def greet(name: str) -> None:
            """Greet somebody."""
            if name == "nobody":
                raise HubError("there is nobody")
            if name == "everybody":
                raise click.ClickException("too many")
            click.echo(f"hello {name}")

        cli.command("list")(lambda: click.echo("never"))


class Rude:
    """A plugin that fails."""

    @hookimpl
    def hub_commands(self, cli: click.Group) -> None:
        """Fail."""
        raise RuntimeError("no")


class TestPlugins:
    @pytest.fixture(autouse=True)
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        manager = plugins.pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        manager.register(Polite(), name="polite")
        manager.register(Rude(), name="rude")
        monkeypatch.setattr(plugins, "manager", lambda: manager)

    def test_their_commands_run_like_the_hubs_own(self, hub: Hub) -> None:
        outcome = hub("greet", "you")
        assert (outcome.code, outcome.out) == (0, "hello you\n")
        for name, said in (("nobody", "there is nobody"), ("everybody", "too many")):
            outcome = hub("greet", name)
            assert outcome.code == 1
            assert outcome.err.endswith(f"error: {said}\n")

    def test_the_help_page_lists_them(self, hub: Hub) -> None:
        assert re.search(r"From plugins:\n  greet +Greet somebody\.", hub("--help").out)

    def test_what_fails_or_clashes_is_named_and_does_no_harm(self, hub: Hub) -> None:
        outcome = hub("--help")
        assert outcome.err.splitlines() == [
            "warning: plugin polite: there is a command 'list' already; this one is passed over",
            "warning: plugin rude could not add its commands: RuntimeError: no",
        ]
        assert "never" not in hub("list").out

    def test_near_matches_know_them(self, hub: Hub) -> None:
        assert "did you mean 'greet'?" in hub("gret").err

    def test_the_report(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        states = [
            plugins.PluginState("good", "hub-good", None),
            plugins.PluginState("bad", "hub-bad", "ImportError: x"),
        ]
        monkeypatch.setattr(plugins, "plugin_report", lambda: states)
        assert hub("plugins").out.splitlines()[2:] == [
            "good  hub-good      works",
            "bad   hub-bad       ImportError: x",
        ]
        assert hub("plugins", "--json").json[1] == {"name": "bad", "distribution": "hub-bad", "error": "ImportError: x"}
        monkeypatch.setattr(plugins, "plugin_report", list)
        assert hub("plugins").err == "no plugins\n"


class TestSystem:
    def test_version_says_what_the_hub_stands_on(self, hub: Hub) -> None:
        versions = hub("version", "--json").json
        assert versions["hub_core"] == __version__
        assert versions["torch"].startswith("2.")
        assert f"hub_core      {__version__}" in hub("version").out

    def test_a_missing_package_is_said_to_be_missing(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("hub_core.cli.system._STANDS_ON", ("no-such-package",))
        assert hub("version", "--json").json["no-such-package"] == "not installed"

    def test_mirrors_are_kept_shown_and_forgotten(self, hub: Hub, hub_home: Path) -> None:
        assert (hub("config", "mirrors").err, hub("config", "mirrors", "--json").json) == ("no mirrors\n", [])
        places = [("https://a.example", "file:///mnt/a"), ("https://a.example", "https://b.example/a")]
        out = hub("config", "mirrors", *("=".join(place) for place in places)).out
        assert all(any(line.split() == [*place] for line in out.splitlines()) for place in places)
        assert (hub_home / "config.json").is_file()
        assert [tuple(row.values()) for row in hub("config", "mirrors", "--json").json] == places
        assert hub("config", "mirrors", "--clear").err == "no mirrors\n"

    def test_a_mirror_that_is_none_changes_nothing(self, hub: Hub, hub_home: Path) -> None:
        assert "is not PREFIX=ADDRESS" in hub.fails("config", "mirrors", "a.example")
        assert not hub_home.exists()

    def test_the_environment_wins_and_the_program_says_so(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HUB_MIRRORS", "https://env.example=file:///env")
        outcome = hub("config", "mirrors", "https://a.example=file:///mnt/a")
        assert outcome.err == "warning: HUB_MIRRORS is set, and wins over what is kept\n"
        assert outcome.out.splitlines()[-1].split() == ["https://env.example", "file:///env"]


class TestOneProgram:
    def test_hub_and_python_m_are_the_same_function(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        module, _, name = project["scripts"]["hub"].partition(":")
        assert getattr(import_module(module), name) is __main__.main

    def test_python_m_says_the_same(self, hub: Hub) -> None:
        process = python("-m", "hub_core", "show", "ernie_tny")
        out, err = process.communicate()
        outcome = hub("show", "ernie_tny")
        assert (process.returncode, out, err) == (outcome.code, outcome.out, outcome.err)
        assert "did you mean 'ernie_tiny' or 'ernie'?" in err

    def test_every_listed_command_is_where_the_table_says(self) -> None:
        for names in program.COMMANDS.values():
            for name, target in names.items():
                module, _, attribute = target.partition(":")
                assert getattr(import_module(module), attribute).name == name

    def test_text_outside_the_terminals_encoding_is_escaped(self) -> None:
        environment = {"PYTHONIOENCODING": "ascii", "PATH": "", "PYTHONPATH": str(ROOT)}
        process = python("-m", "hub_core", "show", "./中文", env=environment)
        _, err = process.communicate()
        assert process.returncode == 1
        assert err.startswith("error: there is no folder ./\\u4e2d\\u6587;")
