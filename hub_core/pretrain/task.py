"""What a module is trained for while it is pre-trained: masked-lm, on rows that may have two halves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hub_core.examples import IGNORE, Batch, Features
from hub_core.spec import HeadSpec
from hub_core.tasks.masked_lm import MaskedLm


class PreTraining(MaskedLm):
    """masked-lm whose batches say, in the column ``order``, which rows have their halves the wrong way round.

    1 where they do not follow each other, 0 where they do, `IGNORE` for a row without halves.
    """

    def collate(self, rows: Sequence[Features], padding: Mapping[str, int], length: int | None = None) -> Batch:
        """See `Task.collate`."""
        order = np.array([IGNORE if row.meta is None else row.meta for row in rows], dtype=np.int64)
        return replace(super().collate(rows, padding, length), columns={"order": order})


class Headless(PreTraining):
    """What a module is trained for whose head is of no use afterwards: it is saved as a bare encoder."""

    def head_specs(self) -> tuple[HeadSpec, ...]:
        """None."""
        return ()
