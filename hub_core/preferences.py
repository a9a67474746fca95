"""What can be set for good with `hub config`: each setting with what it does, and the variable that wins over it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from hub_core.addresses import ENDPOINT, ENDPOINT_VARIABLE, HUGGING_FACE
from hub_core.errors import NotFoundError, SettingsError, unknown
from hub_core.mirrors import SETTING as MIRRORS
from hub_core.mirrors import VARIABLE as MIRRORS_VARIABLE
from hub_core.mirrors import parse_mirrors
from hub_core.user_config import LOG_LEVEL, checked_level, read_setting, write_setting


@dataclass(frozen=True)
class Preference:
    """One setting that can be kept. `check` turns what the user wrote into the JSON data that is kept.

    `variable` is the environment variable that wins over what is kept, None where there is none.
    """

    name: str
    summary: str
    variable: str | None
    default: str
    check: Callable[[str], Any]


@dataclass(frozen=True)
class InForce:
    """A setting as it is now: its value as a text, and where that comes from (``default``, ``kept``, ``$VARIABLE``)."""

    preference: Preference
    value: str
    source: str


def in_force(name: str) -> InForce:
    """A setting as it is now. Raises NotFoundError for an unknown one, SettingsError for an unusable value."""
    preference = _known(name)
    said = None if preference.variable is None else os.environ.get(preference.variable)
    if said or (said is not None and not preference.default):  # an empty $HUB_MIRRORS means none
        preference.check(said)
        return InForce(preference, said, f"${preference.variable}")
    kept = read_setting(preference.name)
    if kept is None:
        return InForce(preference, preference.default, "default")
    return InForce(preference, _shown(kept), "kept")


def keep(name: str, value: str) -> None:
    """Keep a setting for all later runs. Raises NotFoundError for an unknown one, SettingsError for a bad value."""
    preference = _known(name)
    write_setting(preference.name, preference.check(value) or None)


def forget(name: str) -> None:
    """Let a setting have its default again. Raises NotFoundError for an unknown one."""
    write_setting(_known(name).name, None)


def _known(name: str) -> Preference:
    if name not in PREFERENCES:
        raise NotFoundError(unknown("setting", name, PREFERENCES))
    return PREFERENCES[name]


def _shown(kept: Any) -> str:
    return ",".join(map(str, kept)) if isinstance(kept, list) else str(kept)


def _site(text: str) -> str:
    site = text.strip().rstrip("/")
    parts = urlsplit(site)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{ENDPOINT} {text!r} is not an address such as https://a.example")
    return site


def _mirrors(text: str) -> list[str]:
    return [str(mirror) for mirror in parse_mirrors(text)]


#: The settings that can be kept, by name.
PREFERENCES: Mapping[str, Preference] = MappingProxyType(
    {
        preference.name: preference
        for preference in (
            Preference(
                ENDPOINT,
                "the site that hf: addresses are fetched from; it gets your token for Hugging Face, if you have one",
                ENDPOINT_VARIABLE,
                HUGGING_FACE,
                _site,
            ),
            Preference(
                MIRRORS,
                "ADDRESS=REPLACEMENT,...: other places for addresses; `hub config mirrors` shows them one by one",
                MIRRORS_VARIABLE,
                "",
                _mirrors,
            ),
            Preference(
                LOG_LEVEL,
                "what is told on the terminal: debug, info, warning or error",
                None,
                "info while training, else warning",
                checked_level,
            ),
        )
    }
)
