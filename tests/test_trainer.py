"""The trainer as its users meet it: PaddleHub's arguments, what it leaves behind, and what it refuses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import LABELS, tiny_module
from training_program import Scaled, labelled_rows, weights_hash

import hub_core as hub
from hub_core.errors import CheckpointError, DataError, DeviceError, NonFiniteLossError, ResumeError, SettingsError
from hub_core.examples import Batch, Example, Features
from hub_core.tasks.token_cls import TokenCls
from hub_core.torch_module import TorchModule
from hub_core.train.average import WeightAverage
from hub_core.train.checkpoints import Checkpoints
from hub_core.train.objectives import Step
from hub_core.train.optimizers import adamw
from hub_core.train.processes import accelerator_on
from hub_core.train.reporting import duration
from hub_core.train.settings import TrainSettings
from hub_core.train.trainer import Trainer, TrainResult

ROWS = labelled_rows(30)


def train(
    tmp_path: Path,
    module: TorchModule | None = None,
    *,
    epochs: int = 2,
    rows: Sequence[Example] = ROWS,
    **options: Any,
) -> tuple[Trainer, TrainResult]:
    module = module or tiny_module(tmp_path)
    call = {
        key: options.pop(key)
        for key in ("eval_dataset", "log_interval", "save_interval", "num_workers", "collate_fn")
        if key in options
    }
    trainer = Trainer(
        module,
        options.pop("optimizer", None) or adamw(module, learning_rate=5e-3),
        checkpoint_dir=tmp_path / "ckpt",
        use_vdl=options.pop("use_vdl", False),
        **options,
    )
    return trainer, trainer.train(rows, epochs=epochs, batch_size=8, **call)


def test_paddlehubs_call_evaluates_and_leaves_the_best_model(tmp_path: Path) -> None:
    trainer, result = train(tmp_path, epochs=3, eval_dataset=ROWS, log_interval=1)
    assert {"best_model", "epoch_3", "state"} == {path.name for path in (tmp_path / "ckpt").iterdir()}
    evaluations = [row for row in result.history if "f1" in row]
    assert [row["epoch"] for row in evaluations] == [1, 2, 3]
    assert result.best is not None
    assert result.best["f1"] == max(row["f1"] for row in evaluations)
    best = hub.Module(directory=tmp_path / "ckpt" / "best_model")
    assert best.spec.metrics["f1"] == result.best["f1"]
    assert Trainer(best, checkpoint_dir=tmp_path / "x").evaluate(ROWS, batch_size=7)["metrics"] == result.best
    losses = [row["loss"] for row in result.history if "loss" in row]
    assert len(losses) == result.steps == 12
    assert losses[-1] < losses[0] / 2


def test_the_module_is_ready_to_answer_afterwards(tmp_path: Path) -> None:
    trainer, _ = train(tmp_path)
    assert not trainer.model.training
    assert trainer.model.task is not None
    assert trainer.model.task.options["max_seq_len"] == 64
    assert trainer.model.predict(["新华社"]) == trainer.model.predict(["新华社"])


def test_epoch_folders_by_interval_and_rotation(tmp_path: Path) -> None:
    train(tmp_path, epochs=7, save_interval=2, settings=TrainSettings(keep_epochs=2))
    assert sorted(path.name for path in (tmp_path / "ckpt").glob("epoch_*")) == ["epoch_6", "epoch_7"]
    assert [path.name for path in (tmp_path / "ckpt" / "state").iterdir()] == ["step-000000028"]


def test_a_comparison_of_ones_own(tmp_path: Path) -> None:
    seen: list[tuple[float, float]] = []

    def worse(old: dict[str, float], new: dict[str, float]) -> bool:
        seen.append((old["f1"], new["f1"]))
        return False

    _, result = train(tmp_path, epochs=3, eval_dataset=ROWS, compare_metrics=worse)
    first = next(row for row in result.history if "f1" in row)
    assert result.best is not None
    assert result.best["f1"] == first["f1"]
    assert len(seen) == 2


def test_tensorboard_has_paddlehubs_tags(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path, eval_dataset=ROWS, log_interval=2, use_vdl=True)
    events = EventAccumulator(str(tmp_path / "ckpt" / "visualization"))
    events.Reload()
    assert {"TRAIN/loss", "TRAIN/lr", "TRAIN/grad_norm", "EVAL/f1"} <= set(events.Tags()["scalars"])
    assert [point.step for point in events.Scalars("TRAIN/loss")] == [2, 4, 6, 8]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_learns_too(tmp_path: Path, precision: str) -> None:
    _, result = train(tmp_path, epochs=4, log_interval=1, settings=TrainSettings(precision=precision))  # type: ignore[arg-type]
    losses = [row["loss"] for row in result.history]
    assert losses[-1] < losses[0] / 2


def test_use_gpu_goes_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in device: the code asks for a GPU and is given the CPU; the weights are those of a CPU run."""
    plain, _ = train(tmp_path / "cpu")
    asked: list[bool] = []

    def stand_in(use_gpu: bool) -> torch.device:
        asked.append(use_gpu)
        return torch.device("cpu")

    monkeypatch.setattr("hub_core.train.trainer.pick_device", stand_in)
    monkeypatch.setattr("hub_core.torch_module.pick_device", stand_in)
    trainer, _ = train(tmp_path / "gpu", use_gpu=True)
    assert trainer.model.predict(["新华社"], use_gpu=True) == plain.model.predict(["新华社"])
    assert asked == [True, True]
    assert weights_hash(trainer.model) == weights_hash(plain.model)


def test_rows_are_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training rows and evaluation rows alike, however many epochs there are."""
    calls: list[str] = []
    encode = TokenCls.encode

    def counted(self: TokenCls, example: Example, *arguments: Any) -> Any:
        calls.append(example.key)
        return encode(self, example, *arguments)

    monkeypatch.setattr(TokenCls, "encode", counted)
    train(tmp_path, epochs=3, eval_dataset=ROWS[:5])
    assert len(calls) == len(ROWS) + 5


def test_workers_change_nothing(tmp_path: Path) -> None:
    alone, _ = train(tmp_path / "a")
    helped, _ = train(tmp_path / "b", num_workers=2)
    assert weights_hash(alone.model) == weights_hash(helped.model)


def test_a_collate_function_of_ones_own(tmp_path: Path) -> None:
    module = tiny_module(tmp_path)
    sizes: list[int] = []

    def collate(rows: Sequence[Features]) -> Batch:
        sizes.append(len(rows))
        assert module.task is not None
        return module.task.collate(rows, {"input_ids": module.tokenizer.pad_id})

    train(tmp_path, module, epochs=1, collate_fn=collate)
    assert sum(sizes) == len(ROWS)
    with pytest.raises(ResumeError, match="collate_fn: True in the saved state, False now"):
        train(tmp_path, module, epochs=1)


def test_an_average_of_the_weights(tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 1)
    average = WeightAverage(module, 0.5)
    start = module.weight.detach().clone()
    with torch.no_grad():
        module.weight += 1
    average.update(steps=100)
    with average.applied():
        assert torch.allclose(module.weight, start + 0.5)
    assert torch.allclose(module.weight, start + 1)
    average.update(steps=1)  # early on the decay is small: (1 + 1) / (10 + 1)
    average.apply()
    assert torch.allclose(module.weight, start + 0.5 * 2 / 11 + 9 / 11)


def test_the_average_is_what_is_saved_and_resumed(tmp_path: Path) -> None:
    settings = TrainSettings(ema=0.9, state_steps=3)
    whole, result = train(tmp_path / "whole", epochs=3, eval_dataset=ROWS, settings=settings)
    saved = hub.Module(directory=tmp_path / "whole" / "ckpt" / "epoch_3")
    assert weights_hash(saved.network) == weights_hash(whole.model.network)
    again, _ = train(tmp_path / "whole", epochs=3, eval_dataset=ROWS, settings=settings)
    assert weights_hash(again.model) == weights_hash(whole.model)
    plain, _ = train(tmp_path / "plain", epochs=3)
    assert weights_hash(plain.model) != weights_hash(whole.model)
    assert result.best is not None


def test_an_objectives_own_parameters_train_too(tmp_path: Path) -> None:
    module = tiny_module(tmp_path)
    objective = Scaled(module)
    trainer, result = train(tmp_path, module, objective=objective, log_interval=1)
    for row in result.history:
        assert row["plain"] + row["rest"] == pytest.approx(row["loss"])
    assert objective.scale.item() != 1
    assert objective.epochs == [0, 1]
    counted = [p for group in trainer.optimizer.param_groups for p in group["params"]]
    assert len(counted) == len({id(p) for p in counted}) == len(list(module.parameters())) + 1


def test_weight_decay_spares_biases_and_norms(tmp_path: Path) -> None:
    module = tiny_module(tmp_path)
    decayed, spared = adamw(module, learning_rate=1e-3, weight_decay=0.1).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert all(p.ndim > 1 for p in decayed["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(list(module.parameters()))


def test_mistakes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tiny_module(tmp_path)
    trainer = Trainer(module, checkpoint_dir=tmp_path / "ckpt", use_vdl=False)
    with pytest.raises(SettingsError, match="epochs must be a whole number of at least 1, not 0"):
        trainer.train(ROWS, epochs=0)
    with pytest.raises(DataError, match="the training data has no rows"):
        trainer.train([])
    with pytest.raises(DataError, match="the evaluation data has no rows"):
        trainer.evaluate([])
    with pytest.raises(DataError, match="row 1: it has no label"):
        trainer.train([Example("中", units=("中",))])
    with pytest.raises(DataError, match=r"row 7: unknown label 'B-PRE'; did you mean 'B-PER'"):
        trainer.train([Example("中", units=("中",), label=("B-PRE",), key="row 7")])
    with pytest.raises(SettingsError, match="needs a module from hub.Module, not Linear"):
        Trainer(torch.nn.Linear(1, 1))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="without a task"):
        Trainer(tiny_module(tmp_path, task=None))
    with pytest.raises(SettingsError, match="unknown metric 'f2' to compare by; "):
        train(tmp_path / "m", eval_dataset=ROWS, settings=TrainSettings(metric="f2"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(DeviceError, match="use_gpu=True"):
        Trainer(module, use_gpu=True)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "ckpt").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"checkpoint_dir .*ckpt cannot be written"):
        train(tmp_path)
    if os.getuid() != 0:  # root may write anywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(CheckpointError, match="Permission denied"):
            train(tmp_path / "locked")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schedule": "linar"}, "unknown value 'linar' of schedule; did you mean 'linear'"),
        ({"seed": 1.5}, "seed must be int, not 1.5"),
        ({"warmup_ratio": 2}, "warmup_ratio=2 must be between 0 and 1"),
        ({"accumulation": True}, "accumulation must be int, not True"),
        ({"ema": 1.0}, "ema=1.0 must be between 0 and 0.999999"),
    ],
)
def test_unusable_settings_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        TrainSettings(**values)


def test_settings_from_json(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"schedule": "cosine", "warmup_steps": 5}', encoding="utf-8")
    settings = TrainSettings.from_json(path)
    assert (settings.schedule, settings.warmup_steps) == ("cosine", 5)
    assert TrainSettings().replace(**settings.to_json()) == settings
    path.write_text('{"warmup": 5}', encoding="utf-8")
    with pytest.raises(SettingsError, match="unknown training setting 'warmup'; did you mean"):
        TrainSettings.from_json(path)
    path.write_text("[", encoding="utf-8")
    with pytest.raises(SettingsError, match="cannot be read as JSON"):
        TrainSettings.from_json(path)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(SettingsError, match="must hold a JSON object"):
        TrainSettings.from_json(path)


def test_a_new_run_in_an_old_folder(tmp_path: Path) -> None:
    ckpt = tmp_path / "ckpt"
    train(tmp_path, epochs=4, save_interval=1, eval_dataset=ROWS, use_vdl=True)
    (ckpt / "epoch_100").mkdir()
    (ckpt / "epoch_100" / "notes.txt").write_text("mine", encoding="utf-8")
    (ckpt / f".epoch_4.{'0' * 32}.tmp").mkdir()
    (ckpt / f".best_model.{'0' * 32}.tmp").mkdir()
    (ckpt / "state" / f".step-000000016.{'0' * 32}.tmp").mkdir()
    train(tmp_path, epochs=2, save_interval=1, settings=TrainSettings(resume="never", keep_epochs=1))
    assert sorted(path.name for path in ckpt.iterdir()) == ["epoch_100", "epoch_2", "state"]
    assert [path.name for path in (ckpt / "state").iterdir()] == ["step-000000008"]


def test_a_killed_run_is_swept_when_it_continues(tmp_path: Path) -> None:
    train(tmp_path)
    staged = tmp_path / "ckpt" / "state" / f".step-000000009.{'0' * 32}.tmp"
    staged.mkdir()
    train(tmp_path)
    assert not staged.exists()


def test_rotation_keeps_what_was_just_saved(tmp_path: Path) -> None:
    module = tiny_module(tmp_path)
    checkpoints = Checkpoints(tmp_path / "ckpt")
    for epoch in (8, 9, 1):
        checkpoints.save_epoch(module, epoch, {}, keep=2)
    assert sorted(path.name for path in (tmp_path / "ckpt").iterdir()) == ["epoch_1", "epoch_9"]


def test_the_device_is_the_one_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """accelerate keeps its first device for the whole program; `meta` stands for one that is not this machine's."""
    from accelerate.state import AcceleratorState, PartialState

    AcceleratorState._reset_state(reset_partial_state=True)
    assert accelerator_on(torch.device("cpu")).device.type == "cpu"
    PartialState._shared_state["device"] = torch.device("meta")
    assert accelerator_on(torch.device("cpu")).device.type == "cpu"
    PartialState._shared_state.update(device=torch.device("meta"), num_processes=2)
    with pytest.raises(DeviceError, match="connected for meta, but training is to run on cpu"):
        accelerator_on(torch.device("cpu"))
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    with pytest.raises(DeviceError, match="training is to run on cuda, but accelerate chose cpu"):
        accelerator_on(torch.device("cuda"))
    AcceleratorState._reset_state(reset_partial_state=True)


def test_evaluation_moves_the_model_to_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tiny_module(tmp_path)
    trainer = Trainer(module, checkpoint_dir=tmp_path / "ckpt", use_vdl=False)
    moved: list[Any] = []
    monkeypatch.setattr(module, "to", moved.append)
    trainer.evaluate(ROWS[:2])
    assert moved == [trainer.processes.device]


def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tiny_module(tmp_path)
    weight = next(module.parameters())
    weight.register_hook(lambda grad: grad * float("inf"))
    before = weights_hash(module)
    with pytest.raises(NonFiniteLossError, match=r"the gradient became (nan|inf) .* at step 1 \(epoch 1\)"):
        train(tmp_path, module)
    assert weights_hash(module) == before
    assert [path.name for path in (tmp_path / "ckpt" / "state").iterdir()] == ["step-000000000"]


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    module = tiny_module(tmp_path)
    with torch.no_grad():
        next(module.parameters())[0, 0] = float("nan")
    with pytest.raises(NonFiniteLossError, match="weights became NaN or infinite"):
        train(tmp_path, module)
    assert list((tmp_path / "ckpt").iterdir()) == []


def test_learning_rates_are_the_callers_again_afterwards(tmp_path: Path) -> None:
    trainer, _ = train(tmp_path, settings=TrainSettings(schedule="linear"))
    assert [group["lr"] for group in trainer.optimizer.param_groups] == [5e-3, 5e-3]


@pytest.mark.parametrize(
    ("scheduler", "options", "now"),
    [("LinearLR", {"start_factor": 0.5}, "0.0005"), ("StepLR", {"step_size": 2}, "0.001")],
)
def test_a_scheduler_of_torchs_is_refused(tmp_path: Path, scheduler: str, options: dict[str, Any], now: str) -> None:
    """Also one that has not changed the rate yet."""
    module = tiny_module(tmp_path)
    optimizer = adamw(module, learning_rate=1e-3)
    getattr(torch.optim.lr_scheduler, scheduler)(optimizer, **options)
    message = rf"group 0 is set by .*lr_scheduler \(0.001 at first, {now} now\), .* TrainSettings\(schedule="
    with pytest.raises(SettingsError, match=message):
        train(tmp_path, module, optimizer=optimizer)


def test_evaluation_data_is_checked_before_training(tmp_path: Path) -> None:
    wrong = [
        Example("中", units=("中",), label=("B-PRE",), key="dev.tsv:7"),
        Example("国", units=("国",), key="dev.tsv:8"),
    ]
    with pytest.raises(DataError, match=r"(?s)dev.tsv:7: unknown label 'B-PRE'.*dev.tsv:8: it has no label"):
        train(tmp_path, eval_dataset=wrong)
    with pytest.raises(DataError, match="the evaluation data has no rows"):
        train(tmp_path, eval_dataset=[])
    assert not (tmp_path / "ckpt").exists()


def test_training_texts_that_are_cut_are_counted(tmp_path: Path) -> None:
    module = tiny_module(tmp_path, task="seq-cls", labels=("even", "odd"))
    rows = [Example("中" * count, label="odd", key=str(count)) for count in (3, 9, 11)]
    with pytest.warns(
        UserWarning, match=r"^2 training text\(s\) were cut to max_seq_len=8 tokens; a larger one \(--max-seq-len\)"
    ):
        train(tmp_path, module, rows=rows, epochs=1, settings=TrainSettings(max_seq_len=8))


def test_an_optimizer_of_another_model_is_refused(tmp_path: Path) -> None:
    module, other = tiny_module(tmp_path), torch.nn.Linear(1, 1)
    with pytest.raises(SettingsError, match="holds no trainable parameter of tiny 1.0.0"):
        Trainer(module, torch.optim.SGD(other.parameters(), lr=1.0))
    module.requires_grad_(False)
    with pytest.raises(SettingsError, match="nothing to train"):
        Trainer(module)


def test_numpys_integers_are_whole_numbers(tmp_path: Path) -> None:
    _, result = train(tmp_path, epochs=np.int64(1))  # type: ignore[arg-type]
    assert result.steps == 4


def test_a_duration_beyond_a_day() -> None:
    assert [duration(59.9), duration(30 * 3600 + 61)] == ["00:00:59", "30:01:01"]


def test_a_part_may_not_take_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tiny_module(tmp_path)
    objective = Scaled(module)
    loss = next(module.parameters()).sum()
    monkeypatch.setattr(objective, "forward", lambda module, batch: Step(loss, parts={"lr": loss}))
    with pytest.raises(SettingsError, match="Scaled calls a part 'lr'; that name is taken"):
        train(tmp_path, module, objective=objective)


@pytest.mark.parametrize("task", ["token-cls", "seq-cls"])
def test_a_bilstm_learns(tmp_path: Path, task: str) -> None:
    labels = LABELS if task == "token-cls" else ("even", "odd")
    rows = ROWS if task == "token-cls" else [Example(r.text, label=labels[len(r.text) % 2], key=r.key) for r in ROWS]
    module = tiny_module(tmp_path, family="bilstm", task=task, labels=labels)
    optimizer = adamw(module, learning_rate=0.02)
    _, result = train(tmp_path, module, epochs=12, rows=rows, eval_dataset=rows, optimizer=optimizer)
    assert result.best is not None
    assert result.best["accuracy"] > 0.9


@pytest.mark.parametrize("step", ["training_step", "validation_step", "learning_rate_step", "save_model"])
def test_a_subclass_with_paddlehubs_steps_is_refused(step: str) -> None:
    with pytest.raises(SettingsError, match=f"Mine defines {step}, which this trainer does not call"):
        type("Mine", (Trainer,), {step: lambda self: None})
    assert issubclass(type("Mine", (Trainer,), {"more": 1}), Trainer)


def test_evaluate_refuses_what_it_would_not_use(tmp_path: Path) -> None:
    trainer, _ = train(tmp_path, epochs=1)
    with pytest.raises(SettingsError, match="collate_fn is for train"):
        trainer.evaluate(ROWS, collate_fn=lambda rows: Batch({"main": {}}))
    assert trainer.evaluate(ROWS, num_workers=2) == trainer.evaluate(ROWS)
