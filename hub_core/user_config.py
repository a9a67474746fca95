"""The user's own settings: one JSON object in ``HOME/config.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hub_core.errors import SettingsError, unknown
from hub_core.paths import hub_home, read_json_object, write_text

#: The setting that says what is told on the terminal, and the values that it may have.
LOG_LEVEL = "log.level"
LEVELS = ("debug", "info", "warning", "error")


def config_file() -> Path:
    """Where the settings are kept; the file need not exist."""
    return hub_home() / "config.json"


def read_setting(name: str) -> Any:
    """One setting, or None where it was never set. Raises SettingsError where the file cannot be understood."""
    return _read().get(name)


def write_setting(name: str, value: Any) -> None:
    """Keep one setting (plain JSON data); None takes it away. Raises SettingsError where HOME cannot be written."""
    settings = {key: kept for key, kept in {**_read(), name: value}.items() if kept is not None}
    try:
        write_text(config_file(), json.dumps(settings, ensure_ascii=False, indent=1) + "\n")
    except OSError as error:
        raise SettingsError(
            f"cannot write {config_file()}: {error.strerror}; set HUB_HOME to another folder"
        ) from error


def forget_settings() -> None:
    """Take all settings away, also those that cannot be understood."""
    config_file().unlink(missing_ok=True)


def log_level() -> str | None:
    """What is told while the program runs, one of `LEVELS`; None: as each part of it thinks best.

    Raises SettingsError where something else is kept.
    """
    kept = read_setting(LOG_LEVEL)
    return None if kept is None else checked_level(str(kept))


def checked_level(text: str) -> str:
    """One of `LEVELS`, in any case. Raises SettingsError for anything else."""
    level = text.strip().lower()
    if level not in LEVELS:
        raise SettingsError(unknown("value", text, LEVELS, where=f"of {LOG_LEVEL}"))
    return level


def _read() -> dict[str, Any]:
    return read_json_object(config_file(), error=SettingsError, remedy="mend or remove it")
