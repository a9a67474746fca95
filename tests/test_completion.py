"""Completion in the shells themselves: what is typed, a tab, and what stands there then."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import ROOT, Hub
from folders import module_folder

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture
def hub(capsys: pytest.CaptureFixture[str]) -> Hub:
    return Hub(capsys)


class Bash:
    """An interactive bash on a terminal of its own, which knows `hub` and its completions."""

    def __init__(self, folder: Path) -> None:
        import pty

        program = folder / "bin" / "hub"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m hub_core "$@"\n')
        program.chmod(0o755)
        path = f"{program.parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PS1": "$ ", "TERM": "dumb", "INPUTRC": "/dev/null"}
        self._terminal, other = pty.openpty()
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            cwd=folder,
            env=environment,
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)
        self._type('eval "$(hub completion bash)"; printf "[%s]\\n" ready\n')
        assert self._printed() == "ready"

    def completed(self, typed: str) -> str:
        """A line as it stands after what was typed, which ends with a tab."""
        # Readline looks at the next key only when the completion is done: to the line's start, to its end, enter.
        self._type(f"{typed}\x01printf '[%s]\\n' '\x05'\n")
        return self._printed()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def _type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def _printed(self) -> str:
        """What stands between brackets at the start of the next such line."""
        shown, end = "", time.monotonic() + 60
        while not (found := re.search(r"\n\[(.*)\]\r\n", shown)):
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"nothing is printed after {shown!r}"
            shown += os.read(self._terminal, 4096).decode()
        return found[1]


@pytest.mark.skipif(shutil.which("bash") is None or os.name == "nt", reason="needs bash and terminals")
class TestBash:
    @pytest.fixture
    def bash(self, hub: Hub, tmp_path: Path) -> Iterator[Bash]:
        hub("install", module_folder(tmp_path / "checkpoint", "court"))
        running = Bash(tmp_path)
        yield running
        running.close()

    def test_commands_options_modules_and_paths(self, bash: Bash) -> None:
        for typed, line in (
            ("hub inst\t", "hub install "),
            ("hub config ge\t", "hub config get "),
            ("hub help config ge\t", "hub help config get "),
            ("hub train --sched\tlin\t", "hub train --schedule linear "),
            ("hub show bilstm-n\t", "hub show bilstm-ner-zh "),
            ("hub evaluate -m cou\t", "hub evaluate -m court "),
            ("hub uninstall \t", "hub uninstall court "),
            ("hub uninstall bilstm\t", "hub uninstall bilstm"),
            ("hub install ./check\t", "hub install ./checkpoint/"),
            ("hub convert checkpoint/vo\t", "hub convert checkpoint/vocab.txt "),
        ):
            assert bash.completed(typed) == line

    def test_a_broken_home_disturbs_nobody(self, bash: Bash, hub_home: Path) -> None:
        (hub_home / "config.json").write_text("{")
        assert bash.completed("hub inst\t") == "hub install "


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_are_clicks(hub: Hub, shell: str) -> None:
    outcome = hub("completion", shell)
    assert (outcome.code, outcome.err) == (0, "")
    assert "_HUB_COMPLETE=" in outcome.out
    assert re.search(rf"\b{shell}_complete\b", outcome.out)


def test_other_shells(hub: Hub) -> None:
    assert "'csh' is not one of 'bash', 'zsh', 'fish'" in hub.fails("completion", "csh", code=2)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["help", "conf"], ["plain,config"]),
        (["help", "config", ""], ["plain,get", "plain,mirrors", "plain,reset", "plain,set", "plain,show"]),
        (["help", "list", ""], [""]),
        (["help", "nothing", ""], [""]),
        (["show", "./x"], ["file,./x"]),
        (["show", "bilstm-s"], ["plain,bilstm-sentiment-zh"]),
        (["uninstall", "./x"], [""]),
    ],
)
def test_what_shells_are_told(hub: Hub, monkeypatch: pytest.MonkeyPatch, words: list[str], found: list[str]) -> None:
    monkeypatch.setenv("_HUB_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(["hub", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    assert hub().out.splitlines() == found
