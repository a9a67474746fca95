"""The loop itself: epochs, steps, evaluation and saving. `hub_core.train.trainer` is its front."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from hub_core.examples import Array, Batch, Features
from hub_core.train.average import WeightAverage
from hub_core.train.batches import Plan, RowSource, StepStream
from hub_core.train.callbacks import Callbacks, Moment
from hub_core.train.compiling import padded_lengths
from hub_core.train.interrupts import Interrupts
from hub_core.train.judging import Judge
from hub_core.train.layers import frozen_parameters, without_gradients
from hub_core.train.recomputing import recomputing
from hub_core.train.reporting import Reporter
from hub_core.train.schedule import LearningRates
from hub_core.train.shares import whole_state
from hub_core.train.state import Progress, check_same_run, load_state, random_state, restore_random_state, save_state
from hub_core.train.stepping import Stepper
from hub_core.train.trackers import TrackedRun, Tracker
from hub_core.train.watch import Watch

if TYPE_CHECKING:
    from hub_core.torch_module import TorchModule
    from hub_core.train.trainer import Trainer

Metrics = dict[str, float]
Collate = Callable[[Sequence[Features]], Batch]


@dataclass(frozen=True)
class TrainResult:
    """What a run did: optimizer steps done in all, the best metrics, and one row per logged step or evaluation.

    `stopped` says why it ended before its last step, None where it did not.
    """

    steps: int
    best: Metrics | None
    history: tuple[Mapping[str, float], ...]
    stopped: str | None = None


@dataclass(frozen=True)
class Call:
    """What one call of `Trainer.train` asks for, checked; `evaluate` measures the module as it is now, `before` is
    called with the module as it was given, once it is known that this run may begin or go on."""

    plan: Plan
    epochs: int
    log_interval: int
    save_interval: int
    workers: int
    collate: Collate | None
    class_weights: Array | None
    evaluate: Callable[[], Metrics] | None
    before: Callable[[], object] | None
    description: Mapping[str, Any]


class Loop:
    """One call of `Trainer.train`: the loop and what it needs to remember."""

    def __init__(self, trainer: Trainer, source: RowSource, call: Call) -> None:
        self.trainer, self.call, self.source = trainer, call, source
        self.settings, self.processes, self.checkpoints = trainer.settings, trainer.processes, trainer.checkpoints
        self.model, self.objective, self.optimizer = trainer.model, trainer.objective, trainer.optimizer
        self.lengths = padded_lengths(call.plan.lengths) if self.settings.compile else ()
        every = call.plan.steps_per_epoch * call.epochs
        self.total_steps = min(every, self.settings.max_steps or every)
        self.rates = LearningRates(self.optimizer, self.settings, self.total_steps)
        self.progress = Progress()
        # On a GPU a look at every step would make it wait.
        self.watch = Watch(
            self.checkpoints.folder,
            every_step=self.processes.device.type == "cpu",
            norms=self.settings.precision != "fp16",
        )
        self.stepper = Stepper(self.model, self.objective, self.optimizer, self.settings, self.processes, self.watch)
        self.average: WeightAverage | None = None
        self.judge = Judge(trainer.is_better, trainer.compared_metric, self.settings)
        self.callbacks = Callbacks(trainer.callbacks, self.processes)
        self.stopped: str | None = None

    def go(self) -> TrainResult:
        """The whole run: continue or start, epochs, evaluation, saving."""
        frozen = without_gradients(frozen_parameters(self.model, self.settings))
        alone = self.checkpoints.alone() if self.processes.is_main else nullcontext()
        with alone, frozen, recomputing(self.model, self.settings, self.processes.device):
            return self._go()

    def _go(self) -> TrainResult:
        self.model.to(self.processes.device)
        self.objective.to(self.processes.device)
        torch.manual_seed(self.settings.seed + self.processes.index)
        if self.settings.ema:
            self.average = WeightAverage(self.model, self.settings.ema)
        continued = self._begin()
        self.reporter = Reporter(
            self._trackers,
            total_steps=self.total_steps,
            done_steps=self.progress.global_step,
            continued=continued,
            ended=self.progress.ended == self.total_steps,
            steps_per_epoch=self.call.plan.steps_per_epoch,
            epochs=self.call.epochs,
            visible=self.processes.is_main,
        )
        done = False
        with self.reporter, Interrupts() as interrupts:
            self.stepper.train()
            try:
                self._stop(self.judge.verdict(self.progress))
                while self.progress.ended != self.total_steps and self.stopped is None:
                    self._epoch(interrupts)
                    if self._at_end_of_epoch():
                        self._end_epoch()
                        self._stop_if_asked(interrupts, saved=True)
                if self.stopped is not None:
                    self._end_early()
                done = True
            finally:
                self.stepper.disconnect(done=done)
                self.model.eval()
                self.rates.restore()
        if self.average is not None:
            self.average.apply()
        progress = self.progress
        return TrainResult(progress.global_step, progress.best, tuple(progress.history), self.stopped)

    def _trackers(self) -> list[Tracker]:
        """The trackers of this run, told what it is."""
        settings = self.settings.to_json()
        options = {name: self.call.description[name] for name in ("module", "epochs", "batch_size")}
        run = TrackedRun(self.checkpoints.folder, self.progress.run, self.progress.global_step, {**options, **settings})
        return [kind(run) for kind in self.trainer.trackers]

    def _begin(self) -> bool:
        """Read the saved state and give True, if this run is to continue one; else save the first weights as one."""
        saved = load_state(self.checkpoints.state) if self.settings.resume == "auto" else None
        if saved is not None:
            check_same_run(saved.run, self.call.description, self.checkpoints.state)
        elif self.settings.resume == "auto":
            self.checkpoints.refuse_modules()
        if self.call.before is not None:
            self.call.before()
        if saved is not None:
            self._continue(saved.progress, saved.tensors)
        if self.processes.is_main:
            self.checkpoints.sweep()
            if saved is None:
                self.checkpoints.begin(keep_best=self.call.evaluate is not None)
        self.stepper.connect()
        if saved is None:
            # The same program might draw another new head when it is started again.
            self._save_state()
        return saved is not None

    def _continue(self, progress: Progress, tensors: Mapping[str, Any]) -> None:
        if progress.ended is None and progress.step == 0 and progress.global_step == self.total_steps:
            progress.ended = self.total_steps  # states of old do not say it; one that awaits its end is within an epoch
        self.progress, self.watch.seen = progress, progress.unlogged
        self.model.load_state_dict(tensors["model"])
        self.objective.load_state_dict(tensors["objective"])
        self.optimizer.load_state_dict(tensors["optimizer"])
        self.stepper.scaler.load_state_dict(tensors["scaler"])
        if self.average is not None:
            self.average.load_state_dict(tensors["average"])
        restore_random_state(tensors["random"][self.processes.index])

    def _epoch(self, interrupts: Interrupts) -> None:
        progress = self.progress
        if progress.global_step == self.total_steps:
            return  # it was stopped between its last step and what follows it
        if progress.step == 0:
            self.objective.start_epoch(self.model, progress.epoch)
        stream = StepStream(
            self.source.epoch(progress.epoch),
            self.trainer.task,
            self.call.plan,
            epoch=progress.epoch,
            first=progress.step,
            process=self.processes.index,
            padding={"input_ids": self.model.tokenizer.pad_id},
            lengths=self.lengths,
            collate=self.call.collate,
            class_weights=self.call.class_weights,
        )
        for batches in stream.load(workers=self.call.workers):
            self._step(batches)
            self._after_step()
            self._stop_if_asked(interrupts)
            if self.settings.state_steps and progress.global_step % self.settings.state_steps == 0:
                self._save_state()
            if self.stopped is not None or progress.global_step == self.total_steps:
                return

    def _at_end_of_epoch(self) -> bool:
        """Whether an epoch is done, or all of the run."""
        progress = self.progress
        return progress.step == self.call.plan.steps_per_epoch or progress.global_step == self.total_steps

    def _step(self, batches: Sequence[Batch]) -> None:
        progress = self.progress
        self.rates.set(progress.global_step)
        norm = self.stepper.step(batches, number=progress.global_step + 1, epoch=progress.epoch + 1)
        progress.step += 1
        progress.global_step += 1
        if self.average is not None:
            self.average.update(progress.global_step)
        if progress.global_step % self.call.log_interval == 0 or progress.global_step == self.total_steps:
            self._log(norm)
        self.reporter.advance()

    def _after_step(self) -> None:
        """Evaluate where that is due within an epoch, and ask the callbacks."""
        step, interval = self.progress.global_step, self.settings.eval_interval
        due = interval and step % interval == 0 and step < self.total_steps
        evaluated = due and self._evaluate()
        if self.settings.save_steps and step % self.settings.save_steps == 0:
            self._save_module(lambda module, metrics: self.checkpoints.save_step(module, step, metrics))
        self._ask("on_step")
        if evaluated:
            self._ask("on_evaluation")

    def _stop_if_asked(self, interrupts: Interrupts, *, saved: bool = False) -> None:
        """Save and stop in all processes where one of them was told to; they ask each other at the same steps."""
        interrupts.received = self.processes.largest(interrupts.received or 0) or None
        if interrupts.received is not None:
            if not saved:
                self._save_state()
            interrupts.stop()

    def _log(self, norm: torch.Tensor) -> None:
        """One line, one point in TensorBoard, one row of history: the mean loss since the last one."""
        row = {
            "step": float(self.progress.global_step),
            "epoch": float(self.progress.epoch + 1),
            **self.watch.means(),
            "grad_norm": float(norm),
            "lr": float(self.optimizer.param_groups[0]["lr"]),
        }
        self.progress.history.append(row)
        self.reporter.step(row)

    def _end_epoch(self) -> None:
        """Evaluate and save what is due, note the epoch as done, and ask the callbacks."""
        progress = self.progress
        epoch = progress.epoch + 1
        last = progress.global_step == self.total_steps
        by_epoch = not self.settings.eval_interval and epoch % self.settings.evaluate_every == 0
        evaluated = (last or by_epoch) and self._evaluate()
        if last or epoch % self.call.save_interval == 0:
            self._save_epoch(epoch)
        moment = self._moment()
        if progress.step == self.call.plan.steps_per_epoch:
            progress.epoch, progress.step = epoch, 0
        if last:
            progress.ended = self.total_steps
        self._save_state()
        if evaluated:
            self._ask("on_evaluation", moment)
        self._ask("on_epoch", moment)

    def _end_early(self) -> None:
        """Leave what the last step of all would have left: an evaluation, ``epoch_N``, and a state."""
        progress = self.progress
        evaluated = self._evaluate()
        self._save_epoch(progress.epoch + (progress.step > 0))
        self._save_state()
        if evaluated:
            self._ask("on_evaluation")

    def _save_epoch(self, epoch: int) -> None:
        """Write ``epoch_N``."""
        keep = self.settings.keep_epochs
        self._save_module(lambda module, metrics: self.checkpoints.save_epoch(module, epoch, metrics, keep=keep))

    def _save_module(self, save: Callable[[TorchModule, Metrics], None]) -> None:
        """Save the module as it is now, with what was measured of it."""
        self._check_finite()
        self.stepper.gather()
        progress = self.progress
        metrics = (progress.latest or {}) if progress.evaluated == progress.global_step else {}
        with self.average.applied() if self.average else nullcontext():
            if self.processes.is_main:
                save(self.model, metrics)

    def _evaluate(self) -> bool:
        """Measure the module as it is now, once, and save it where it is the best so far; whether that was done."""
        progress = self.progress
        if self.call.evaluate is None or progress.evaluated == progress.global_step:
            return False
        self._check_finite()
        self.stepper.gather()
        epoch = progress.epoch + 1
        with self.average.applied() if self.average else nullcontext():
            metrics = self.call.evaluate()
            progress.history.append({"step": float(progress.global_step), "epoch": float(epoch), **metrics})
            self.reporter.evaluated(metrics, epoch=epoch, step=progress.global_step)
            if self.judge.take(progress, metrics) and self.processes.is_main:
                self.checkpoints.save_best(self.model, metrics)
        self._stop(self.judge.verdict(progress))
        return True

    def _moment(self) -> Moment:
        progress = self.progress
        return Moment(
            step=progress.global_step,
            total_steps=self.total_steps,
            epoch=progress.epoch + 1,
            epochs=self.call.epochs,
            evaluations=progress.evaluations,
            metrics=progress.latest,
            best=progress.best,
            is_main=self.processes.is_main,
        )

    def _ask(self, event: str, moment: Moment | None = None) -> None:
        """Ask the callbacks. Where one fails, what was trained is saved before its error is raised."""
        self._stop(self.callbacks.ask(event, moment or self._moment()))
        if self.callbacks.failed:
            self._save_state()
            self.callbacks.raise_failure()

    def _stop(self, reason: str | None) -> None:
        """Note why to stop, the first reason there is; at the last step of all there is nothing left to stop."""
        if reason is None or self.stopped is not None or self.progress.global_step == self.total_steps:
            return
        self.stopped = reason
        self.reporter.stopped(reason, step=self.progress.global_step)

    def _check_finite(self) -> None:
        """Nothing is saved that is not finite."""
        self.watch.verify()
        self.watch.verify_weights(self.stepper.parameters())

    def _save_state(self) -> None:
        """Save what a later call needs to go on from here; every process's generators included."""
        self._check_finite()
        self.progress.unlogged = self.watch.seen
        self.stepper.gather()
        optimizer = whole_state(self.optimizer)
        states = self.processes.gather([random_state()])
        if self.processes.is_main:
            tensors = {
                "model": self.model.state_dict(),
                "objective": self.objective.state_dict(),
                "optimizer": optimizer,
                "scaler": self.stepper.scaler.state_dict(),
                "average": self.average.state_dict() if self.average else {},
                "random": [state for (state,) in states],
            }
            save_state(self.checkpoints.state, self.progress, self.call.description, tensors)
        self.processes.wait()
