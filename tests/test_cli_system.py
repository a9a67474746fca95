"""Commands about the program itself: help, config, clear, and how much is told."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from command_line import Hub
from folders import module_folder

from hub_core.mirrors import mirrors
from hub_core.user_config import log_level


@pytest.fixture
def hub(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    return Hub(capsys)


class TestHelp:
    def test_pages_are_those_of_the_option(self, hub: Hub) -> None:
        assert hub("help").out == hub("--help").out
        assert hub("help", "config", "set").out == hub("config", "set", "--help").out

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["lst"], "unknown command 'lst'; did you mean 'list'?"),
            (["config", "gt"], "unknown command 'gt'; did you mean 'get'"),
            (["list", "all"], "'hub list' has no subcommands"),
        ],
    )
    def test_what_is_no_command(self, hub: Hub, arguments: list[str], said: str) -> None:
        assert hub.fails("help", *arguments, code=2).startswith(said)


class TestConfig:
    def test_alone_it_shows_everything(self, hub: Hub) -> None:
        assert hub("config").out == hub("config", "show").out
        rows = {row["name"]: row for row in hub("config", "show", "--json").json}
        assert rows["server"] == {"name": "server", "value": "https://huggingface.co", "from": "default"}
        assert rows.keys() == {"server", "mirrors", "log.level"}

    def test_set_get_reset(self, hub: Hub) -> None:
        assert hub("config", "set", "server", "https://a.example/").out == "server  https://a.example\n"
        assert hub("config", "get", "server").out == "https://a.example\n"
        assert hub("config", "set", "log.level", "error", "--json").json["from"] == "kept"
        assert hub("config", "reset", "server", "--json").json[0]["from"] == "default"
        assert log_level() == "error"
        hub("config", "reset")
        assert hub("config", "get", "log.level", "--json").json["from"] == "default"

    def test_mirrors_are_a_setting_too(self, hub: Hub) -> None:
        hub("config", "set", "mirrors", "https://a.example=file:///a")
        assert [str(mirror) for mirror in mirrors()] == ["https://a.example=file:///a"]
        assert hub("config", "mirrors", "--json").json == [{"address": "https://a.example", "replacement": "file:///a"}]

    def test_paddlehubs_spelling(self, hub: Hub) -> None:
        assert hub("config", "server==https://a.example").out == "server  https://a.example\n"
        assert hub("config", "log.level==WARNING").out == "log.level  warning\n"
        assert hub("config", "log.enable==False").out == "log.level  error\n"
        hub("config", "log.enable==True")
        assert log_level() is None

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["set", "sever", "x"], 1, "unknown setting 'sever'; did you mean 'server'? known: log.level, mirrors"),
            (["get", "x"], 1, "unknown setting 'x'; known: "),
            (["reset", "server", "x"], 1, "unknown setting 'x'; known: "),
            (["sever==https://a.example"], 1, "unknown setting 'sever'; did you mean 'server'?"),
            (["server==a.example"], 1, "server 'a.example' is not an address such as"),
            (["log.level==loud"], 1, "unknown value 'loud' of log.level"),
            (["log.enable==perhaps"], 2, "log.enable is true or false, not 'perhaps'"),
            (["set", "server"], 2, "Missing argument 'VALUE'."),
            (["server"], 2, "unknown command 'server'; known: get, mirrors, reset, set, show"),
        ],
    )
    def test_what_cannot_be_set(self, hub: Hub, arguments: list[str], code: int, said: str) -> None:
        assert hub.fails("config", *arguments, code=code).startswith(said)

    def test_the_environment_wins_and_the_program_says_so(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_ENDPOINT", "https://env.example")
        outcome = hub("config", "set", "server", "https://a.example")
        assert outcome.err == "warning: $HF_ENDPOINT is set, and wins over what is kept\n"
        assert outcome.out == "server  https://env.example\n"

    def test_a_file_that_cannot_be_read_can_be_reset(self, hub: Hub, hub_home: Path) -> None:
        hub_home.mkdir()
        (hub_home / "config.json").write_text("{")
        assert hub("list").err.startswith(f"warning: {hub_home / 'config.json'} cannot be read: ")
        assert "mend or remove it" in hub("config").err
        assert hub("config", "reset").code == 0
        assert hub("config").code == 0

    def test_the_level_is_that_of_the_whole_program(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        def told() -> list[str]:
            logger = logging.getLogger("hub_core")
            for level in ("debug", "info", "warning", "error"):
                getattr(logger, level)("so much")
            return []

        monkeypatch.setattr("hub_core.plugins.plugin_report", told)
        counts = {}
        for level in ("debug", "info", "warning", "error"):
            hub("config", "set", "log.level", level)
            counts[level] = hub("plugins").err.count("so much")
        assert counts == {"debug": 4, "info": 3, "warning": 2, "error": 1}
        assert logging.getLogger("hub_core").level == logging.NOTSET


class TestClear:
    @pytest.fixture(autouse=True)
    def full(self, hub: Hub, hub_home: Path, tmp_path: Path) -> None:
        hub("install", module_folder(tmp_path / "m"))
        for name, size in (("partial/a.partial", 2048), ("datasets/got/source.json", 100), ("cache/jieba/x", 1 << 20)):
            (hub_home / name).parent.mkdir(parents=True)
            (hub_home / name).write_bytes(bytes(size))

    def test_what_would_go(self, hub: Hub, hub_home: Path) -> None:
        outcome = hub("clear", "--dry-run")
        assert outcome.out.splitlines()[-1] == "would free 1.0 MiB"
        assert any(line.split()[:3] == ["downloads", "2.0", "KiB"] for line in outcome.out.splitlines())
        assert outcome.err.startswith("kept: datasets (100 bytes); they would have to be fetched again")
        assert (hub_home / "partial" / "a.partial").exists()
        assert hub("clear", "--dry-run", "--all", "--json").json["freed"] == 0

    def test_what_went(self, hub: Hub, hub_home: Path) -> None:
        outcome = hub("clear")
        assert outcome.out.splitlines()[-1] == "freed 1.0 MiB"
        assert not (hub_home / "partial" / "a.partial").exists()
        assert (hub_home / "datasets" / "got").exists()
        assert hub("clear", "--all", "--json").json["freed"] == 100
        assert hub("clear").out.splitlines()[-1] == "freed 0 bytes"
        assert hub("show", "small", "--verify").code == 0

    def test_by_name(self, hub: Hub, hub_home: Path) -> None:
        report = hub("clear", "datasets", "jieba", "--json").json
        assert (report["freed"], [row["name"] for row in report["caches"]]) == (100 + (1 << 20), ["datasets", "jieba"])
        assert (hub_home / "partial" / "a.partial").exists()

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["dataset"], 1, "unknown cache 'dataset'; did you mean 'datasets'?"),
            (["modules"], 1, "unknown cache 'modules'; known: archives, blobs, datasets"),
            (["jieba", "--all"], 2, "give the names of caches, or --all"),
        ],
    )
    def test_what_is_no_cache(self, hub: Hub, arguments: list[str], code: int, said: str) -> None:
        assert hub.fails("clear", *arguments, code=code).startswith(said)
