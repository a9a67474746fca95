"""What a run leaves in its folder: ``best_model/``, ``epoch_N/``, ``step_N/`` (module folders) and ``state/``."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hub_core.errors import CheckpointError, ResumeError
from hub_core.paths import leftovers, locked
from hub_core.spec import MANIFEST
from hub_core.torch_module import TorchModule

#: Held while a run writes; removed with its end.
_LOCK = ".lock"
#: Seconds to wait for it: what a killed run has left running (workers that make rows) holds it until it ends, too.
_GRACE = 10.0


@dataclass(frozen=True)
class Checkpoints:
    """The layout of a ``checkpoint_dir``."""

    folder: Path
    dtype: str = "float32"

    @property
    def state(self) -> Path:
        """Where the state to continue from is kept; never inside a module folder."""
        return self.folder / "state"

    @property
    def best(self) -> Path:
        """The module folder of the best evaluated epoch."""
        return self.folder / "best_model"

    @property
    def visualization(self) -> Path:
        """TensorBoard's files."""
        return self.folder / "visualization"

    def refuse_modules(self) -> None:
        """Raise ResumeError where modules of an earlier run lie here that a new run would remove."""
        found = [] if not self.folder.is_dir() else [path for path in [self.best, *self._all()] if _is_ours(path)]
        if found:
            raise ResumeError(
                f"{self.folder} holds {', '.join(path.name for path in found)} of an earlier run, and no state to "
                "continue it from; choose another checkpoint_dir (--checkpoint-dir), or start anew with resume='never' "
                "(--resume never), which removes them"
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Make the folder, and keep other runs out of it for the block.

        Raises CheckpointError where it cannot be written, and where another process trains there.
        """
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass  # it can be written
        busy = CheckpointError(
            f"another process trains in {self.folder}; wait for it, or choose another checkpoint_dir (--checkpoint-dir)"
        )
        with locked(self.folder / _LOCK, busy=busy, wait=_GRACE):
            yield

    def begin(self, *, keep_best: bool) -> None:
        """Make the folder ready for a new run: what an earlier run of ours left in it goes, and nothing else.

        With `keep_best` its best model stays until the new run has one of its own, in case that run fails. Raises
        CheckpointError where the folder cannot be written.
        """
        with self._writing():
            self._remove([*([] if keep_best else [self.best]), self.visualization, *self._all()])

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CheckpointError(
                f"checkpoint_dir {self.folder} cannot be written: {error.strerror or error}"
            ) from error

    def discard(self) -> None:
        """Remove the weights that a run left and what it would continue from, and the folder where it is then empty."""
        if self.folder.is_dir():
            self.sweep()
            self._remove([self.best, *self._all()])
            for empty in (self.state, self.folder):
                if empty.is_dir() and not any(empty.iterdir()):
                    empty.rmdir()

    def _remove(self, folders: Iterable[Path]) -> None:
        """Remove folders of ours. The states go first: what is cut short here must not look like a run to continue."""
        for old in (*self.state.glob("step-*"), *folders):
            if _is_ours(old):
                shutil.rmtree(old)

    def sweep(self) -> None:
        """Remove the halves that killed writers left."""
        for path in [*leftovers(self.folder, older_than=0), *leftovers(self.state, older_than=0)]:
            if _STAGED.fullmatch(path.name):
                shutil.rmtree(path)

    def save_best(self, module: TorchModule, metrics: Mapping[str, float]) -> None:
        """Replace ``best_model/``."""
        module.save(self.best, dtype=self.dtype, metrics=metrics)

    def save_epoch(self, module: TorchModule, epoch: int, metrics: Mapping[str, float], *, keep: int) -> None:
        """Write ``epoch_N/`` and drop the lowest of the others, so that `keep` stand (0: all)."""
        saved = self.folder / f"epoch_{epoch}"
        module.save(saved, dtype=self.dtype, metrics=metrics)
        others = [path for path in self._epochs() if path != saved and _is_ours(path)]
        for old in others[: max(0, len(others) + 1 - keep)] if keep else []:
            shutil.rmtree(old)

    def save_step(self, module: TorchModule, step: int, metrics: Mapping[str, float]) -> None:
        """Write ``step_N/``, which stays."""
        module.save(self.folder / f"step_{step}", dtype=self.dtype, metrics=metrics)

    def _epochs(self) -> list[Path]:
        """The ``epoch_N`` folders, in the order of N."""
        return self._numbered("epoch")

    def _all(self) -> list[Path]:
        return [*self._numbered("epoch"), *self._numbered("step")]

    def _numbered(self, what: str) -> list[Path]:
        found = [path for path in self.folder.iterdir() if re.fullmatch(rf"{what}_\d+", path.name)]
        return sorted(found, key=lambda path: int(path.name.removeprefix(f"{what}_")))


#: What `hub_core.paths` calls a folder of a run that is still being written.
_STAGED = re.compile(r"\.(best_model|epoch_\d+|step_\d+|step-\d+)\.[0-9a-f]{32}\.tmp")


def _is_ours(path: Path) -> bool:
    """Whether a folder holds what a run writes there (a module, states, TensorBoard's events), and not a user's own."""
    if not path.is_dir() or path.is_symlink():
        return False
    if path.name.startswith("step-"):
        return True
    if path.name == "visualization":
        return all(entry.name.startswith("events.out.tfevents") for entry in path.iterdir())
    return (path / MANIFEST).is_file()
