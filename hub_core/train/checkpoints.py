"""What a run leaves in its folder: ``best_model/``, ``epoch_N/`` (module folders) and ``state/``."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hub_core.errors import CheckpointError
from hub_core.torch_module import TorchModule


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

    def begin(self) -> None:
        """Make the folder for a new run. Raises CheckpointError where it cannot be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.state.exists():
                shutil.rmtree(self.state)
            probe = self.folder / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise CheckpointError(
                f"checkpoint_dir {self.folder} cannot be written: {error.strerror or error}"
            ) from error

    def save_best(self, module: TorchModule, metrics: Mapping[str, float]) -> None:
        """Replace ``best_model/``."""
        module.save(self.best, dtype=self.dtype, metrics=metrics)

    def save_epoch(self, module: TorchModule, epoch: int, metrics: Mapping[str, float], *, keep: int) -> None:
        """Write ``epoch_N/`` and drop all but the newest `keep` of its kind (0: keep all)."""
        module.save(self.folder / f"epoch_{epoch}", dtype=self.dtype, metrics=metrics)
        found = [path for path in self.folder.iterdir() if re.fullmatch(r"epoch_\d+", path.name)]
        found.sort(key=lambda path: int(path.name.removeprefix("epoch_")))
        for old in found[:-keep] if keep else []:
            shutil.rmtree(old)
