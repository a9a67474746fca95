"""Everything about a training run beyond PaddleHub's own arguments, as one frozen, typed object.

The options of ``hub train`` are made from these fields: the help text of a field is its comment line here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from hub_core.errors import SettingsError, unknown


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class TrainSettings:
    """How to train. Immutable; `replace` makes variants, `from_json` reads a file.

    >>> TrainSettings(warmup_ratio=0.1, schedule="linear").precision
    'auto'
    """

    seed: int = _setting(42, "seed of dropout and of the order of rows; for `hub train` also of new weights")
    max_seq_len: int | None = _setting(None, "tokens per row, special ones included (default: the data set's, or 128)")
    schedule: Literal["constant", "linear", "cosine"] = _setting("constant", "learning rate after the warm-up")
    warmup_steps: int = _setting(0, "steps of linear warm-up")
    warmup_ratio: float = _setting(0.0, "the same as a share of all steps; used where warmup_steps is 0")
    accumulation: int = _setting(1, "batches per optimizer step")
    max_grad_norm: float = _setting(0.0, "clip the gradient's global norm to this; 0: no clipping")
    precision: Literal["auto", "float32", "bf16", "fp16"] = _setting(
        "auto", "precision of the forward and backward pass; auto: bf16 where the device has it and it is quicker"
    )
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
    metric: str | None = _setting(None, "metric that picks the best model (default: the task's own); larger is better")
    save_dtype: Literal["float32", "float16", "bfloat16"] = _setting("float32", "how checkpoints store the weights")
    keep_epochs: int = _setting(3, "how many epoch_N folders to keep; 0: all")
    state_steps: int = _setting(0, "optimizer steps between resumable states; 0: at the end of every epoch")
    resume: Literal["auto", "never"] = _setting("auto", "continue an interrupted run in checkpoint_dir, or start anew")

    def __post_init__(self) -> None:
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
        """Read settings from a JSON object. Raises SettingsError for what it does not know or cannot use."""
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SettingsError(f"{path} cannot be read as JSON: {error}") from error
        if not isinstance(record, Mapping):
            raise SettingsError(f"{path} must hold a JSON object")
        return cls().replace(**record)

    def to_json(self) -> dict[str, Any]:
        """All settings as plain data."""
        return asdict(self)


def _type_problems(settings: TrainSettings) -> list[str]:
    """Values of another type than their field's; an int is a good float, a bool is neither."""
    problems = []
    for name, hint in get_type_hints(TrainSettings).items():
        value, choices = getattr(settings, name), get_args(hint)
        if choices and isinstance(choices[0], str):
            if value not in choices:
                problems.append(unknown("value", value, choices, where=f"of {name}"))
            continue
        kinds = choices or (hint,)
        accepted = (*kinds, int) if float in kinds else kinds
        if (isinstance(value, bool) and bool not in kinds) or not isinstance(value, accepted):
            problems.append(f"{name} must be {' or '.join(kind.__name__ for kind in kinds)}, not {value!r}")
    return problems


def _range_problems(settings: TrainSettings) -> list[str]:
    """Values outside what makes sense, and those that exclude each other."""
    bounds: dict[str, tuple[float, float]] = {
        "max_seq_len": (1, 1e9),
        "warmup_steps": (0, 1e12),
        "warmup_ratio": (0, 1),
        "accumulation": (1, 1e6),
        "max_grad_norm": (0, 1e12),
        "ema": (0, 0.999999),
        "evaluate_every": (1, 1e9),
        "keep_epochs": (0, 1e9),
        "state_steps": (0, 1e12),
        "seed": (0, 2**63 - 1),
    }
    problems = [
        f"{name}={getattr(settings, name)!r} must be between {low:g} and {high:g}"
        for name, (low, high) in bounds.items()
        if isinstance(getattr(settings, name), (int, float)) and not low <= getattr(settings, name) <= high
    ]
    if settings.sharding == "full" and (settings.ema or settings.precision == "fp16"):
        problems.append("sharding='full' goes with neither ema (which needs whole weights at every step) nor fp16")
    if settings.sharding == "full" and settings.compile:
        problems.append("sharding='full' and compile do not go together")
    return problems
