"""Units larger than words, which are hidden as a whole: phrases of a lexicon, and entities that a module finds.

ERNIE 1.0 (Sun et al. 2019) hides phrases and entities beside words; where a unit covers several words, it is the unit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hub_core.data.packing import SAVE_AS_UTF8
from hub_core.errors import DataError, NotFoundError, SettingsError
from hub_core.examples import Array

if TYPE_CHECKING:
    from hub_core.infer.predictor import Predictor

#: Characters, first and one past the last.
Span = tuple[int, int]


class Lexicon:
    """Phrases of words, found in a text from left to right, the longest that fits first."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._phrases = frozenset(phrase for phrase in phrases if len(phrase) > 1)
        lengths: dict[str, set[int]] = {}
        for phrase in self._phrases:
            lengths.setdefault(phrase[:2], set()).add(len(phrase))
        self._lengths = {start: sorted(found, reverse=True) for start, found in lengths.items()}

    def spans(self, text: str, ends: Array) -> list[Span]:
        """Where phrases stand in a text; no two overlap.

        `ends` ``(length + 1,)``: whether a word ends before each character, and at the end. A phrase begins and ends
        there: 中国 is none in 发展中国家.
        """
        found: list[Span] = []
        place = 0
        while place < len(text) - 1:
            fitting = (
                size
                for size in self._lengths.get(text[place : place + 2], ())
                if text[place : place + size] in self._phrases and ends[place + size]
            )
            size = next(fitting, 0) if ends[place] else 0
            if size:
                found.append((place, place + size))
            place += size or 1
        return found


def read_lexicon(path: Path) -> tuple[str, ...]:
    """The phrases in a file, one per line. Raises NotFoundError, DataError where there is none of two characters."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {path}") from error
    except UnicodeDecodeError as error:
        raise DataError([f"{path}: not UTF-8 ({error}); {SAVE_AS_UTF8}"]) from error
    except OSError as error:
        raise DataError([f"{path} cannot be read: {error.strerror}"]) from error
    phrases = tuple(dict.fromkeys(line.strip() for line in lines if len(line.strip()) > 1))
    if not phrases:
        raise DataError([f"{path}: no phrase of two characters or more"])
    return phrases


class EntityFinder:
    """Entities that a module for token-cls finds. Raises SettingsError for a module of another task."""

    def __init__(self, name: str) -> None:
        from hub_core.install_plan import request_kind
        from hub_core.module import Module

        folder = request_kind(name) == "folder"
        module = Module(directory=name) if folder else Module(name)
        if module.task is None or module.task.name != "token-cls":
            raise SettingsError(f"{name} finds no entities: it is no module trained for token-cls")
        self._module = module
        self._predictor: Predictor = module.predictor(dtype="float32")

    @property
    def identity(self) -> str:
        """What tells this module from others: its name, its version, and a hash of its weights."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self._module.network.state_dict().items()):
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        return f"{self._module.spec.title} {digest.hexdigest()[:16]}"

    def spans(self, sentences: Sequence[str]) -> list[list[Span]]:
        """Where entities stand in each sentence."""
        task = self._predictor.task
        examples = [task.example(sentence, key=f"sentence {number}") for number, sentence in enumerate(sentences)]
        answers = [task.as_data(answer) for answer in self._predictor.predict(examples)]
        return [[(entity["start"], entity["end"]) for entity in answer["entities"]] for answer in answers]
