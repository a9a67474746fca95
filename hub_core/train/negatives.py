"""Hard negatives: texts that a module takes for matches of a row's first text, and that are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hub_core.data.dataset import Dataset
from hub_core.errors import SettingsError
from hub_core.examples import Example
from hub_core.infer.answers import Answering
from hub_core.tasks.embedding import NEGATIVES
from hub_core.tasks.task import positive

#: How many queries are ranked at once: bounds the memory.
_QUERIES = 256


def mine_negatives(
    module: Answering, dataset: Dataset, *, count: int = 1, skip: int = 0, batch_size: int | None = None
) -> Dataset:
    """The rows that match (with a label above 0.5, or without one), each with `count` hard negatives.

    Negatives are the second texts of other rows that the module finds nearest to the row's first, without those that
    some row says match it, and without the `skip` nearest (of which more may be matches that nobody noted). The rows
    come without labels, as the loss ``in-batch`` takes them.

    Raises SettingsError where there are too few other texts.
    """
    count = positive("count", count)
    matches: dict[str, set[str]] = {}
    for row in dataset:
        if row.pair is not None and _is_match(row):
            matches.setdefault(row.text, set()).add(row.pair)
    rows = [row for row in dataset if row.pair is not None and _is_match(row)]
    pool = list(dict.fromkeys(row.pair for row in dataset if row.pair is not None))
    most = max((len(found) for found in matches.values()), default=0)
    if len(pool) < most + skip + count + 1:
        raise SettingsError(f"{len(pool)} different second texts are too few for {count} negatives each (skip={skip})")
    queries = list(matches)
    wanted, candidates = (_unit(module, texts, batch_size) for texts in (queries, pool))
    negatives: dict[str, tuple[str, ...]] = {}
    for start in range(0, len(queries), _QUERIES):
        cosines = wanted[start : start + _QUERIES] @ candidates.T
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, : most + skip + count + 1]
        for query, order in zip(queries[start : start + _QUERIES], nearest, strict=True):
            others = [pool[at] for at in order if pool[at] not in matches[query] and pool[at] != query]
            negatives[query] = tuple(others[skip : skip + count])
    taught = [replace(row, label=None, columns={**row.columns, NEGATIVES[0]: negatives[row.text]}) for row in rows]
    return Dataset(taught, [], task="embedding", mode=dataset.mode, max_seq_len=dataset.max_seq_len)


def _is_match(row: Example) -> bool:
    return row.label is None or (isinstance(row.label, int | float) and row.label > 0.5)


def _unit(module: Answering, texts: Sequence[str], batch_size: int | None) -> np.ndarray:
    found: np.ndarray = module.get_embedding(texts, normalize=True, batch_size=batch_size)
    return found
