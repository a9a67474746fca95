"""`hub.Trainer`: the one training loop. What differs between ways of training is the objective it is given."""

from __future__ import annotations

import hashlib
import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hub_core.errors import DataError, NonFiniteLossError, SettingsError
from hub_core.infer.answers import warn_truncated
from hub_core.tasks.types import Batch, Example, Features
from hub_core.torch_module import TorchModule, pick_device
from hub_core.train.average import WeightAverage
from hub_core.train.batches import Plan, StepStream, encode_all, to_torch
from hub_core.train.checkpoints import Checkpoints
from hub_core.train.interrupts import Interrupts
from hub_core.train.objectives import Objective, Supervised
from hub_core.train.optimizers import adamw
from hub_core.train.reporting import Reporter
from hub_core.train.schedule import rate_factor
from hub_core.train.settings import TrainSettings
from hub_core.train.state import Progress, check_same_run, load_state, random_state, restore_random_state, save_state

Metrics = dict[str, float]
Collate = Callable[[Sequence[Features]], Batch]


@dataclass(frozen=True)
class TrainResult:
    """What a run did: optimizer steps done in all, the best metrics, and one row per logged step or evaluation."""

    steps: int
    best: Metrics | None
    history: tuple[Mapping[str, float], ...]


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
        self._accelerator = Accelerator(cpu=not use_gpu)
        folder = Path(checkpoint_dir or time.strftime("ckpt_%Y%m%d_%H%M%S"))
        self.checkpoints = Checkpoints(folder, self.settings.save_dtype)
        self._use_tensorboard = use_vdl
        self._is_better = compare_metrics or self._larger
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
        _check_positive(epochs=epochs, batch_size=batch_size, log_interval=log_interval, save_interval=save_interval)
        features = [window for windows in self._encode(train_dataset) for window in windows]
        if not features:
            raise DataError(["the training data has no rows"])
        # The checkpoints remember the row length, so that predicting needs no reminder.
        self.model.task = self._task().with_options(max_seq_len=self._checked_length(train_dataset))
        plan = Plan(
            [row.length for row in features],
            batch_size,
            self.settings.accumulation,
            self._accelerator.num_processes,
            self.settings.seed,
            self.settings.order,
        )
        run = _Run(self, features, plan, epochs, log_interval, save_interval, num_workers, collate_fn)
        return run.go(self._description(train_dataset, plan, epochs), eval_dataset, batch_size)

    def evaluate(
        self,
        eval_dataset: Sequence[Example],
        batch_size: int = 1,
        num_workers: int = 0,  # noqa: ARG002  (PaddleHub's argument; rows are encoded in this process)
        collate_fn: Collate | None = None,  # noqa: ARG002
    ) -> dict[str, Metrics]:
        """Scores over a whole labelled corpus: ``{"metrics": {"f1": ...}}``. Every process gets the same answer."""
        task = self._task()
        examples = list(eval_dataset)
        if not examples:
            raise DataError(["the evaluation data has no rows"])
        if any(example.label is None for example in examples):
            raise DataError(["the evaluation data has rows without labels"])
        predictor = self.model.predictor()
        share = slice(self._accelerator.process_index, None, self._accelerator.num_processes)
        length = self._row_length(eval_dataset)
        own = list(predictor.predict(examples[share], max_seq_len=length, batch_size=batch_size))
        predictions = _interleave(self._gather(own))
        warn_truncated(predictions, predictor.checked_length(length))
        return {"metrics": task.metrics(examples, predictions)}

    def _encode(self, dataset: Iterable[Example]) -> list[list[Features]]:
        length = self._checked_length(dataset)
        examples = list(dataset)
        if any(example.label is None for example in examples):
            raise DataError(["the training data has rows without labels"])
        return encode_all(examples, self._task(), self.model.tokenizer, length)

    def _row_length(self, dataset: Any) -> int | None:
        return self.settings.max_seq_len or getattr(dataset, "max_seq_len", None)

    def _checked_length(self, dataset: Any) -> int:
        return self.model.predictor().checked_length(self._row_length(dataset))

    def _task(self) -> Any:
        return self.model.predictor().task

    def _gather(self, own: list[Any]) -> list[list[Any]]:
        """What every process has, in the order of processes."""
        if self._accelerator.num_processes == 1:
            return [own]
        gathered: list[Any] = [None] * self._accelerator.num_processes
        torch.distributed.all_gather_object(gathered, own)
        return gathered

    def _larger(self, old: Metrics, new: Metrics) -> bool:
        key = self.settings.metric or self._task().main_metric
        if key not in new:
            raise SettingsError(f"metric {key!r} is not measured; there are: {', '.join(new)}")
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


class _Run:
    """One call of `Trainer.train`: the loop and what it needs to remember."""

    def __init__(
        self,
        trainer: Trainer,
        features: Sequence[Features],
        plan: Plan,
        epochs: int,
        log_interval: int,
        save_interval: int,
        workers: int,
        collate: Collate | None,
    ) -> None:
        self.trainer = trainer
        self.settings = trainer.settings
        self.accelerator = trainer._accelerator
        self.checkpoints = trainer.checkpoints
        self.model, self.objective, self.optimizer = trainer.model, trainer.objective, trainer.optimizer
        self.features, self.plan, self.epochs = features, plan, epochs
        self.log_interval, self.save_interval, self.workers, self.collate = (
            log_interval,
            save_interval,
            workers,
            collate,
        )
        self.total_steps = plan.steps_per_epoch * epochs
        self.base_rates = [float(group["lr"]) for group in trainer.optimizer.param_groups]
        self.progress = Progress()
        self.scaler = torch.amp.GradScaler(self.accelerator.device.type, enabled=self.settings.precision == "fp16")
        self.average: WeightAverage | None = None
        self.losses: list[torch.Tensor] = []

    def go(
        self, description: Mapping[str, Any], eval_dataset: Sequence[Example] | None, batch_size: int
    ) -> TrainResult:
        """The whole run: continue or start, epochs, evaluation, saving."""
        self.description = description
        self.model.to(self.accelerator.device)
        self.objective.to(self.accelerator.device)
        torch.manual_seed(self.settings.seed + self.accelerator.process_index)
        if self.settings.ema:
            self.average = WeightAverage(self.model, self.settings.ema)
        self._continue()
        self.prepared = self._prepare(self.model)
        self.reporter = Reporter(
            self.trainer.checkpoints.folder / "visualization" if self.trainer._use_tensorboard else None,
            total_steps=self.total_steps,
            done_steps=self.progress.global_step,
            steps_per_epoch=self.plan.steps_per_epoch,
            epochs=self.epochs,
            visible=self.accelerator.is_main_process,
        )
        with self.reporter, Interrupts() as interrupts:
            self.model.train()
            try:
                while self.progress.epoch < self.epochs:
                    self._epoch(interrupts)
                    self._end_epoch(eval_dataset, batch_size)
            finally:
                self.model.eval()
        if self.average is not None:
            self.average.apply()
        return TrainResult(self.progress.global_step, self.progress.best, tuple(self.progress.history))

    def _continue(self) -> None:
        """Read the saved state, if this run is to continue one."""
        folder = self.trainer.checkpoints.state
        saved = load_state(folder) if self.settings.resume == "auto" else None
        if saved is None:
            if self.accelerator.is_main_process:
                self.trainer.checkpoints.begin()
            return
        check_same_run(saved.run, self.description, folder)
        self.progress = saved.progress
        self.model.load_state_dict(saved.tensors["model"])
        self.objective.load_state_dict(saved.tensors["objective"])
        self.optimizer.load_state_dict(saved.tensors["optimizer"])
        self.scaler.load_state_dict(saved.tensors["scaler"])
        if self.average is not None:
            self.average.load_state_dict(saved.tensors["average"])
        restore_random_state(saved.tensors["random"][self.accelerator.process_index])

    def _prepare(self, module: TorchModule) -> Any:
        """The module as every process calls it: itself, or wrapped so that gradients are exchanged."""
        if self.accelerator.num_processes == 1:
            return module
        return self.accelerator.prepare_model(module)

    def _epoch(self, interrupts: Interrupts) -> None:
        progress = self.progress
        self.objective.start_epoch(self.model, progress.epoch)
        stream = StepStream(
            self.features,
            self.trainer._task(),
            self.plan,
            epoch=progress.epoch,
            first=progress.step,
            process=self.accelerator.process_index,
            padding={"input_ids": self.model.tokenizer.pad_id},
            collate=self.collate,
        )
        for batches in stream.load(workers=self.workers):
            self._step(batches)
            if interrupts.received is not None:
                self._verified_losses()
                self._save_state()
                interrupts.stop()
            if self.settings.state_steps and progress.global_step % self.settings.state_steps == 0:
                self._verified_losses()
                self._save_state()

    def _step(self, batches: Sequence[Batch]) -> None:
        """One optimizer step over all its micro-batches."""
        progress = self.progress
        weight = self._total_weight(batches)
        factor = rate_factor(self.settings, progress.global_step, self.total_steps)
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor
        loss = torch.zeros((), device=self.accelerator.device)
        for index, batch in enumerate(batches):
            loss += self._backward(batch, weight, last=index == len(batches) - 1)
        progress.step += 1
        progress.global_step += 1
        self.losses.append(self._summed(loss))
        if self.accelerator.device.type == "cpu":  # on a GPU a look at every step would make it wait
            self._verified_losses()
        self.scaler.unscale_(self.optimizer)
        limit = self.settings.max_grad_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self._parameters(), limit)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update(self.progress.global_step)
        if progress.global_step % self.log_interval == 0 or progress.global_step == self.total_steps:
            self._log(norm)
        self.reporter.advance()

    def _backward(self, batch: Batch, weight: float, *, last: bool) -> torch.Tensor:
        """Add one micro-batch's share to the gradient; the share of the step's mean loss, detached."""
        moved = to_torch(batch, self.accelerator.device)
        # Processes exchange gradients once per step, with the last micro-batch.
        exchange = last or self.prepared is self.model
        dtype = _AUTOCAST.get(self.settings.precision)
        with (
            torch.autocast(self.accelerator.device.type, dtype=dtype, enabled=dtype is not None),
            nullcontext() if exchange else self.accelerator.no_sync(self.prepared),
        ):
            share: torch.Tensor = self.objective(self.prepared, moved).loss.float() / weight
            # The exchange takes the mean over processes; the loss is a sum over them.
            self.scaler.scale(share * self.accelerator.num_processes).backward()
        return share.detach()

    def _total_weight(self, batches: Sequence[Batch]) -> float:
        """How much the losses of this step add up, over micro-batches and processes."""
        own = sum(self.objective.weight(self.model, batch) for batch in batches)
        total = float(self._summed(torch.tensor(own, dtype=torch.float64, device=self.accelerator.device)))
        return total or 1.0  # a step without a single label has no loss

    def _summed(self, value: torch.Tensor) -> torch.Tensor:
        """A number summed over all processes."""
        if self.accelerator.num_processes > 1:
            torch.distributed.all_reduce(value)
        return value

    def _parameters(self) -> list[torch.Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _verified_losses(self) -> list[float]:
        """The losses since the last log line; raises NonFiniteLossError naming the first step that went wrong."""
        if not self.losses:
            return []
        values: list[float] = torch.stack(self.losses).tolist()
        bad = next((index for index, value in enumerate(values) if not math.isfinite(value)), None)
        if bad is not None:
            step = self.progress.global_step - len(values) + 1 + bad
            raise NonFiniteLossError(
                f"the loss became {values[bad]} at step {step} (epoch {self.progress.epoch + 1}); training stopped and "
                f"nothing was saved since the last good state in {self.checkpoints.folder}; try a smaller learning "
                "rate, warm-up, max_grad_norm=1.0, or precision='float32'"
            )
        return values

    def _log(self, norm: torch.Tensor) -> None:
        """One line, one point in TensorBoard, one row of history: the mean loss since the last one."""
        values = self._verified_losses()
        self.losses.clear()
        row = {
            "step": float(self.progress.global_step),
            "epoch": float(self.progress.epoch + 1),
            "loss": sum(values) / len(values),
            "grad_norm": float(norm),
            "lr": float(self.optimizer.param_groups[0]["lr"]),
        }
        self.progress.history.append(row)
        self.reporter.step(row)

    def _end_epoch(self, eval_dataset: Sequence[Example] | None, batch_size: int) -> None:
        """Evaluate and save what is due, and note the epoch as done."""
        self._verified_losses()
        epoch = self.progress.epoch + 1
        last = epoch == self.epochs
        with self.average.applied() if self.average else nullcontext():
            metrics: Metrics = {}
            if eval_dataset is not None and (last or epoch % self.settings.evaluate_every == 0):
                metrics = self._evaluate(eval_dataset, batch_size, epoch)
            if self.accelerator.is_main_process and (last or epoch % self.save_interval == 0):
                self.checkpoints.save_epoch(self.model, epoch, metrics, keep=self.settings.keep_epochs)
        self.progress.epoch, self.progress.step = epoch, 0
        self._save_state()

    def _evaluate(self, eval_dataset: Sequence[Example], batch_size: int, epoch: int) -> Metrics:
        """Measure, report, and save the module where it is better than the best so far."""
        progress = self.progress
        metrics = self.trainer.evaluate(eval_dataset, batch_size=batch_size)["metrics"]
        progress.history.append({"step": float(progress.global_step), "epoch": float(epoch), **metrics})
        self.reporter.evaluated(metrics, epoch=epoch, step=progress.global_step)
        if progress.best is None or self.trainer._is_better(progress.best, metrics):
            progress.best = metrics
            if self.accelerator.is_main_process:
                self.checkpoints.save_best(self.model, metrics)
        return metrics

    def _save_state(self) -> None:
        """Save what a later call needs to go on from here; every process's generators included."""
        states = self.trainer._gather([random_state()])
        if self.accelerator.is_main_process:
            tensors = {
                "model": self.model.state_dict(),
                "objective": self.objective.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "average": self.average.state_dict() if self.average else {},
                "random": [state for (state,) in states],
            }
            save_state(self.checkpoints.state, self.progress, self.description, tensors)
        self.accelerator.wait_for_everyone()


_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


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
