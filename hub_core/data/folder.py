"""A folder of data: one table per mode (``train.tsv``, ``dev.jsonl.xz``), and the file that lists the labels."""

from __future__ import annotations

from pathlib import Path

from hub_core.data.lines import PACKED, read_lines
from hub_core.data.problems import Problems
from hub_core.errors import NotFoundError, SettingsError, unknown
from hub_core.plugins import catalog

#: Other names of the development split.
DEV = ("dev", "val", "valid", "validation")
#: One label per line, in target order; optional.
LABELS_FILE = "labels.txt"


def canonical_mode(mode: str) -> str:
    """One name per split: ``val``, ``valid`` and ``validation`` are ``dev``."""
    return "dev" if mode in DEV else mode


def find_split(folder: str | Path, mode: str) -> Path:
    """The table of one mode in a folder: ``<mode>.<format>``, packed or not; ``.txt`` counts as a table too.

    Raises NotFoundError where there is no such folder or file (with the modes there are), SettingsError that names
    the candidates where there are several.
    """
    place = Path(folder)
    if not place.is_dir():
        raise NotFoundError(f"no folder {place}")
    formats = {f".{name}" for name in (*catalog().entries("table"), "txt")}
    splits: dict[str, list[Path]] = {}
    for path in sorted(place.iterdir()):
        plain = path.with_suffix("") if path.suffix.lower() in PACKED else path
        if plain.suffix.lower() in formats and plain.name != LABELS_FILE and path.is_file():
            splits.setdefault(canonical_mode(plain.stem), []).append(path)
    found = splits.get(canonical_mode(mode), [])
    if not found:
        known = ", ".join(sorted(formats))
        raise NotFoundError(unknown("mode", mode, splits, where=f"in {place} (files <mode>{{{known}}}, also .gz, .xz)"))
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise SettingsError(f"{place} has {names}, all of mode {canonical_mode(mode)!r}; keep one")
    return found[0]


def read_labels(path: str | Path) -> list[str]:
    """The labels in a file that has one per line, in target order. Raises DataError for blank or repeated lines."""
    problems = Problems()
    labels: list[str] = []
    for line in read_lines(Path(path), problems):
        label = line.content.strip()
        if line.readable and (not label or label in labels):
            problems.add(f"{path}:{line.number}", f"label {label!r} stands twice" if label else "blank line")
        labels.append(label)
    if not labels:
        problems.add(f"{path}:1", "the file is empty")
    problems.raise_if_any()
    return labels
