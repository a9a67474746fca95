"""Rows cut into folds, each of which is held out once."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np

from hub_core.data.dataset import Dataset
from hub_core.errors import SettingsError
from hub_core.examples import Example


def stratified_folds(labels: Sequence[object], folds: int, *, seed: int) -> list[list[int]]:
    """The row numbers of each fold, every row in one of them, in random order of the seed.

    Of every label each fold has as many rows as any other, give or take one, and so it is with the folds' sizes
    (scikit-learn's ``StratifiedKFold``). Raises SettingsError for fewer than two folds, and for more than rows.
    """
    if not 2 <= folds <= len(labels):
        raise SettingsError(f"folds must be between 2 and the {len(labels)} rows, not {folds}")
    rare = sorted(str(label) for label, count in Counter(labels).items() if count < folds)
    if rare:
        warnings.warn(
            f"fewer than {folds} rows have the label(s) {', '.join(rare[:20])}: some folds lack them", stacklevel=2
        )
    order = np.random.default_rng(seed).permutation(len(labels)).tolist()
    places = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    # Dealt out in turn, one label after the other, no fold gets more than one row more than the next.
    order.sort(key=lambda row: places[labels[row]])
    return [order[fold::folds] for fold in range(folds)]


def fold_of(dataset: Sequence[Example], held_out: Sequence[int]) -> tuple[Sequence[Example], Sequence[Example]]:
    """The rows to train on and those held out, both in the order of the data set and of its class."""
    without = set(held_out)
    return (
        _picked(dataset, [row for row in range(len(dataset)) if row not in without]),
        _picked(dataset, sorted(held_out)),
    )


def strata(dataset: Sequence[Example]) -> list[object]:
    """What the rows of every fold are to be balanced by: their label, where each has one, and nothing otherwise."""
    return [row.label if isinstance(row.label, str) else None for row in dataset]


def _picked(dataset: Sequence[Example], rows: Sequence[int]) -> Sequence[Example]:
    return dataset.pick(rows) if isinstance(dataset, Dataset) else [dataset[row] for row in rows]
