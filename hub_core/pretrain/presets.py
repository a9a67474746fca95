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
    """How a model was pre-trained: `call` are options of ``hub pretrain``, `settings` those of `TrainSettings`.

    >>> preset("electra-small").call["objective"], preset("electra-small").apply().learning_rate
    ('rtd', 0.0005)
    """

    name: str
    source: str
    call: Mapping[str, Any]
    settings: Mapping[str, Any]

    def apply(self, settings: TrainSettings | None = None) -> TrainSettings:
        """Settings (default: all at their defaults) with those of the preset in place of their own."""
        return (settings or TrainSettings()).replace(**self.settings)

    def scaled(self, settings: TrainSettings) -> TrainSettings:
        """Settings that began with the preset's, with its warm-up and decay in proportion to another number of steps.

        >>> bert = preset("bert")
        >>> bert.scaled(bert.apply().replace(max_steps=2000)).warmup_steps
        20
        """
        share = (settings.max_steps or self.settings["max_steps"]) / self.settings["max_steps"]
        counts = {name: self.settings[name] for name in ("warmup_steps", "decay_steps") if name in self.settings}
        return settings.replace(
            **{name: max(1, round(share * count)) for name, count in counts.items() if getattr(settings, name) == count}
        )


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
