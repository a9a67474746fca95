from __future__ import annotations

from pathlib import Path

import pytest

from hub_core.errors import SettingsError, SourceError
from hub_core.mirrors import Mirror, mirrors, parse_mirrors, redirect, set_mirrors
from hub_core.user_config import config_file, read_setting, write_setting

A, B = Mirror("https://a.example", "file:///mnt/a"), Mirror("https://b.example/sub/", "https://c.example/b/")


def test_the_variable_wins_over_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mirrors() == []
    set_mirrors([A])
    assert mirrors() == [A]
    monkeypatch.setenv("HUB_MIRRORS", f"{B}, {A},")
    assert mirrors() == [B, A]
    monkeypatch.setenv("HUB_MIRRORS", "")
    assert mirrors() == []
    monkeypatch.delenv("HUB_MIRRORS")
    set_mirrors([])
    assert mirrors() == [] and read_setting("mirrors") is None


@pytest.mark.parametrize(
    "text", ["https://a.example", "a=b", "ftp://a=file:///b", "https://a=hf://b", "https://a=/mnt/a"]
)
def test_mirrors_that_cannot_be_understood(text: str) -> None:
    with pytest.raises(SettingsError, match="mirror '"):
        parse_mirrors(text)


def test_addresses_are_moved_whole() -> None:
    assert redirect("https://a.example/x/y.txt", [A, B]) == ["file:///mnt/a/x/y.txt"]
    assert redirect("https://b.example/sub/y.txt?q=1", [A, B]) == ["https://c.example/b/y.txt?q=1"]
    assert redirect("https://a.example/x?token=1", [A]) == ["file:///mnt/a/x"]
    assert redirect("https://a.example", [A]) == ["file:///mnt/a"]


@pytest.mark.parametrize(
    "url", ["https://a.example.org/x", "https://a.examples/x", "http://a.example/x", "https://b.example/subway/x"]
)
def test_other_addresses_stay(url: str) -> None:
    assert redirect(url, [A, B]) == [url]


def test_the_longest_prefix_wins_and_equal_ones_are_all_tried() -> None:
    near = Mirror("https://a.example/deep", "https://near.example")
    again = Mirror("https://a.example/deep", "https://again.example")
    assert redirect("https://a.example/deep/x", [A, near, again]) == [
        "https://near.example/x",
        "https://again.example/x",
    ]


@pytest.mark.parametrize("rest", ["../../etc/passwd", "x/%2e%2e/%2E%2E/y", "x/..%5C..%5Cy"])
def test_nothing_climbs_out_of_a_folder(rest: str) -> None:
    with pytest.raises(SourceError, match="climbs out of the mirror file:///mnt/a"):
        redirect(f"https://a.example/{rest}", [A])


def test_settings_survive_each_other() -> None:
    write_setting("other", {"x": 1})
    set_mirrors([A, B])
    assert read_setting("other") == {"x": 1} and mirrors() == [A, B]


def test_damaged_settings_are_named() -> None:
    config_file().parent.mkdir()
    config_file().write_text("{")
    with pytest.raises(SettingsError, match=r"config.json cannot be read"):
        mirrors()
    config_file().write_text("[]")
    with pytest.raises(SettingsError, match="must hold a JSON object"):
        mirrors()
    for kept in ('["a", 1]', '{"a": "b"}'):
        config_file().write_text(f'{{"mirrors": {kept}}}')
        with pytest.raises(SettingsError, match="must be a list of PREFIX=ADDRESS"):
            mirrors()


def test_several_mirrors_of_one_address_are_kept_in_order() -> None:
    other = Mirror(A.prefix, "https://other.example")
    set_mirrors([A, other])
    assert mirrors() == [A, other]
    assert redirect(f"{A.prefix}/x", mirrors()) == [A.moved(f"{A.prefix}/x"), "https://other.example/x"]


def test_a_home_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HUB_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(SettingsError, match="set HUB_HOME"):
        set_mirrors([A])
