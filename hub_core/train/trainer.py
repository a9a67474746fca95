"""`hub.Trainer`: the one training loop. What differs between ways of training is the objective it is given."""

from __future__ import annotations

import itertools
import operator
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hub_core.errors import DataError, SettingsError, unknown
from hub_core.examples import Array, Example, Features
from hub_core.infer.answers import cut_to, warn_truncated
from hub_core.torch_engine import has_bfloat16, pick_device
from hub_core.torch_module import TorchModule
from hub_core.train.batches import Plan, RowSource, SameRows, encode_all
from hub_core.train.callbacks import Callback
from hub_core.train.checkpoints import Checkpoints
from hub_core.train.class_weights import weight_table
from hub_core.train.description import describe_module, describe_optimizer, describe_settings, fingerprint
from hub_core.train.layers import frozen_parameters, without_gradients
from hub_core.train.loop import Call, Collate, Loop, Metrics, TrainResult
from hub_core.train.objectives import Objective, Supervised
from hub_core.train.optimizers import MAKING, fuse, optimizer_of, with_rates
from hub_core.train.processes import Processes, accelerator_on
from hub_core.train.settings import TrainSettings
from hub_core.train.trackers import tracker_classes

if TYPE_CHECKING:
    from hub_core.tasks.task import Task

__all__ = ["TrainResult", "Trainer", "fingerprint"]


class Trainer:
    """Trains a module with PaddleHub's arguments; everything beyond them is in `settings`.

    - `optimizer`: any of torch's, made from ``model.parameters()``. None: the one that the settings describe
      (`optimizer`, `learning_rate`, ...; AdamW with a learning rate of 5e-5), which they do not where it is given.
    - `use_gpu`: train on the GPU; DeviceError where there is none. `use_vdl`: write TensorBoard's files to
      ``checkpoint_dir/visualization``.
    - `checkpoint_dir`: gets ``epoch_N/`` and ``best_model/`` (module folders) and ``state/`` (to continue from);
      default ``ckpt_<time>``.
    - `compare_metrics(old, new)`: whether new metrics are better; default: the larger `settings.metric`.
    - `objective`: how a batch becomes a loss; default: the task's own loss against the labels.
    - `callbacks`: called as the run goes on; they may end it (`hub_core.train.callbacks.Callback`).

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
        callbacks: Sequence[Callback] = (),
    ) -> None:
        if not isinstance(model, TorchModule):
            raise SettingsError(f"Trainer needs a module from hub.Module, not {type(model).__name__}")
        device = pick_device(use_gpu)
        self.model = model
        self.settings = _with_precision(settings or TrainSettings(), model, device)
        self.objective = Supervised(model) if objective is None else objective
        self._made_optimizer = optimizer is None
        self.optimizer = self._checked_optimizer(optimizer)
        self.accelerator = accelerator_on(device)
        self.processes = Processes(self.accelerator)
        if self.settings.sharding == "full" and self.processes.count == 1:
            raise SettingsError("sharding='full' needs several processes: torchrun --nproc_per_node=2 PROGRAM")
        folder = Path(checkpoint_dir or time.strftime("ckpt_%Y%m%d_%H%M%S"))
        self.checkpoints = Checkpoints(folder, self.settings.save_dtype)
        self.trackers = tracker_classes([*(["tensorboard"] if use_vdl else []), *self.settings.log_to])
        if compare_metrics is not None and self.settings.min_delta:
            raise SettingsError("min_delta is by how much a metric must be larger, but compare_metrics compares here")
        self.is_better = compare_metrics or self._larger
        self.callbacks = tuple(callbacks)
        self._add_objective_parameters()

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a subclass with PaddleHub's steps: nothing would call them."""
        super().__init_subclass__(**options)
        if lost := sorted(_PADDLEHUB_STEPS & vars(cls).keys()):
            raise SettingsError(
                f"{cls.__name__} defines {', '.join(lost)}, which this trainer does not call: give it "
                "an objective (hub_core.train.objectives.Objective) for another loss, a callback "
                "(hub_core.train.callbacks.Callback) for what happens beside the steps, and TrainSettings for rates"
            )

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
        if eval_dataset is None and (self.settings.patience or self.settings.eval_interval):
            raise SettingsError(
                "patience and eval_interval are about evaluations; give eval_dataset, or leave them out"
            )
        epochs = _whole_number("epochs", epochs)
        features = [window for windows in self._encode(train_dataset, "training") for window in windows]
        length = self._checked_length(train_dataset)
        _warn_cut(features, length)
        batch_size = _whole_number("batch_size", batch_size)
        return self.train_on(
            SameRows(features),
            [row.length for row in features],
            max_seq_len=length,
            fingerprint=fingerprint(train_dataset),
            epochs=epochs,
            batch_size=batch_size,
            num_workers=num_workers,
            evaluate=None if eval_dataset is None else self._evaluation(eval_dataset, batch_size),
            log_interval=log_interval,
            save_interval=save_interval,
            collate_fn=collate_fn,
            class_weights=weight_table(self.settings, self.model, features),
        )

    def train_on(
        self,
        source: RowSource,
        lengths: Sequence[int] | Array,
        *,
        max_seq_len: int,
        fingerprint: str | Mapping[str, Any],
        epochs: int = 1,
        batch_size: int = 1,
        num_workers: int = 0,
        evaluate: Callable[[], Metrics] | None = None,
        before: Callable[[], object] | None = None,
        log_interval: int = 10,
        save_interval: int = 10,
        collate_fn: Collate | None = None,
        class_weights: Array | None = None,
    ) -> TrainResult:
        """Train on rows that are numbers already, and may be made as they are needed: what `train` does at its end.

        `lengths` are the tokens of every row of an epoch, `max_seq_len` is what checkpoints say of them; `fingerprint`
        tells this data from others when a run continues. `evaluate` measures the module as it is; `before` is called
        with the module as it was given, once it is known that `checkpoint_dir` is fit. `class_weights` is the weight of
        every target. Everything else is as in `train`.
        """
        # The checkpoints remember the row length, so that predicting needs no reminder.
        self.model.task = self.task.with_options(max_seq_len=max_seq_len)
        plan = self.plan(lengths, batch_size)
        call = Call(
            plan=plan,
            epochs=_whole_number("epochs", epochs),
            log_interval=_whole_number("log_interval", log_interval),
            save_interval=_whole_number("save_interval", save_interval),
            workers=_whole_number("num_workers", num_workers, least=0),
            collate=collate_fn,
            class_weights=class_weights,
            evaluate=evaluate,
            before=before,
            description=self._description(fingerprint, plan, epochs, collate_fn),
        )
        return Loop(self, source, call).go()

    def plan(self, lengths: Sequence[int] | Array, batch_size: int) -> Plan:
        """How rows of these lengths are cut into steps. Raises SettingsError for an unusable `batch_size`."""
        return Plan(
            lengths,
            batch_size=_whole_number("batch_size", batch_size),
            accumulation=self.settings.accumulation,
            processes=self.processes.count,
            seed=self.settings.seed,
            order=self.settings.order,
        )

    def evaluate(
        self,
        eval_dataset: Sequence[Example],
        batch_size: int = 1,
        num_workers: int = 0,
        collate_fn: Collate | None = None,
    ) -> dict[str, Metrics]:
        """Scores over a whole labelled corpus: ``{"metrics": {"f1": ...}}``. Every process gets the same answer.

        `num_workers` changes nothing: rows are encoded here. Raises SettingsError for a `collate_fn`, which shapes
        what is trained on: scores are those of `predict`, on rows as it reads them.
        """
        _whole_number("num_workers", num_workers, least=0)
        if collate_fn is not None:
            raise SettingsError("collate_fn is for train: evaluate measures what predict answers; leave it out")
        evaluate = self._evaluation(eval_dataset, batch_size)
        return {"metrics": evaluate()}

    def _evaluation(self, dataset: Sequence[Example], batch_size: int) -> Callable[[], Metrics]:
        """What measures the module on a data set, which is checked and encoded now: once, and before an epoch is spent.

        Every process answers its share of the rows.
        """
        batch_size = _whole_number("batch_size", batch_size)
        examples, length = list(dataset), self._checked_length(dataset)
        share = slice(self.processes.index, None, self.processes.count)
        encoded = self._encode(dataset, "evaluation")[share]

        def scores() -> Metrics:
            self.model.to(self.processes.device)
            predictor = self.model.predictor(dtype="auto")
            own = list(predictor.predict_encoded(examples[share], encoded, batch_size=batch_size))
            predictions = _interleave(self.processes.gather(own))
            warn_truncated(predictions, length)
            return self.task.metrics(examples, predictions)

        return scores

    def _encode(self, dataset: Iterable[Example], what: str) -> list[list[Features]]:
        """Encode rows, all of which must have labels that the task knows. Raises DataError for others, and for none."""
        encoded = encode_all(_placed(dataset), self.task, self.model.tokenizer, self._checked_length(dataset))
        if not any(encoded):
            raise DataError([f"the {what} data has no rows"])
        return encoded

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
        return self.processes.is_main

    @property
    def task(self) -> Task:
        """The module's task. Raises SettingsError where it has none."""
        return self.model.known_task()

    def compared_metric(self, metrics: Metrics) -> str:
        """The name of the metric by which evaluations are compared, unless `compare_metrics` does that."""
        return self.settings.metric or self.task.compared(metrics)

    def _larger(self, old: Metrics, new: Metrics) -> bool:
        key = self.compared_metric(new)
        return new[key] > old[key]

    def _checked_optimizer(self, optimizer: torch.optim.Optimizer | None) -> torch.optim.Optimizer:
        """The optimizer, without what is frozen, or the one that the settings describe.

        Raises SettingsError where there is nothing that it would train, and where settings say how to make an
        optimizer that is made already.
        """
        title = self.model.spec.title
        frozen = frozen_parameters(self.model, self.settings)
        with without_gradients(frozen):
            trained = nn.ModuleList([self.model, self.objective])
            ours = {id(p) for p in trained.parameters() if p.requires_grad}
            if not ours:
                raise SettingsError(f"nothing to train: every parameter of {title} has requires_grad=False")
            if optimizer is None:
                self.settings = with_rates(self.settings)
                optimizer = optimizer_of(self.settings, self.model, self.objective.parameters())
        _refuse_making(self.settings, made=not self._made_optimizer)
        _leave_out(optimizer, frozen)
        if not any(id(p) in ours for group in optimizer.param_groups for p in group["params"]):
            raise SettingsError(
                f"the optimizer holds no trainable parameter of {title} (or of the objective); "
                "make it from this model's parameters(), after the model is loaded"
            )
        fuse(optimizer)
        return optimizer

    def _add_objective_parameters(self) -> None:
        """Let the optimizer train the objective's own parameters too, with the settings of its first group."""
        held = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        extra = [p for p in self.objective.parameters() if p.requires_grad and id(p) not in held]
        if extra:
            self.optimizer.add_param_group({"params": extra})

    def _description(
        self, data: str | Mapping[str, Any], plan: Plan, epochs: int, collate: Collate | None
    ) -> dict[str, Any]:
        """What makes this run this run: a state continues only under an equal description."""
        return {
            **describe_module(self.model),
            "data": data,
            "epochs": epochs,
            "batch_size": plan.batch_size,
            "processes": plan.processes,
            "collate_fn": collate is not None,
            "settings": describe_settings(self.settings),
            "objective": type(self.objective).__name__,
            "optimizer": describe_optimizer(self.optimizer, by_settings=self._made_optimizer),
        }


#: What PaddleHub's users write into a subclass.
_PADDLEHUB_STEPS = frozenset(
    {
        *("training_step", "validation_step", "optimizer_step", "optimizer_zero_grad", "learning_rate_step"),
        *("load_model", "save_model"),
    }
)


def _with_precision(settings: TrainSettings, model: TorchModule, device: torch.device) -> TrainSettings:
    """The settings with ``precision='auto'`` decided, so that a saved state says in what it was trained."""
    if settings.precision != "auto":
        return settings
    lower = model.family.lowers and has_bfloat16(device)
    return settings.replace(precision="bf16" if lower else "float32")


def _refuse_making(settings: TrainSettings, *, made: bool) -> None:
    """Raise SettingsError where settings say how to make an optimizer, and it is made already."""
    plain = TrainSettings()
    given = [name for name in MAKING if getattr(settings, name) != getattr(plain, name)]
    if made and given:
        raise SettingsError(f"{', '.join(given)} would change nothing: the optimizer is given; leave one of them out")


def _leave_out(optimizer: torch.optim.Optimizer, frozen: Sequence[nn.Parameter]) -> None:
    """Take parameters out of an optimizer's groups."""
    without = {id(parameter) for parameter in frozen}
    for group in optimizer.param_groups:
        group["params"] = [parameter for parameter in group["params"] if id(parameter) not in without]


def _interleave(shares: Sequence[Sequence[Any]]) -> list[Any]:
    """Rows that were dealt out to processes in turn, in their first order."""
    return [row for rows in itertools.zip_longest(*shares, fillvalue=_NOTHING) for row in rows if row is not _NOTHING]


_NOTHING = object()


def _placed(dataset: Iterable[Example]) -> list[Example]:
    """The rows; messages name the whole path of the file that they were read from, where that is known."""
    paths = {file.path.name: file.path for file in getattr(dataset, "files", ())}
    named = ((row, *row.key.rpartition(":")) for row in dataset)
    return [replace(row, key=f"{paths[file]}:{at}") if file in paths else row for row, file, _, at in named]


def _warn_cut(features: Sequence[Features], length: int) -> None:
    """One warning that counts the training texts that were cut (seq-cls notes that as a bare True)."""
    count = sum(row.meta is True for row in features)
    if count:
        warnings.warn(f"{count} training text(s) were {cut_to(length)}", stacklevel=3)


def _whole_number(name: str, value: Any, *, least: int = 1) -> int:
    """An int, numpy's included. Raises SettingsError for anything else, and below `least`."""
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if number < least:
        raise SettingsError(f"{name} must be a whole number of at least {least}, not {value!r}")
    return number
