"""Where the numbers of a run can go beside the terminal: TensorBoard, trackio, SwanLab, Weights & Biases, MLflow.

A tracker's library is imported when a run that names it starts. What the library has to know (addresses, keys, working
offline) it reads where it always does: from its own settings and environment variables.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Protocol

from hub_core.errors import SettingsError
from hub_core.plugins import catalog

#: What runs are filed under where the tracker's own settings name no project.
PROJECT = "hub_core"


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a run: its `checkpoint_dir`, an `id` that stays when the run continues, the `step` it
    starts from (0: it is new), and the options that it trains with.
    """

    folder: Path
    id: str
    step: int
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What people see: the folder, and an id, since many a folder is called ``ckpt``."""
        return f"{self.folder.absolute().name}-{self.id}"


class Tracker(Protocol):
    """Takes the numbers of one run; a plugin's are made as ``tracker(run)``. Only one process of a run has trackers."""

    #: The package that must be installed; "" where there is none.
    package: ClassVar[str]

    def __init__(self, run: TrackedRun) -> None: ...

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Take in scalars (``TRAIN/loss``, ``EVAL/f1``) of an optimizer step."""

    def close(self) -> None:
        """The run is over."""


def tracker_classes(names: Sequence[str]) -> list[type[Tracker]]:
    """The trackers of these names, each once.

    Raises NotFoundError for an unknown one, SettingsError with the command that installs what is missing.
    """
    known = [catalog().get("tracker", name) for name in dict.fromkeys(name.lower() for name in names)]
    missing = [kind.package for kind in known if kind.package and find_spec(kind.package) is None]
    if missing:
        raise SettingsError(f"log_to needs what is not installed: pip install {' '.join(missing)}")
    return known


class TensorBoard:
    """TensorBoard's files, in ``checkpoint_dir/visualization``."""

    package: ClassVar[str] = "tensorboard"

    def __init__(self, run: TrackedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What a killed run logged after its last state is logged again.
        self._writer: Any = SummaryWriter(str(run.folder / "visualization"), purge_step=run.step + 1)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See `Tracker.log`."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """See `Tracker.close`."""
        self._writer.close()


class Trackio:
    """trackio, which keeps runs in a local data base (``TRACKIO_DIR``); `trackio show` shows them."""

    package: ClassVar[str] = "trackio"

    def __init__(self, run: TrackedRun) -> None:
        import trackio

        self._run: Any = trackio.init(project=PROJECT, name=run.name, config=dict(run.options), resume="allow")

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See `Tracker.log`."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """See `Tracker.close`."""
        self._run.finish()


class SwanLab:
    """SwanLab (``SWANLAB_MODE=local`` or ``offline``: nothing leaves the machine)."""

    package: ClassVar[str] = "swanlab"

    def __init__(self, run: TrackedRun) -> None:
        import swanlab

        self._swanlab: Any = swanlab
        swanlab.init(
            project=PROJECT,
            name=run.name,
            config=dict(run.options),
            log_dir=str(run.folder / "swanlab"),
            id=run.id,
            resume="allow",
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See `Tracker.log`."""
        self._swanlab.log(dict(values), step=step)

    def close(self) -> None:
        """See `Tracker.close`."""
        self._swanlab.finish()


class WandB:
    """Weights & Biases (``WANDB_MODE=offline``: nothing leaves the machine; ``WANDB_PROJECT``)."""

    package: ClassVar[str] = "wandb"

    def __init__(self, run: TrackedRun) -> None:
        import wandb

        self._run: Any = wandb.init(
            project=None if os.environ.get("WANDB_PROJECT") else PROJECT,
            name=run.name,
            id=run.id,
            resume="allow",
            dir=str(run.folder),
            config=dict(run.options),
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See `Tracker.log`."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """See `Tracker.close`."""
        self._run.finish()


class MLflow:
    """MLflow (``MLFLOW_TRACKING_URI``, ``MLFLOW_EXPERIMENT_NAME``)."""

    package: ClassVar[str] = "mlflow"

    def __init__(self, run: TrackedRun) -> None:
        from mlflow import MlflowClient

        self._client: Any = MlflowClient()
        experiment = _experiment(self._client, os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT)
        begun = self._client.search_runs([experiment], filter_string=f"tags.hub_run = '{run.id}'", max_results=1)
        self._run: str = begun[0].info.run_id if begun else self._begin(experiment, run)
        self._client.update_run(self._run, status="RUNNING")

    def _begin(self, experiment: str, run: TrackedRun) -> str:
        begun: str = self._client.create_run(experiment, run_name=run.name, tags={"hub_run": run.id}).info.run_id
        for name, value in run.options.items():
            self._client.log_param(begun, name, value)
        return begun

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See `Tracker.log`."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._run, metrics=[Metric(name, value, now, step) for name, value in values.items()])

    def close(self) -> None:
        """See `Tracker.close`."""
        self._client.set_terminated(self._run)


def _experiment(client: Any, name: str) -> str:
    """The id of an MLflow experiment, which is made where there is none of that name."""
    known = client.get_experiment_by_name(name)
    return str(known.experiment_id if known else client.create_experiment(name))
