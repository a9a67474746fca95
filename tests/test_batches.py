"""Which rows go into which step: every row once an epoch, the same rows however a step is shared out."""

from __future__ import annotations

import pickle
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_module
from training_program import labelled_rows

from hub_core.train.batches import Plan, StepStream, encode_all
from hub_core.train.schedule import rate_factor
from hub_core.train.settings import TrainSettings

plans = st.builds(
    Plan,
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=200),
    batch_size=st.integers(1, 7),
    accumulation=st.integers(1, 3),
    processes=st.integers(1, 3),
    seed=st.integers(0, 5),
    order=st.sampled_from(["length", "shuffle", "given"]),
)


@given(plan=plans, epoch=st.integers(0, 3))
def test_every_row_once_an_epoch(plan: Plan, epoch: int) -> None:
    steps = plan.steps(epoch)
    assert len(steps) == plan.steps_per_epoch
    assert sorted(row for step in steps for row in step) == list(range(len(plan.lengths)))
    assert all(len(step) == plan.step_rows for step in steps[:-1])


@given(plan=plans, epoch=st.integers(0, 3))
def test_processes_share_a_step_and_keep_in_step(plan: Plan, epoch: int) -> None:
    for step in plan.steps(epoch):
        shares = [plan.micro_batches(step, process) for process in range(plan.processes)]
        assert len({len(share) for share in shares}) == 1
        counted = sorted(row for share in shares for rows, weight in share for row in rows if weight)
        assert counted == sorted(step)
        assert all(1 <= len(rows) <= plan.batch_size for share in shares for rows, _ in share)


@given(plan=plans)
def test_the_order_depends_on_seed_and_epoch_alone(plan: Plan) -> None:
    twin = Plan(plan.lengths, plan.step_rows, 1, 1, plan.seed, plan.order)
    assert plan.steps(1) == twin.steps(1)


def test_a_stream_can_be_handed_to_a_worker(tmp_path: Path) -> None:
    module = tiny_module(tmp_path)
    features = [w for windows in encode_all(labelled_rows(5), module.task, module.tokenizer, 32) for w in windows]
    plan = Plan([row.length for row in features], 2)
    stream = StepStream(features, module.task, plan, epoch=0, first=0, process=0, padding={"input_ids": 0})
    (batch,), (copy,) = stream[0], pickle.loads(pickle.dumps(stream))[0]
    assert copy.keys == batch.keys
    assert (copy.inputs["input_ids"] == batch.inputs["input_ids"]).all()


def padded(plan: Plan) -> int:
    """Tokens of an epoch, padding included."""
    batches = [rows for step in plan.steps(0) for rows, _ in plan.micro_batches(step, 0)]
    return sum(len(rows) * max(plan.lengths[row] for row in rows) for rows in batches)


def test_little_padding_and_as_many_tokens_in_every_step() -> None:
    lengths = [1 + (7 * i) % 97 for i in range(3200)]
    plan, shuffled = Plan(lengths, 32, seed=1), Plan(lengths, 32, seed=1, order="shuffle")
    assert padded(plan) < 1.05 * sum(lengths) < 1.5 * sum(lengths) < padded(shuffled)
    tokens = [sum(lengths[row] for row in step) for step in plan.steps(0)]
    assert max(tokens) < 1.3 * min(tokens)
    assert plan.steps(0) != plan.steps(1)
    firsts = [lengths[step[0]] for step in plan.steps(0)]
    assert firsts != sorted(firsts)


def test_rows_of_one_length_are_computed_together() -> None:
    plan = Plan([20] * 64, 8)
    assert all(len(plan.micro_batches(step, 0)) == 1 for step in plan.steps(0))


def test_schedules_are_those_of_transformers() -> None:
    import torch
    import transformers

    for name in ("constant", "linear", "cosine"):
        settings = TrainSettings(schedule=name, warmup_steps=4)  # type: ignore[arg-type]
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        kind = "constant_with_warmup" if name == "constant" else name
        oracle = transformers.get_scheduler(kind, optimizer, num_warmup_steps=4, num_training_steps=20)
        for step in range(20):
            assert abs(oracle.get_last_lr()[0] - rate_factor(settings, step, 20)) < 1e-12
            optimizer.step()
            oracle.step()


def test_warm_up_as_a_share_of_all_steps() -> None:
    settings = TrainSettings(warmup_ratio=0.25)
    assert [rate_factor(settings, step, 8) for step in range(4)] == [0, 0.5, 1, 1]
