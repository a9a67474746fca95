"""What the program loads, and how long it takes, before it does anything."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest
from command_line import ROOT

#: Loaded by nothing that only looks things up: each takes longer than all of `hub list` may.
HEAVY = ("torch", "transformers", "numpy", "tokenizers", "sentencepiece", "jieba", "requests", "huggingface_hub")
TRIES = 7

LOADED = """
import contextlib, io, sys
with contextlib.redirect_stdout(io.StringIO()):
    {what}
print([name for name in {heavy} if name in sys.modules])
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Another process, without what measures coverage."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=plain, capture_output=True, text=True, check=True)


@pytest.mark.parametrize(
    "what",
    [
        "import hub_core",
        *(
            f"from hub_core.cli import main; assert main({arguments!r}) == 0"
            for arguments in (
                ["--help"],
                ["--version"],
                ["list"],
                ["list", "--all", "--json"],
                ["search", "chinese"],
                ["show", "ernie_tiny"],
                ["train", "--help"],
                ["run", "--help"],
                ["version"],
                ["config", "mirrors"],
                ["config"],
                ["help", "train"],
                ["clear", "--dry-run"],
                ["completion", "zsh"],
            )
        ),
    ],
)
def test_nothing_heavy_is_loaded(what: str) -> None:
    assert run("-c", LOADED.format(what=what, heavy=HEAVY)).stdout == "[]\n"


def test_listing_loads_no_plugins_and_no_command_but_its_own() -> None:
    """The help page needs them all; `hub list` must not pay for it."""
    names = ("hub_core.plugins", "hub_core.cli.training", "importlib.metadata", "rich", "tqdm", "pluggy")
    what = "from hub_core.cli import main; main(['list', '--all'])"
    assert run("-c", LOADED.format(what=what, heavy=names)).stdout == "[]\n"


def seconds(*arguments: str) -> float:
    """The processor time of one process: on a machine that does nothing else, what the clock on the wall says.

    Starting up is one thread that waits for nothing; what else the machine does would be measured with it otherwise.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(*arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fastest(*arguments: str) -> float:
    """The best of several times: shared caches make a process slower, never faster."""
    return min(seconds(*arguments) for _ in range(TRIES))


def test_listing_takes_less_than_300_ms() -> None:
    assert fastest("-m", "hub_core", "list") < 0.3


def test_importing_takes_at_most_60_ms() -> None:
    assert fastest("-c", "import hub_core") < fastest("-c", "pass") + 0.06
