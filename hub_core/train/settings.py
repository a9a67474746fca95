"""Everything about a training run beyond PaddleHub's own arguments, as one frozen, typed object.

The options of ``hub train`` are made from these fields: the help text of a field is its comment line here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hub_core.errors import SettingsError, unknown
from hub_core.paths import read_given_json


def _setting(default: Any, text: str, *, unset: str = "") -> Any:
    """A setting; `unset` says what None stands for."""
    return field(default=default, metadata={"help": text, "unset": unset})


@dataclass(frozen=True)
class TrainSettings:
    """How to train. Immutable; `replace` makes variants, `from_json` reads a file.

    >>> TrainSettings(warmup_ratio=0.1, schedule="linear").precision
    'auto'
    """

    seed: int = _setting(42, "seed of the order of rows, of dropout and, for a command, of new weights")
    max_seq_len: int | None = _setting(None, "tokens per row, special ones included", unset="the data set's, or 128")
    optimizer: str = _setting("adamw", "optimizer: adamw, lamb, adam, adamax, sgd, adadelta, or a plugin's")
    learning_rate: float | None = _setting(
        None, "peak learning rate", unset="5e-5 for Adam and its kin, others' own: lamb and sgd 0.001, adadelta 1"
    )
    weight_decay: float | None = _setting(
        None,
        "weight decay, of which biases and norms have none",
        unset="the optimizer's own: adamw and lamb 0.01, others 0",
    )
    layer_decay: float = _setting(
        1.0, "every block's learning rate as a share of the one's above it; embeddings have the lowest, the head all"
    )
    freeze: Literal["none", "embeddings", "encoder"] = _setting(
        "none", "what is not trained: the embeddings, or these and all blocks; a pooler belongs to the head"
    )
    freeze_blocks: int = _setting(0, "how many of the lowest blocks are not trained, and the embeddings below them")
    class_weights: Mapping[str, float] | Literal["balanced"] | None = _setting(
        None, "how much rows (or tokens) of a label count, others count 1; balanced: every label as much as any other"
    )
    schedule: Literal["constant", "linear", "cosine"] = _setting("constant", "learning rate after the warm-up")
    warmup_steps: int = _setting(0, "steps of linear warm-up")
    warmup_ratio: float = _setting(0.0, "the same as a share of all steps; used where warmup_steps is 0")
    floor: float = _setting(0.0, "the learning rate at the end of the schedule, as a share of the peak")
    decay_steps: int = _setting(0, "steps after which the floor is reached, warm-up included; 0: at the last step")
    max_steps: int = _setting(0, "optimizer steps after which to end, in the middle of an epoch too; 0: all epochs")
    accumulation: int = _setting(1, "batches per optimizer step")
    max_grad_norm: float = _setting(0.0, "clip the gradient's global norm to this; 0: no clipping")
    precision: Literal["auto", "float32", "bf16", "fp16"] = _setting(
        "auto", "precision of the forward and backward pass; auto: bf16 where the device has it and it is quicker"
    )
    recompute: bool = _setting(False, "compute activations again in the backward pass: less memory, a third more time")
    compile: bool = _setting(False, "compile the network (torch.compile), for rows padded to one of eight lengths")
    sharding: Literal["none", "full"] = _setting(
        "none",
        "under torchrun: every process holds all weights, or its share of weights, gradients and optimizer state",
    )
    order: Literal["length", "shuffle", "given"] = _setting(
        "length", "order of rows: shuffled, in batches of like length; plainly shuffled; as given"
    )
    ema: float = _setting(0.0, "decay of a moving average of the weights, evaluated and saved in their place; 0: none")
    evaluate_every: int = _setting(1, "epochs between evaluations (the last epoch is always evaluated)")
    eval_interval: int = _setting(0, "optimizer steps between evaluations, in place of epochs; 0: by epoch")
    metric: str | None = _setting(None, "metric that picks the best model; larger is better", unset="the task's own")
    patience: int = _setting(0, "stop after so many evaluations in a row without a better one; 0: never")
    min_delta: float = _setting(0.0, "by how much the metric must be larger for patience to count it as better")
    save_dtype: Literal["float32", "float16", "bfloat16"] = _setting("float32", "how checkpoints store the weights")
    keep_epochs: int = _setting(3, "how many epoch_N folders to keep; 0: all")
    save_steps: int = _setting(0, "optimizer steps between step_N folders, all of which stay; 0: none")
    state_steps: int = _setting(0, "optimizer steps between resumable states; 0: at the end of every epoch")
    resume: Literal["auto", "never"] = _setting("auto", "continue an interrupted run in checkpoint_dir, or start anew")
    log_to: tuple[str, ...] = _setting((), "trackers to log to: tensorboard, trackio, swanlab, wandb, mlflow")

    def __post_init__(self) -> None:
        if isinstance(self.log_to, list):  # as JSON has it
            object.__setattr__(self, "log_to", tuple(self.log_to))
        if isinstance(self.class_weights, Mapping):
            object.__setattr__(self, "class_weights", dict(self.class_weights))
        problems = [*_type_problems(self), *_range_problems(self)]
        if problems:
            raise SettingsError("unusable training settings:\n" + "\n".join(f"  {problem}" for problem in problems))

    def replace(self, **changes: Any) -> TrainSettings:
        """These settings with some changed. Raises SettingsError for an unknown name, with near matches."""
        names = [item.name for item in fields(self)]
        for name in changes.keys() - set(names):
            raise SettingsError(unknown("training setting", name, names))
        return replace(self, **changes)

    @classmethod
    def from_json(cls, path: Path) -> TrainSettings:
        """Read settings from a JSON object. Raises NotFoundError, SettingsError for what it cannot use."""
        return cls().replace(**cls.read(path))

    @staticmethod
    def read(path: Path) -> dict[str, Any]:
        """The JSON object in a file, as `replace` takes it. Raises SettingsError where there is none, NotFoundError."""
        record = read_given_json(path)
        if not isinstance(record, Mapping):
            raise SettingsError(f"{path} must hold a JSON object")
        return dict(record)

    def to_json(self) -> dict[str, Any]:
        """All settings as plain data."""
        return asdict(self)


def _type_problems(settings: TrainSettings) -> list[str]:
    """Values of another type than their field's; an int is a good float, a bool is neither."""
    problems = []
    for name, hint in get_type_hints(TrainSettings).items():
        value = getattr(settings, name)
        if get_origin(hint) is Literal and value not in get_args(hint):
            problems.append(unknown("value", value, get_args(hint), where=f"of {name}"))
        elif not _fits(value, hint):
            problems.append(f"{name} must be {_worded(hint)}, not {value!r}")
    return problems


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type."""
    choices = get_args(hint)
    match get_origin(hint):
        case None:
            kinds = (int, float) if hint is float else hint
            return isinstance(value, kinds) and (hint is bool or not isinstance(value, bool))
        case origin if origin is Literal:
            return value in choices if isinstance(value, str) else False
        case origin if origin is tuple:
            return isinstance(value, tuple) and all(_fits(item, choices[0]) for item in value)
        case origin if origin is Mapping:
            key, kept = choices
            return isinstance(value, Mapping) and all(_fits(k, key) and _fits(v, kept) for k, v in value.items())
    return any(_fits(value, choice) for choice in choices)


def _worded(hint: Any) -> str:
    """What an annotation asks for, in words."""
    choices = get_args(hint)
    match get_origin(hint):
        case None:
            return "None" if hint is NoneType else str(hint.__name__)
        case origin if origin is Literal:
            return " or ".join(map(repr, choices))
        case origin if origin is tuple:
            return f"a list of {_worded(choices[0])}"
        case origin if origin is Mapping:
            return f"{_worded(choices[1])} by {_worded(choices[0])}"
    return " or ".join(map(_worded, choices))


_BOUNDS: Mapping[str, tuple[float, float]] = {
    "max_seq_len": (1, 1e9),
    "layer_decay": (0.001, 1),
    "freeze_blocks": (0, 1e6),
    "warmup_steps": (0, 1e12),
    "floor": (0, 1),
    "decay_steps": (0, 1e12),
    "max_steps": (0, 1e12),
    "warmup_ratio": (0, 1),
    "accumulation": (1, 1e6),
    "max_grad_norm": (0, 1e12),
    "ema": (0, 0.999999),
    "evaluate_every": (1, 1e9),
    "eval_interval": (0, 1e12),
    "patience": (0, 1e9),
    "min_delta": (0, 1e9),
    "keep_epochs": (0, 1e9),
    "save_steps": (0, 1e12),
    "state_steps": (0, 1e12),
    "seed": (0, 2**63 - 1),
}


def _range_problems(settings: TrainSettings) -> list[str]:
    """Values outside what makes sense, and those that exclude each other."""
    problems = [
        f"{name}={getattr(settings, name)!r} must be between {low:g} and {high:g}"
        for name, (low, high) in _BOUNDS.items()
        if isinstance(getattr(settings, name), (int, float)) and not low <= getattr(settings, name) <= high
    ]
    amounts = {name: getattr(settings, name) for name in ("learning_rate", "weight_decay")}
    if isinstance(settings.class_weights, Mapping):
        amounts |= {f"class_weights: {label}": weight for label, weight in settings.class_weights.items()}
    problems += [
        f"{name}={value!r} must be a finite number, and not below 0"
        for name, value in amounts.items()
        if isinstance(value, (int, float)) and not 0 <= value < math.inf
    ]
    return [*problems, *(said for said, wrong in _exclusions(settings).items() if wrong)]


def _exclusions(settings: TrainSettings) -> dict[str, bool]:
    """What does not go together, and whether it was asked for together."""
    sharded = settings.sharding == "full"
    return {
        "sharding='full' goes with neither ema (which needs whole weights at every step) nor fp16": sharded
        and bool(settings.ema or settings.precision == "fp16"),
        "sharding='full' and compile do not go together": sharded and bool(settings.compile),
        "eval_interval (steps) and evaluate_every (epochs) do not go together": bool(settings.eval_interval)
        and settings.evaluate_every != 1,
        "min_delta is for patience, which is 0": bool(settings.min_delta) and not settings.patience,
        "floor and decay_steps are for schedule='linear' or 'cosine'": settings.schedule == "constant"
        and bool(settings.floor or settings.decay_steps),
        "freeze='encoder' freezes all blocks; leave freeze_blocks out": settings.freeze == "encoder"
        and bool(settings.freeze_blocks),
    }
