"""The receipt of an installed module: where it came from, and what exactly was stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hub_core.errors import HubError
from hub_core.spec import RECEIPT


@dataclass(frozen=True)
class StoredFile:
    """A file of an installed module, after conversion: its size in bytes and its sha256."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Download:
    """A file as it arrived, before conversion: for which path of the module, from where, size and sha256."""

    path: str
    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Receipt:
    """What `hub install` did. `origin` is what was asked for, `when` a time in UTC (ISO 8601)."""

    origin: str
    when: str
    files: Mapping[str, StoredFile]
    downloads: tuple[Download, ...] = ()

    def dumps(self) -> str:
        """The text of receipt.json."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"


def read_receipt(folder: Path) -> Receipt:
    """Read ``folder/receipt.json``. Raises HubError where it is missing or cannot be understood."""
    path = folder / RECEIPT
    try:
        record: Any = json.loads(path.read_text(encoding="utf-8"))
        files = {name: StoredFile(**file) for name, file in record["files"].items()}
        downloads = tuple(Download(**item) for item in record["downloads"])
        return Receipt(str(record["origin"]), str(record["when"]), files, downloads)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise HubError(f"{path} cannot be read: {error}; remove {folder} and install the module again") from error
