"""The CRF and its decoding against counting all paths by hand."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hub_core.examples import IGNORE, Array
from hub_core.nn.crf import Crf
from hub_core.tasks.viterbi import marginals, viterbi


def _scores(seed: int, length: int, labels: int, *, scale: float = 2.0) -> tuple[Array, Array, Array, Array]:
    """Emissions, transitions, start and end at random."""
    draw = np.random.default_rng(seed)
    shapes = ((length, labels), (labels, labels), (labels,), (labels,))
    return tuple(draw.normal(0, scale, shape) for shape in shapes)  # type: ignore[return-value]


def _all_paths(emissions: Array, transitions: Array, start: Array, end: Array) -> dict[tuple[int, ...], float]:
    """Every path and its score, from the definition."""
    length, labels = emissions.shape
    found = {}
    for path in itertools.product(range(labels), repeat=length):
        score = start[path[0]] + end[path[-1]] + sum(emissions[t, y] for t, y in enumerate(path))
        found[path] = float(score + sum(transitions[a, b] for a, b in itertools.pairwise(path)))
    return found


def _crf(transitions: Array, start: Array, end: Array) -> Crf:
    crf = Crf(len(start)).double()
    values = {"transitions": transitions, "start": start, "end": end}
    crf.load_state_dict({name: torch.from_numpy(value) for name, value in values.items()})
    return crf


sizes = st.tuples(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 4))


@given(sizes)
@settings(max_examples=60, deadline=None)
def test_viterbi_and_marginals_equal_enumeration(size: tuple[int, int, int]) -> None:
    scores = _scores(*size)
    paths = _all_paths(*scores)
    assert tuple(viterbi(*scores)) == max(paths, key=lambda path: paths[path])
    top = max(paths.values())
    expected = np.zeros(scores[0].shape)
    for path, score in paths.items():
        expected[np.arange(len(path)), list(path)] += np.exp(score - top)
    expected /= expected[0].sum()
    np.testing.assert_allclose(marginals(*scores), expected, atol=1e-12)


@given(st.integers(0, 10_000), st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_log_likelihood_equals_enumeration_for_each_row_of_a_batch(seed: int, lengths: list[int], labels: int) -> None:
    emissions, transitions, start, end = _scores(seed, sum(lengths), labels)
    draw = np.random.default_rng(seed + 1)
    batch = torch.full((len(lengths), max(lengths) + 1, labels), 7.0, dtype=torch.float64)
    targets = torch.full(batch.shape[:2], IGNORE)
    expected = []
    for row, part in enumerate(np.split(emissions, np.cumsum(lengths)[:-1])):
        path = draw.integers(0, labels, len(part))
        batch[row, : len(part)], targets[row, : len(part)] = torch.from_numpy(part), torch.from_numpy(path)
        paths = _all_paths(part, transitions, start, end)
        expected.append(paths[tuple(path)] - np.logaddexp.reduce(list(paths.values())))
    found = _crf(transitions, start, end).log_likelihood(batch, targets, targets != IGNORE)
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-10)


def test_a_masked_position_in_the_middle_is_absent_from_the_chain() -> None:
    emissions, transitions, start, end = _scores(3, 6, 3)
    keep = [1, 2, 4]
    targets = torch.tensor([[IGNORE, 2, 0, IGNORE, 1, IGNORE]])
    crf = _crf(transitions, start, end)
    with_holes = crf.log_likelihood(torch.from_numpy(emissions)[None], targets, targets != IGNORE)
    without = crf.log_likelihood(torch.from_numpy(emissions)[None, keep], targets[:, keep], torch.ones(1, 3))
    torch.testing.assert_close(with_holes, without)


def test_gradients_are_finite_and_an_empty_row_costs_nothing() -> None:
    crf = Crf(5)
    emissions = (torch.randn(3, 40, 5, generator=torch.Generator().manual_seed(0)) * 100).requires_grad_()
    targets = torch.zeros(3, 40, dtype=torch.long)
    targets[1] = IGNORE
    found = crf.log_likelihood(emissions, targets, targets != IGNORE)
    found.sum().backward()
    assert found[1] == 0
    assert emissions.grad is not None
    assert torch.isfinite(emissions.grad).all() and not emissions.grad[1].any()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() and p.grad.any() for p in crf.parameters())


def test_half_precision_emissions_are_summed_in_float32() -> None:
    emissions = torch.randn(2, 30, 4, generator=torch.Generator().manual_seed(1)).bfloat16()
    targets, crf = torch.zeros(2, 30, dtype=torch.long), Crf(4)
    mask = torch.ones(2, 30, dtype=torch.bool)
    found = crf.log_likelihood(emissions, targets, mask)
    torch.testing.assert_close(found, crf.log_likelihood(emissions.float(), targets, mask))
    assert found.dtype == torch.float32


def test_forbidden_pairs_and_empty_sequences() -> None:
    forbidden = np.array([[0.0, -np.inf], [0.0, 0.0]])
    emissions = np.array([[1e4, 0.0], [0.0, 50.0]])
    none = np.zeros(2)
    assert viterbi(emissions, forbidden, none, none).tolist() == [0, 0]
    np.testing.assert_allclose(marginals(emissions, forbidden, none, none), [[1, 0], [1, 0]], atol=1e-12)
    assert viterbi(emissions[:0], forbidden, none, none).shape == (0,)
    assert marginals(emissions[:0], forbidden, none, none).shape == (0, 2)
