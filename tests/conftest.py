"""Fixtures that every test shares: an empty hub home, and the places of real data where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Examples are the same in every run, and a busy machine fails no test.
settings.register_profile("hub", derandomize=True, deadline=None)
settings.load_profile("hub")

# On every machine, and in other processes, `auto` means float32.
os.environ["HUB_BFLOAT16"] = "0"

ROOT = Path(__file__).parent.parent


def _place(variable: str, default: str) -> Path:
    folder = Path(os.environ.get(variable, ROOT.parent / "shared" / default))
    if not folder.is_dir():
        pytest.skip(f"needs {default}: set {variable} to the folder that holds it")
    return folder.absolute()


@pytest.fixture(autouse=True)
def hub_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HUB_HOME, so that no test sees or changes the user's own."""
    home = tmp_path / "hub-home"
    monkeypatch.setenv("HUB_HOME", str(home))
    monkeypatch.delenv("HUB_MIRRORS", raising=False)
    monkeypatch.delenv("HUB_OFFLINE", raising=False)
    return home


@pytest.fixture
def data_home() -> Path:
    """The folder of public data sets (``HUB_DATA_HOME``); the test is skipped where it is absent."""
    return _place("HUB_DATA_HOME", "data")


@pytest.fixture
def fixtures_home() -> Path:
    """The folder of reference checkpoints and tokenisations (``HUB_FIXTURES_HOME``); skipped where absent."""
    return _place("HUB_FIXTURES_HOME", "fixtures")
