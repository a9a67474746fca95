"""A folder of data: one table per mode (``train.tsv``, ``dev.jsonl.xz``), and the file that lists the labels.

A folder may be an address, see `hub_core.data.remote`.
"""

from __future__ import annotations

from pathlib import Path

from hub_core.data.lines import read_lines
from hub_core.data.packing import plain_name
from hub_core.data.problems import Problems
from hub_core.data.remote import files_in, local_file, shown
from hub_core.errors import NotFoundError, SettingsError, unknown
from hub_core.plugins import catalog

#: Other names of the development split.
DEV = ("dev", "val", "valid", "validation")
#: One label per line, in target order; optional.
LABELS_FILE = "labels.txt"
#: What else stands beside the splits: CLUE's list of labels, and where a folder was downloaded from.
_NO_SPLITS = (LABELS_FILE, "labels.json", "source.json")


def canonical_mode(mode: str) -> str:
    """One name per split: ``val``, ``valid`` and ``validation`` are ``dev``."""
    return "dev" if mode in DEV else mode


def find_split(folder: str | Path, mode: str) -> Path:
    """The table of one mode in a folder: ``<mode>.<format>``, packed or not; ``.txt`` counts as a table too.

    Raises NotFoundError where there is no such folder or file (with the modes there are), SettingsError that names
    the candidates where there are several.
    """
    splits = splits_in(folder)
    found = splits.get(canonical_mode(mode), [])
    if not found:
        known = ", ".join(sorted(_formats()))
        where = f"in {shown(folder)} (files <mode>{{{known}}}, also .gz, .xz, .zst)"
        raise NotFoundError(unknown("split", mode, splits, where=where))
    if len(found) > 1:
        names = " and ".join(Path(str(place)).name for place in found)
        raise SettingsError(f"{shown(folder)} has {names}, all of split {canonical_mode(mode)!r}; keep one")
    return local_file(found[0])


def splits_in(folder: str | Path) -> dict[str, list[str | Path]]:
    """The tables of a folder by mode, most of which have one; lists of labels are none."""
    formats, splits = _formats(), dict[str, list[str | Path]]()
    for name, place in files_in(folder).items():
        plain = plain_name(name)
        if plain.suffix.lower() in formats and plain.name not in _NO_SPLITS:
            splits.setdefault(canonical_mode(plain.stem), []).append(place)
    return splits


def _formats() -> set[str]:
    return {f".{name}" for name in (*catalog().entries("table"), "txt")}


def listed_labels(folder: str | Path) -> list[str] | None:
    """The labels in the folder's ``labels.txt``, None where it has none."""
    place = files_in(folder).get(LABELS_FILE)
    return None if place is None else read_labels(local_file(place))


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
