"""`hub.Trainer`: the one training loop. What differs between ways of training is the objective it is given."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hub_core.errors import DataError, SettingsError, unknown
from hub_core.examples import Example, Features
from hub_core.infer.answers import warn_truncated
from hub_core.torch_module import TorchModule, pick_device
from hub_core.train.batches import Plan, encode_all
from hub_core.train.checkpoints import Checkpoints
from hub_core.train.loop import Collate, Loop, Metrics, TrainResult
from hub_core.train.objectives import Objective, Supervised
from hub_core.train.optimizers import adamw
from hub_core.train.settings import TrainSettings

if TYPE_CHECKING:
    from hub_core.tasks.task import Task

__all__ = ["TrainResult", "Trainer", "fingerprint"]


class Trainer:
    """Trains a module with PaddleHub's arguments; everything beyond them is in `settings`.

    - `optimizer`: any of torch's, made from ``model.parameters()`` (None: AdamW with a learning rate of 5e-5).
    - `use_gpu`: train on the GPU; DeviceError where there is none. `use_vdl`: write TensorBoard's files to
      ``checkpoint_dir/visualization``.
    - `checkpoint_dir`: gets ``epoch_N/`` and ``best_model/`` (module folders) and ``state/`` (to continue from);
      default ``ckpt_<time>``.
    - `compare_metrics(old, new)`: whether new metrics are better; default: the larger `settings.metric`.
    - `objective`: how a batch becomes a loss; default: the task's own loss against the labels.

    An interrupted run continues where it stopped when the same program runs again (``settings.resume='auto'``), and
    on a CPU in float32 ends with bit-equal weights; other data, seed or options are refused with the difference.
    Under ``torchrun`` every process trains on its share of each batch.
    """

    def __init__(
        self,
        model: TorchModule,
        optimizer: torch.optim.Optimizer | None = None,
        use_gpu: bool = False,
        use_vdl: bool = True,
        checkpoint_dir: str | Path | None = None,
        compare_metrics: Callable[[Metrics, Metrics], bool] | None = None,
        *,
        settings: TrainSettings | None = None,
        objective: Objective | None = None,
    ) -> None:
        if not isinstance(model, TorchModule):
            raise SettingsError(f"Trainer needs a module from hub.Module, not {type(model).__name__}")
        pick_device(use_gpu)
        from accelerate import Accelerator

        self.model = model
        self.settings = settings or TrainSettings()
        self.objective = objective or Supervised(model)
        self.optimizer = optimizer or adamw(model, learning_rate=5e-5)
        self.accelerator = Accelerator(cpu=not use_gpu)
        folder = Path(checkpoint_dir or time.strftime("ckpt_%Y%m%d_%H%M%S"))
        self.checkpoints = Checkpoints(folder, self.settings.save_dtype)
        self.use_tensorboard = use_vdl
        self.is_better = compare_metrics or self._larger
        self._add_objective_parameters()

    def train(
        self,
        train_dataset: Sequence[Example],
        epochs: int = 1,
        batch_size: int = 1,
        num_workers: int = 0,
        eval_dataset: Sequence[Example] | None = None,
        log_interval: int = 10,
        save_interval: int = 10,
        collate_fn: Collate | None = None,
    ) -> TrainResult:
        """Train until `epochs` epochs are done in all (a continued run does the rest).

        `batch_size` is per process; `log_interval` counts optimizer steps, `save_interval` epochs between
        ``epoch_N/`` folders. The last epoch is always evaluated (where there is an `eval_dataset`) and saved.

        Raises DataError for unusable rows, NonFiniteLossError when the loss becomes NaN or infinite (the last good
        state is kept), ResumeError, CheckpointError for a full disk; KeyboardInterrupt or SystemExit(143) after
        Ctrl-C or SIGTERM, when a state to continue from has been saved.
        """
        if self.settings.metric not in (None, *self.task.metric_names):
            raise SettingsError(unknown("metric", self.settings.metric, self.task.metric_names, where="to compare by"))
        _check_positive(epochs=epochs, batch_size=batch_size, log_interval=log_interval, save_interval=save_interval)
        features = [window for windows in self._encode(train_dataset) for window in windows]
        if not features:
            raise DataError(["the training data has no rows"])
        # The checkpoints remember the row length, so that predicting needs no reminder.
        self.model.task = self.task.with_options(max_seq_len=self._checked_length(train_dataset))
        plan = Plan(
            [row.length for row in features],
            batch_size,
            self.settings.accumulation,
            self.accelerator.num_processes,
            self.settings.seed,
            self.settings.order,
        )
        run = Loop(self, features, plan, epochs, log_interval, save_interval, num_workers, collate_fn)
        return run.go(self._description(train_dataset, plan, epochs), eval_dataset, batch_size)

    def evaluate(
        self,
        eval_dataset: Sequence[Example],
        batch_size: int = 1,
        num_workers: int = 0,  # noqa: ARG002  (PaddleHub's argument; rows are encoded in this process)
        collate_fn: Collate | None = None,  # noqa: ARG002
    ) -> dict[str, Metrics]:
        """Scores over a whole labelled corpus: ``{"metrics": {"f1": ...}}``. Every process gets the same answer."""
        task = self.task
        examples = list(eval_dataset)
        if not examples:
            raise DataError(["the evaluation data has no rows"])
        if any(example.label is None for example in examples):
            raise DataError(["the evaluation data has rows without labels"])
        predictor = self.model.predictor()
        share = slice(self.accelerator.process_index, None, self.accelerator.num_processes)
        length = self._checked_length(eval_dataset)
        own = list(predictor.predict(examples[share], max_seq_len=length, batch_size=batch_size))
        predictions = _interleave(self.gather(own))
        warn_truncated(predictions, length)
        return {"metrics": task.metrics(examples, predictions)}

    def _encode(self, dataset: Iterable[Example]) -> list[list[Features]]:
        length = self._checked_length(dataset)
        examples = list(dataset)
        if any(example.label is None for example in examples):
            raise DataError(["the training data has rows without labels"])
        return encode_all(examples, self.task, self.model.tokenizer, length)

    def _checked_length(self, dataset: Any) -> int:
        """The row length: the settings' (SettingsError where the network takes less), else the data set's or less."""
        predictor = self.model.predictor()
        own = getattr(dataset, "max_seq_len", None)
        if self.settings.max_seq_len is None and own is not None and predictor.max_length is not None:
            own = min(own, predictor.max_length)
        return predictor.checked_length(self.settings.max_seq_len or own)

    @property
    def is_main_process(self) -> bool:
        """Whether this process is the one that saves and prints; true where there is only one."""
        return bool(self.accelerator.is_main_process)

    @property
    def task(self) -> Task:
        """The module's task. Raises SettingsError where it has none."""
        return self.model.predictor().task

    def gather(self, own: list[Any]) -> list[list[Any]]:
        """What every process has, in the order of processes."""
        if self.accelerator.num_processes == 1:
            return [own]
        gathered: list[Any] = [None] * self.accelerator.num_processes
        torch.distributed.all_gather_object(gathered, own)
        return gathered

    def _larger(self, old: Metrics, new: Metrics) -> bool:
        key = self.settings.metric or self.task.main_metric
        return new[key] > old[key]

    def _add_objective_parameters(self) -> None:
        """Let the optimizer train the objective's own parameters too, with the settings of its first group."""
        held = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        extra = [p for p in self.objective.parameters() if p.requires_grad and id(p) not in held]
        if extra:
            self.optimizer.add_param_group({"params": extra})

    def _description(self, dataset: Any, plan: Plan, epochs: int) -> dict[str, Any]:
        """What makes this run this run: a state continues only under an equal description."""
        ignored = ("resume", "save_dtype", "keep_epochs", "evaluate_every", "metric", "state_steps", "max_seq_len")
        settings = {k: v for k, v in self.settings.to_json().items() if k not in ignored}
        groups = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
        return {
            "module": self.model.spec.title,
            "labels": list(self.model.labels),
            "data": dataset.fingerprint() if hasattr(dataset, "fingerprint") else fingerprint(dataset),
            "max_seq_len": self._checked_length(dataset),
            "epochs": epochs,
            "batch_size": plan.batch_size,
            "processes": plan.processes,
            "settings": settings,
            "objective": type(self.objective).__name__,
            "optimizer": {"class": type(self.optimizer).__name__, "groups": groups},
        }


def fingerprint(examples: Iterable[Example]) -> str:
    """A short hash of rows and labels, for data that is a plain sequence."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(repr((example.text, example.pair, example.units, example.label)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def _interleave(shares: Sequence[Sequence[Any]]) -> list[Any]:
    """Rows that were dealt out to processes in turn, in their first order."""
    return [row for rows in itertools.zip_longest(*shares, fillvalue=_NOTHING) for row in rows if row is not _NOTHING]


_NOTHING = object()


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SettingsError(f"{name} must be a whole number of at least 1, not {value!r}")
