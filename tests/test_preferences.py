"""What `hub config` keeps, from Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub_core.addresses import HfAddress, hf_endpoint
from hub_core.errors import NotFoundError, SettingsError
from hub_core.mirrors import Mirror, mirrors
from hub_core.preferences import PREFERENCES, forget, in_force, keep
from hub_core.user_config import forget_settings, log_level


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)


def test_all_have_defaults_and_say_what_they_are() -> None:
    assert {name: in_force(name).source for name in PREFERENCES} == dict.fromkeys(PREFERENCES, "default")
    assert all(preference.summary for preference in PREFERENCES.values())


def test_a_kept_site_is_where_files_are_fetched_from(monkeypatch: pytest.MonkeyPatch) -> None:
    keep("server", "https://a.example/hf/")
    assert (in_force("server").value, in_force("server").source) == ("https://a.example/hf", "kept")
    assert HfAddress("o/r", "main", "x").web == "https://a.example/hf/o/r/resolve/main/x"
    monkeypatch.setenv("HF_ENDPOINT", "https://b.example")
    assert (in_force("server").value, in_force("server").source) == ("https://b.example", "$HF_ENDPOINT")
    assert hf_endpoint() == "https://b.example"
    monkeypatch.setenv("HF_ENDPOINT", "")
    forget("server")
    assert in_force("server").value == hf_endpoint() == "https://huggingface.co"


def test_mirrors_are_the_ones_that_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    keep("mirrors", "https://a.example=file:///a,https://b.example=file:///b")
    assert mirrors() == [Mirror("https://a.example", "file:///a"), Mirror("https://b.example", "file:///b")]
    assert in_force("mirrors").value == "https://a.example=file:///a,https://b.example=file:///b"
    monkeypatch.setenv("HUB_MIRRORS", "")
    assert (in_force("mirrors").value, in_force("mirrors").source, mirrors()) == ("", "$HUB_MIRRORS", [])
    monkeypatch.setenv("HUB_MIRRORS", "nonsense")
    with pytest.raises(SettingsError, match="is not PREFIX=ADDRESS"):
        in_force("mirrors")


def test_the_level_of_what_is_told() -> None:
    assert log_level() is None
    keep("log.level", "ERROR")
    assert log_level() == in_force("log.level").value == "error"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("server", "a.example", "server 'a.example' is not an address such as https://a.example"),
        ("server", "ftp://a.example", "server 'ftp://a.example' is not an address"),
        ("mirrors", "a=b", "mirror 'a=b' is not PREFIX=ADDRESS"),
        ("log.level", "loud", "unknown value 'loud' of log.level; known: debug, error, info, warning"),
    ],
)
def test_values_that_cannot_be_used_change_nothing(hub_home: Path, name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        keep(name, value)
    assert str(caught.value).startswith(said)
    assert not hub_home.exists()


@pytest.mark.parametrize("call", [in_force, forget, lambda name: keep(name, "x")])
def test_unknown_settings_have_near_matches(call: object) -> None:
    assert callable(call)
    with pytest.raises(NotFoundError, match="unknown setting 'sever'; did you mean 'server'"):
        call("sever")


def test_all_can_be_forgotten_even_where_they_cannot_be_read(hub_home: Path) -> None:
    hub_home.mkdir()
    (hub_home / "config.json").write_text("{")
    with pytest.raises(SettingsError, match="mend or remove it"):
        in_force("server")
    forget_settings()
    assert in_force("server").source == "default"
    forget_settings()  # nothing there


def test_a_level_written_by_hand_is_checked(hub_home: Path) -> None:
    hub_home.mkdir()
    (hub_home / "config.json").write_text(json.dumps({"log.level": "loud"}))
    with pytest.raises(SettingsError, match="unknown value 'loud' of log.level"):
        log_level()
