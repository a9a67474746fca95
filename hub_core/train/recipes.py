"""How others train on the public data sets, as data: what to begin from.

``recipes.json`` has what PaddleNLP 2.5 trains ERNIE with (``model_zoo/ernie-1.0/finetune/config.yml``): learning rate,
epochs, rows per step and tokens per row of each data set, and for all of them a linear schedule with a tenth of
warm-up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hub_core.errors import NotFoundError, unknown
from hub_core.train.settings import TrainSettings

#: Data sets that are called otherwise here (`hub_core.datasets`) than there.
_OTHER_NAMES = {"cluewsc2020": "wsc"}


@dataclass(frozen=True)
class Recipe:
    """How to train on a data set: `settings` are those of `TrainSettings` that it is about.

    >>> recipe("tnews").epochs, recipe("tnews").apply().learning_rate
    (4, 5e-05)
    """

    name: str
    epochs: int
    batch_size: int
    settings: Mapping[str, Any]

    def apply(self, settings: TrainSettings | None = None) -> TrainSettings:
        """Settings (default: all at their defaults) with those of the recipe in place of their own."""
        return (settings or TrainSettings()).replace(**self.settings)


def recipe(name: str) -> Recipe:
    """The recipe of a data set by its name, in any spelling, here or there: ``CLUEWSC2020`` is ``wsc``.

    Raises NotFoundError with near matches.
    """
    known = recipes()
    plain = {_plain(one): one for one in known} | _OTHER_NAMES
    if _plain(name) not in plain:
        raise NotFoundError(unknown("recipe", name, {*known, *_OTHER_NAMES}))
    return known[plain[_plain(name)]]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


@cache
def recipes() -> Mapping[str, Recipe]:
    """All recipes by name."""
    table = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return {name: Recipe(name, **row) for name, row in table.items()}
