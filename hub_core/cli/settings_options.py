"""Options made from the fields of `TrainSettings`, for every command that trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import wraps
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click

from hub_core.cli.options import PATH
from hub_core.train.recipes import Recipe, recipe
from hub_core.train.settings import TrainSettings


def settings_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option per training setting, ``--config`` and ``--recipe``, and `epochs` and `batch_size`.

    It receives `settings`, `epochs` and `batch_size`: of the options what is given, else of the configuration, else of
    the recipe, else the defaults.
    """

    @wraps(function)
    def collected(
        *args: Any, config: Path | None, named: Recipe | None, epochs: int | None, batch_size: int | None, **others: Any
    ) -> None:
        given = {item.name: others.pop(item.name) for item in fields(TrainSettings)}
        settings = TrainSettings() if named is None else named.apply()
        if config is not None:
            settings = settings.replace(**TrainSettings.read(config))
        settings = settings.replace(**{name: value for name, value in given.items() if value is not None})
        epochs = epochs or (named.epochs if named else 3)
        batch_size = batch_size or (named.batch_size if named else 32)
        function(*args, settings=settings, epochs=epochs, batch_size=batch_size, **others)

    hints = get_type_hints(TrainSettings)
    for item in reversed(fields(TrainSettings)):
        said = item.metadata["help"]
        text = f"{said[0].upper()}{said[1:]}." + ("" if item.default in (None, ()) else f"  [default: {item.default}]")
        flag = "--" + item.name.replace("_", "-")
        if hints[item.name] is bool:
            flag += "/--no-" + flag.removeprefix("--")
        collected = click.option(flag, item.name, default=None, help=text, **_setting_option(hints[item.name]))(
            collected
        )
    for option in reversed(_BESIDE):
        collected = option(collected)
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


def _recipe(ctx: click.Context, parameter: click.Parameter, name: str | None) -> Recipe | None:  # noqa: ARG001
    return None if name is None else recipe(name)


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
    click.option("--config", type=PATH, help="A JSON file of training settings (those below); options win over it."),
)
