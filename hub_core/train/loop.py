"""The loop itself: epochs, steps, evaluation and saving. `hub_core.train.trainer` is its front."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from hub_core.errors import NonFiniteLossError
from hub_core.examples import Batch, Example, Features
from hub_core.torch_module import TorchModule
from hub_core.train.average import WeightAverage
from hub_core.train.batches import Plan, StepStream, to_torch
from hub_core.train.interrupts import Interrupts
from hub_core.train.reporting import Reporter
from hub_core.train.schedule import rate_factor
from hub_core.train.state import Progress, check_same_run, load_state, random_state, restore_random_state, save_state

if TYPE_CHECKING:
    from hub_core.train.trainer import Trainer

Metrics = dict[str, float]
Collate = Callable[[Sequence[Features]], Batch]


@dataclass(frozen=True)
class TrainResult:
    """What a run did: optimizer steps done in all, the best metrics, and one row per logged step or evaluation."""

    steps: int
    best: Metrics | None
    history: tuple[Mapping[str, float], ...]


_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Loop:
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
        self.accelerator = trainer.accelerator
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
            self.trainer.checkpoints.folder / "visualization" if self.trainer.use_tensorboard else None,
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
            self.trainer.task,
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
        if progress.best is None or self.trainer.is_better(progress.best, metrics):
            progress.best = metrics
            if self.accelerator.is_main_process:
                self.checkpoints.save_best(self.model, metrics)
        return metrics

    def _save_state(self) -> None:
        """Save what a later call needs to go on from here; every process's generators included."""
        states = self.trainer.gather([random_state()])
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
