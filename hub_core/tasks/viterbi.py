"""Reading a linear-chain CRF with numpy: the best path, and the probability of every label at every position.

The score of a path ``y`` over ``length`` positions is ``start[y0] + sum of emissions[t, y_t] + sum of
transitions[y_t-1, y_t] + end[y_last]``, as `hub_core.nn.crf` trains it. Everything is computed in float64 log
space, so that transitions of minus infinity (forbidden pairs) and emissions of any size are safe.
"""

from __future__ import annotations

import numpy as np

from hub_core.examples import Array


def viterbi(emissions: Array, transitions: Array, start: Array, end: Array) -> Array:
    """The path with the highest score, as int64 ``(length,)``; of equal scores the lower label wins.

    `emissions` is ``(length, labels)``, `transitions` ``(labels, labels)`` as ``[from, to]``, `start` and `end`
    ``(labels,)``. Length 0 gives an empty path.
    """
    length = emissions.shape[0]
    path = np.zeros(length, dtype=np.int64)
    if length == 0:
        return path
    scores, arriving = emissions.astype(np.float64), transitions.T.astype(np.float64)  # arriving: [to, from]
    came_from = np.zeros(emissions.shape, dtype=np.int64)
    best = start + scores[0]
    for position in range(1, length):
        reached = arriving + best
        came_from[position] = reached.argmax(axis=1)
        best = reached.max(axis=1) + scores[position]
    path[-1] = (best + end).argmax()
    for position in range(length - 1, 0, -1):
        path[position - 1] = came_from[position, path[position]]
    return path


def marginals(emissions: Array, transitions: Array, start: Array, end: Array) -> Array:
    """The probability of each label at each position over all paths: float64 ``(length, labels)``, rows sum to 1.

    Arguments as for `viterbi`. Forward-backward algorithm (Rabiner 1989, "A tutorial on hidden Markov models",
    section III.A) in log space.
    """
    length = emissions.shape[0]
    if length == 0:
        return np.zeros(emissions.shape, dtype=np.float64)
    scores, leaving = emissions.astype(np.float64), transitions.astype(np.float64)  # leaving: [from, to]
    arriving = np.ascontiguousarray(leaving.T)
    before, after = np.empty_like(scores), np.empty_like(scores)
    before[0], after[-1] = start + scores[0], end
    for position in range(1, length):
        before[position] = _log_sum_rows(arriving + before[position - 1]) + scores[position]
    for position in range(length - 2, -1, -1):
        after[position] = _log_sum_rows(leaving + (after[position + 1] + scores[position + 1]))
    joint = before + after
    weights = np.exp(joint - joint.max(axis=1, keepdims=True))
    probabilities: Array = weights / weights.sum(axis=1, keepdims=True)
    return probabilities


def _log_sum_rows(table: Array) -> Array:
    """``log(sum(exp(row)))`` of each row; minus infinity for a row that has nothing else."""
    total: Array = np.logaddexp.reduce(table, axis=1)
    return total
