"""How others pre-trained, as data (``presets.json``): what to begin from. Every preset says where its numbers stand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hub_core.errors import NotFoundError, unknown
from hub_core.train.settings import TrainSettings


@dataclass(frozen=True)
class Preset:
    """How a model was pre-trained: `rows` of an optimizer step, `call` for options of ``hub pretrain``, `settings` for
    those of `TrainSettings`.

    >>> preset("electra-small").call["objective"], preset("electra-small").apply().learning_rate
    ('rtd', 0.0005)
    """

    name: str
    source: str
    rows: int
    call: Mapping[str, Any]
    settings: Mapping[str, Any]

    def apply(self, settings: TrainSettings | None = None) -> TrainSettings:
        """Settings (default: all at their defaults) with those of the preset in place of their own."""
        return (settings or TrainSettings()).replace(**self.settings)

    def scaled(self, settings: TrainSettings) -> TrainSettings:
        """Settings that began with the preset's, with its decay in proportion to another number of steps; where that
        is not known (0), to the last of all.

        >>> ernie = preset("ernie-1.0")
        >>> ernie.scaled(ernie.apply().replace(max_steps=2000)).decay_steps
        1980
        """
        decay = self.settings.get("decay_steps", 0)
        if not decay or settings.decay_steps != decay:
            return settings
        return settings.replace(decay_steps=round(settings.max_steps / self.settings["max_steps"] * decay))

    def accumulation(self, batch_size: int, processes: int) -> int:
        """How many batches of each process make up a step of at least the preset's rows.

        >>> preset("lamb").accumulation(32, processes=8)
        128
        """
        return -(-self.rows // (batch_size * processes))


def preset(name: str) -> Preset:
    """The preset of this name. Raises NotFoundError with near matches."""
    known = presets()
    if name not in known:
        raise NotFoundError(unknown("preset", name, known))
    return known[name]


@cache
def presets() -> Mapping[str, Preset]:
    """All presets by name."""
    records = json.loads(Path(__file__).with_name("presets.json").read_text(encoding="utf-8"))
    return {name: Preset(name, **record) for name, record in records.items()}
