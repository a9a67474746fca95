"""The state from which a run continues as if it had never stopped: kept in ``checkpoint_dir/state``.

One folder per saved step; it is complete when it has its name, and older ones go only after that.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hub_core.errors import CheckpointError, ResumeError
from hub_core.paths import atomic_folder


@dataclass
class Progress:
    """How far a run has come. `epoch` and `step` (within the epoch) are the next to do, `global_step` counts all.

    `latest` and `best` are metrics of evaluations, of which there were `evaluations`; `stale` of them in a row were not
    clearly better than those of `mark`. `evaluated` is the step of the latest. `ended` is the last step of all, once
    what follows it is done too. `unlogged` are the losses since the last log line. `run` names the run to trackers.
    """

    epoch: int = 0
    step: int = 0
    global_step: int = 0
    best: dict[str, float] | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    evaluations: int = 0
    evaluated: int = 0
    latest: dict[str, float] | None = None
    mark: dict[str, float] | None = None
    stale: int = 0
    ended: int | None = None
    unlogged: list[dict[str, float]] = field(default_factory=list)
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])


@dataclass(frozen=True)
class Saved:
    """A state read from disk: where the run was, what run it was, and its tensors."""

    progress: Progress
    run: Mapping[str, Any]
    tensors: Mapping[str, Any]


def save_state(folder: Path, progress: Progress, run: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
    """Write a state, then drop the older ones. Raises CheckpointError where the disk is full; older ones then stay."""
    target = folder / f"step-{progress.global_step:09d}"
    try:
        with atomic_folder(target) as staged:
            torch.save(dict(tensors), staged / "tensors.pt")
            record = {"progress": asdict(progress), "run": dict(run)}
            (staged / "run.json").write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise CheckpointError(f"the state could not be saved to {target}: {error}; the older one is kept") from error
    for old in _states(folder)[:-1]:
        shutil.rmtree(old)


def load_state(folder: Path) -> Saved | None:
    """Read the newest state, or None where there is none. Raises CheckpointError where it is damaged."""
    states = _states(folder)
    if not states:
        return None
    newest = states[-1]
    try:
        record = json.loads((newest / "run.json").read_text(encoding="utf-8"))
        tensors = torch.load(newest / "tensors.pt", map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"{newest} is damaged: {error}; choose another checkpoint_dir (--checkpoint-dir), or start anew with "
            "resume='never' (--resume never)"
        ) from error
    return Saved(Progress(**record["progress"]), record["run"], tensors)


def check_same_run(saved: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Raise ResumeError, listing the differences, where a saved state belongs to another run.

    More epochs, or more steps, are no difference where the learning rate does not look at their number: what is trained
    already would be the same.
    """
    settings = now["settings"]
    by_number = settings["schedule"] != "constant" or (settings["warmup_ratio"] and not settings["warmup_steps"])
    most, before = settings["max_steps"] or math.inf, saved.get("settings", {}).get("max_steps", 0) or math.inf
    grows = not by_number and saved.get("epochs", 0) <= now["epochs"] and before <= most
    remedy = "choose another checkpoint_dir (--checkpoint-dir), or start anew with resume='never' (--resume never)"
    refuse_differences(saved, now, folder, remedy=remedy, skip=("epochs", "settings.max_steps") if grows else ())


def refuse_differences(
    saved: Mapping[str, Any], now: Mapping[str, Any], folder: Path, *, remedy: str, skip: Sequence[str] = ()
) -> None:
    """Raise ResumeError that lists where two descriptions differ, but for the keys to `skip`."""
    differences = [
        f"  {key}: {old!r} in the saved state, {new!r} now"
        for key, old, new in _differences("", saved, json.loads(json.dumps(now)))
        if key not in skip
    ]
    if differences:
        raise ResumeError(
            f"{folder} holds the state of another run:\n" + "\n".join(differences) + "\n"
            f"continue with the same values, {remedy}"
        )


def random_state() -> dict[str, Any]:
    """The state of every generator that a step may draw from, as tensors and plain data."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": json.dumps(random.getstate()),
        "numpy": json.dumps([str(name), np.asarray(keys).tolist(), int(position), int(has_gauss), float(gauss)]),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Put back what `random_state` returned."""
    version, internal, gauss = json.loads(state["python"])
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = json.loads(state["numpy"])
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def _states(folder: Path) -> list[Path]:
    """Complete states, oldest first (a folder that is being written has another name)."""
    return sorted(path for path in folder.glob("step-*") if path.is_dir())


def _differences(prefix: str, old: Any, new: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = sorted(old.keys() | new.keys())
        return [row for key in keys for row in _differences(f"{prefix}{key}.", old.get(key), new.get(key))]
    if isinstance(old, list) and isinstance(new, list):
        return _differences(prefix, _numbered(old), _numbered(new))
    return [] if old == new else [(prefix.rstrip("."), old, new)]


def _numbered(values: list[Any]) -> dict[str, Any]:
    return {str(index): value for index, value in enumerate(values)}
