"""Options made from the fields of `TrainSettings`, for every command that trains."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from functools import wraps
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import click
from click.core import ParameterSource

from hub_core.cli.options import PATH
from hub_core.pretrain import PRETRAINING
from hub_core.train.launching import launched_processes
from hub_core.train.recipes import Recipe, recipe
from hub_core.train.settings import TrainSettings

if TYPE_CHECKING:
    from hub_core.pretrain.presets import Preset


def settings_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option per training setting, ``--config`` and ``--recipe``, and `epochs` and `batch_size`.

    It receives `settings`, `epochs` and `batch_size`: of the options what is given, else of the configuration, else of
    the recipe, else the defaults.
    """

    @wraps(function)
    def with_recipe(
        *args: Any,
        named: Recipe | None,
        settings: Callable[[TrainSettings], TrainSettings],
        epochs: int | None,
        batch_size: int | None,
        **others: Any,
    ) -> None:
        start = TrainSettings() if named is None else named.apply()
        epochs = epochs or (named.epochs if named else 3)
        batch_size = batch_size or (named.batch_size if named else 32)
        function(*args, settings=settings(start), epochs=epochs, batch_size=batch_size, **others)

    collected = _each_setting(with_recipe)
    for option in reversed(_BESIDE):
        collected = option(collected)
    return collected


def pretraining_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option per training setting that has a sense without labels, and ``--config``.

    It receives `settings`: of the options what is given, else of the configuration, else of the ``--preset``, else
    `PRETRAINING`. A preset also has its say on the command's own options, where they are not given: batches add up to
    the rows of its steps, and `epochs`, where that is given, takes the place of its steps.
    """

    @wraps(function)
    def collected(
        *args: Any, named: Preset | None, settings: Callable[[TrainSettings], TrainSettings], **others: Any
    ) -> None:
        start = TrainSettings(**PRETRAINING)
        if named is None:
            function(*args, settings=settings(start), **others)
            return
        source = click.get_current_context().get_parameter_source
        others |= {name: value for name, value in named.call.items() if source(name) == ParameterSource.DEFAULT}
        steps = {} if source("epochs") == ParameterSource.DEFAULT else {"max_steps": 0}
        batches = named.accumulation(others["batch_size"], launched_processes())
        begun = named.apply(start).replace(**steps, accumulation=batches)
        function(*args, settings=named.scaled(settings(begun)), **others)

    return _PRESET(_CONFIG(_each_setting(collected, without=_FOR_LABELS, instead=PRETRAINING)))


def _each_setting(
    function: Callable[..., None], *, without: Collection[str] = (), instead: Mapping[str, Any] | None = None
) -> Callable[..., None]:
    """Give a command an option per setting, and ``--config``.

    `function` gets, as `settings`, what completes other settings by what was given. `instead` are other defaults.
    """
    used = [item for item in fields(TrainSettings) if item.name not in without]

    @wraps(function)
    def collected(*args: Any, config: Path | None, **others: Any) -> None:
        given = {item.name: others.pop(item.name) for item in used}

        def complete(start: TrainSettings) -> TrainSettings:
            asked = {} if config is None else TrainSettings.read(config)
            asked |= {name: value for name, value in given.items() if value is not None}
            if asked.get("schedule") == "constant":
                start = start.replace(schedule="constant", floor=0.0, decay_steps=0)  # a preset's are for another one
            return start.replace(**asked)

        function(*args, settings=complete, **others)

    hints = get_type_hints(TrainSettings)
    for item in reversed(used):
        said, default = item.metadata["help"], (instead or {}).get(item.name, item.default)
        shown = item.metadata["unset"] if default in (None, ()) else default
        text = f"{said[0].upper()}{said[1:]}." + ("" if shown == "" else f"  [default: {shown}]")
        flag = "--" + item.name.replace("_", "-")
        if hints[item.name] is bool:
            flag += "/--no-" + flag.removeprefix("--")
        collected = click.option(flag, item.name, default=None, help=text, **_setting_option(hints[item.name]))(
            collected
        )
    return collected


def _setting_option(hint: Any) -> dict[str, Any]:
    """How click reads a setting of an annotated type."""
    choices = get_args(hint)
    if get_origin(hint) is Literal:
        return {"type": click.Choice(choices)}
    if get_origin(hint) is tuple:
        return {"metavar": "NAME,...", "callback": _names}
    if any(get_origin(choice) is Mapping for choice in choices):
        return {"metavar": "balanced|LABEL=WEIGHT,...", "callback": _weights}
    (plain,) = [kind for kind in choices or (hint,) if kind is not NoneType]
    return {"type": plain}


def _names(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:  # noqa: ARG001
    return None if value is None else tuple(name.strip() for name in value.split(",") if name.strip())


def _weights(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """Read ``balanced``, or ``negative=1,positive=2.5``; of several ``=`` the last one stands before the weight."""
    if value is None or value == "balanced":
        return value
    pairs = [pair.rpartition("=") for pair in value.split(",")]
    try:
        weights = {label.strip(): float(weight) for label, _, weight in pairs}
    except ValueError:
        weights = {}
    if not all(weights) or len(weights) < len(pairs):
        raise click.BadParameter(f"{value!r} is neither 'balanced' nor like negative=1,positive=2.5", ctx, parameter)
    return weights


def _preset(ctx: click.Context, parameter: click.Parameter, name: str | None) -> Preset | None:  # noqa: ARG001
    from hub_core.pretrain.presets import preset

    return None if name is None else preset(name)


def _recipe(ctx: click.Context, parameter: click.Parameter, name: str | None) -> Recipe | None:  # noqa: ARG001
    return None if name is None else recipe(name)


_CONFIG = click.option(
    "--config", type=PATH, help="A JSON file of training settings (those below); options win over it."
)
_PRESET = click.option(
    "--preset",
    "named",
    metavar="NAME",
    callback=_preset,
    help="Options that a known model was pre-trained with: bert, ernie-1.0, roberta-wwm, electra-small, lamb.",
)
#: Settings that are about labels, about metrics of which more is better, about rows of a table, or about what every
#: epoch leaves (of pre-training the last one does).
_FOR_LABELS = ("class_weights", "metric", "min_delta", "max_seq_len", "evaluate_every", "keep_epochs")
_AT_LEAST_ONE = click.IntRange(min=1)
_BESIDE = (
    click.option(
        "--recipe",
        "named",
        metavar="DATASET",
        callback=_recipe,
        help="Epochs, batch size and settings that others train with on a public data set: tnews, msra_ner, ...",
    ),
    click.option(
        "--epochs",
        type=_AT_LEAST_ONE,
        show_default="the recipe's, or 3",
        help="Epochs in all; an interrupted run does the rest.",
    ),
    click.option("--batch-size", type=_AT_LEAST_ONE, show_default="the recipe's, or 32", help="Rows per process."),
    _CONFIG,
)
