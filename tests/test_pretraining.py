"""Pre-training: the losses are those of the literature, and a killed run ends with the same bits."""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import distributed_pretraining_program
import numpy as np
import pytest
import torch
from command_line import Hub
from killing import killed_and_left_alone
from pretraining_program import report, run, run_and_report, sample_corpus, sample_text
from safetensors.torch import load_file
from sklearn.metrics import f1_score
from tiny import tiny_module, write_vocabulary
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from training_program import labelled_rows, weights_hash

import hub_core as hub
from hub_core.cli.pretraining import pretrain as pretrain_command
from hub_core.corpus.building import build_corpus
from hub_core.corpus.encoding import EncodeOptions
from hub_core.errors import CheckpointError, DataError, ManifestError, ResumeError, SettingsError
from hub_core.examples import IGNORE, Batch, Example
from hub_core.pretrain import objectives
from hub_core.pretrain.masking import MaskOptions
from hub_core.pretrain.networks import generator_for, with_detector, with_order, with_words
from hub_core.pretrain.objectives import HiddenWords, ReplacedTokens
from hub_core.pretrain.presets import preset, presets
from hub_core.pretrain.run import pretrain
from hub_core.pretrain.stream import MEASURING_SEED, RowOptions, Rows
from hub_core.pretrain.task import PreTraining
from hub_core.spec import WEIGHTS, read_manifest
from hub_core.torch_module import TorchModule
from hub_core.train import compiling
from hub_core.train.batches import to_torch
from hub_core.train.checkpoints import Checkpoints
from hub_core.train.schedule import rate_factor, warmup_steps
from hub_core.train.settings import TrainSettings
from hub_core.train.state import load_state

CPU = torch.device("cpu")
MANIFEST = {
    "schema": 1,
    "name": "small",
    "version": "0.1.0",
    "summary": "small",
    "license": "Apache-2.0",
    "languages": ["zh"],
    "family": "bert",
    "config": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
    },
    "tokenizer": {"type": "wordpiece", "lowercase": True, "symbols": "isolate"},
    "supports": ["masked-lm", "seq-cls"],
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Sums over several threads may differ in the last bit; exactness is promised per machine and thread count."""
    torch.set_num_threads(1)


def masked_lm(folder: Path, family: str = "bert", **config: Any) -> TorchModule:
    return tiny_module(folder, family=family, task="masked-lm", labels=(), seed=1, **config)


def batch_of(module: TorchModule, folder: Path, count: int = 6, **options: Any) -> Batch:
    corpus = sample_corpus(folder / "data", module.tokenizer)
    rows = Rows(corpus, range(len(corpus.documents) - 1), module.tokenizer, RowOptions(32, **options), seed=3)
    return PreTraining(()).collate(rows.epoch(0)[:count], {"input_ids": module.tokenizer.pad_id})


def grow(module: TorchModule, times: float) -> None:
    """Multiply all embeddings, and move all biases, as a long training does."""
    with torch.no_grad():
        for parameter in module.network.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
        for part in module.network.base_model.embeddings.modules():
            if isinstance(part, nn.Embedding):
                part.weight.mul_(times)


def spread(module: TorchModule) -> float:
    """The standard deviation of the embeddings of tokens."""
    return float(module.network.base_model.get_input_embeddings().weight.detach().std())


#: Tokens that the vocabulary has, and a norm whose epsilon changes nothing.
MODERN = {**{f"{kind}_token_id": 0 for kind in ("pad", "bos", "eos", "cls", "sep")}, "norm_eps": 1e-12}
#: MobileBERT, as small as the others.
MOBILE = {"embedding_size": 16, "intra_bottleneck_size": 16}


class TestLosses:
    @pytest.mark.parametrize(
        ("family", "config"),
        [
            *((name, {}) for name in ("bert", "ernie", "roberta", "albert", "electra", "distilbert", "megatron-bert")),
            ("mobilebert", MOBILE),  # whose head cannot be asked at places
        ],
    )
    def test_hidden_words(self, tmp_path: Path, family: str, config: dict[str, Any]) -> None:
        """The mean over hidden tokens is what `transformers` computes with all of its logits."""
        module = masked_lm(tmp_path, family, **config)
        batch = batch_of(module, tmp_path)
        moved, objective = to_torch(batch, CPU), HiddenWords()
        step = objective(module, moved)
        theirs = module.network(**moved.inputs, labels=moved.targets).loss
        assert step.loss is None
        mine = step.parts["mlm"] / objective.weight(module, batch)["mlm"]
        torch.testing.assert_close(mine, theirs)
        assert step.logits.shape == (int((batch.targets != IGNORE).sum()), len(module.tokenizer))

    @pytest.mark.parametrize("family", ["bert", "ernie", "albert"])
    def test_the_order_of_sentences(self, tmp_path: Path, family: str) -> None:
        """Of whole rows of two halves, `transformers`' own sum of both means."""
        module = with_order(masked_lm(tmp_path, family))
        batch = batch_of(module, tmp_path, count=30, order="sop")
        whole = [number for number, order in enumerate(batch.columns["order"]) if order != IGNORE][:8]
        batch = Batch(
            {"main": {name: array[whole] for name, array in batch.inputs.items()}},
            batch.targets[whole],
            batch.weights[whole],
            (),
            {"order": batch.columns["order"][whole]},
        )
        moved, objective = to_torch(batch, CPU), HiddenWords(order=True)
        step, weights = objective(module, moved), objective.weight(module, batch)
        label = {"albert": "sentence_order_label"}.get(family, "next_sentence_label")
        theirs = module.network(**moved.inputs, labels=moved.targets, **{label: moved.columns["order"]}).loss
        mine = sum(step.parts[name] / weights[name] for name in ("mlm", "order"))
        torch.testing.assert_close(mine, theirs)

    def test_replaced_tokens(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        module = with_detector(masked_lm(tmp_path, "electra")).eval()
        batch = batch_of(module, tmp_path)
        moved, objective = to_torch(batch, CPU), ReplacedTokens(generator_for(module, share=0.5), factor=50.0)
        objective.eval()
        drawn: list[torch.Tensor] = []
        usual = objectives.gumbel_softmax

        def draw(logits: torch.Tensor) -> torch.Tensor:
            drawn.append(usual(logits))
            return drawn[-1]

        monkeypatch.setattr(objectives, "gumbel_softmax", draw)
        step, weights = objective(module, moved), objective.weight(module, batch)
        filled = moved.inputs["input_ids"].clone()
        hidden = moved.targets != IGNORE
        filled[hidden] = drawn[0].argmax(-1)
        replaced = hidden & (filled != moved.targets)
        real = moved.inputs["attention_mask"].bool()
        logits = module.network(**{**moved.inputs, "input_ids": filled}).logits
        theirs = binary_cross_entropy_with_logits(logits[real], replaced[real].float())
        torch.testing.assert_close(step.parts["replaced"] / weights["replaced"], 50 * theirs)
        generated = objective.generator(**moved.inputs).logits
        torch.testing.assert_close(
            step.parts["mlm"] / weights["mlm"], cross_entropy(generated[hidden], moved.targets[hidden])
        )
        assert replaced.any()
        monkeypatch.setattr(objectives, "gumbel_softmax", lambda _: drawn[0])
        for parameter in module.network.discriminator_predictions.dense_prediction.parameters():
            parameter.data.mul_(50)  # or it says the same of every token
        with torch.inference_mode():
            told = (module.network(**{**moved.inputs, "input_ids": filled}).logits > 0)[real]
            twice, both = objective.measure(module, batch, moved)["replaced_f1"]
        assert 0 < told.sum() < len(told)
        assert twice / both == pytest.approx(f1_score(replaced[real], told))

    def test_the_generator_shares_the_embeddings(self, tmp_path: Path) -> None:
        module = with_detector(masked_lm(tmp_path, "electra"))
        generator: Any = generator_for(module, share=0.5)
        network: Any = module.network
        assert generator.electra.embeddings.word_embeddings.weight is network.electra.embeddings.word_embeddings.weight
        assert generator.generator_lm_head.weight is network.electra.embeddings.word_embeddings.weight
        assert generator.config.hidden_size == 16

    def test_a_step_does_not_depend_on_how_it_is_cut(self, tmp_path: Path) -> None:
        """Rows have other numbers of hidden words and of halves; each part is still one mean over the whole step."""
        one, two = (
            run(
                tmp_path / name / "ckpt",
                objective="mlm+sop",
                max_steps=3,
                accumulation=cut,
                order="shuffle",
                optimizer="sgd",
                learning_rate=0.1,
                dropout=0.0,
                call={"batch_size": 12 // cut},
            )
            for name, cut in (("one", 1), ("two", 4))
        )
        for mine, theirs in zip(one.module.parameters(), two.module.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)


class TestRuns:
    @pytest.mark.parametrize(("objective", "family"), [("mlm", "bert"), ("mlm+nsp", "ernie"), ("rtd", "electra")])
    def test_what_is_left(self, tmp_path: Path, objective: str, family: str) -> None:
        done = run(tmp_path / "ckpt", objective=objective, family=family)
        assert done.result.steps == 12
        evaluations = [row for row in done.result.history if "accuracy" in row]
        assert [row["step"] for row in evaluations] == [5.0, 10.0, 12.0]
        assert done.result.best is not None
        decisive = "loss" if objective == "rtd" else "mlm"
        assert done.result.best[decisive] == min(row[decisive] for row in evaluations)
        again = hub.Module(directory=tmp_path / "ckpt" / "best_model", task="seq-cls", label_map=["a", "b"])
        assert again.predict(["新华社"])[0]["label"] in ("a", "b")
        if objective != "rtd":
            filled = hub.Module(directory=tmp_path / "ckpt" / "best_model").predict(["新[MASK]社"])
            assert len(filled[0]["places"][0]) == 5

    def test_it_learns(self, tmp_path: Path) -> None:
        """A language of two texts, in which what is shown says what is hidden."""
        module = masked_lm(tmp_path)
        draw = random.Random(1)
        lines = [draw.choice(("新华", "北京")) * 12 for _ in range(60)]
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "text.txt").write_text("\n\n".join(lines), encoding="utf-8")
        corpus = build_corpus(module.tokenizer, [tmp_path / "data"], tmp_path / "c", encode=EncodeOptions("none"))
        said: list[str] = []
        done = pretrain(
            module,
            corpus,
            checkpoint_dir=tmp_path / "ckpt",
            rows=RowOptions(26),
            batch_size=16,
            held_out=0.1,
            announce=said.append,
            settings=TrainSettings(learning_rate=5e-3, max_steps=100, warmup_steps=10, schedule="linear"),
            use_vdl=False,
        )
        assert done.result.best is not None
        assert "the corpus was built without words: tokens are hidden one by one" in said
        assert done.result.best["accuracy"] > 0.8
        assert done.result.best["mlm"] < 0.6

    def test_a_validation_corpus(self, tmp_path: Path) -> None:
        module = masked_lm(tmp_path)
        corpus = sample_corpus(tmp_path / "data", module.tokenizer)
        other = sample_corpus(tmp_path / "other", module.tokenizer, documents=7)
        fixed = Rows(other, range(7), module.tokenizer, RowOptions(32), seed=MEASURING_SEED).fixed()
        batch = PreTraining(()).collate(list(fixed), {"input_ids": 0})
        places = torch.as_tensor(batch.targets) != IGNORE

        def expected() -> float:
            with torch.inference_mode():
                logits = module.network.eval()(**to_torch(batch, CPU).inputs).logits
            return float(cross_entropy(logits[places], torch.as_tensor(batch.targets)[places]))

        before = expected()
        done = pretrain(
            module,
            corpus,
            checkpoint_dir=tmp_path / "ckpt",
            rows=RowOptions(32),
            validation=other,
            measure_first=True,
            settings=TrainSettings(max_steps=2),
            use_vdl=False,
        )
        assert done.before is not None
        assert done.before["mlm"] == pytest.approx(before, abs=1e-5)
        assert done.result.best is not None
        assert done.result.best["mlm"] == pytest.approx(expected(), abs=1e-5)
        assert before != pytest.approx(expected(), abs=1e-5)

    @pytest.mark.parametrize(("objective", "family"), [("mlm+sop", "bert"), ("mlm+sop", "albert"), ("rtd", "electra")])
    def test_going_on_starts_from_what_is_known(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], objective: str, family: str
    ) -> None:
        """All of it: at a learning rate of nothing, the file that comes out is the one that went in."""
        run(tmp_path / "ckpt", objective=objective, family=family)
        done = Hub(capsys)(
            *("pretrain", "--module", tmp_path / "ckpt" / "best_model", "--corpus", tmp_path / "data" / "corpus"),
            *("--objective", objective, "--length", 32, "--held-out", 0.1, "--learning-rate", 0, "--weight-decay", 0),
            *("--max-steps", 2, "--no-tensorboard", "--checkpoint-dir", tmp_path / "further"),
        )
        assert "warning" not in done.err
        assert ("mlm before" in done.out) == (objective != "rtd")
        before, after = (load_file(tmp_path / name / "best_model" / WEIGHTS) for name in ("ckpt", "further"))
        assert before.keys() == after.keys()
        assert all(torch.equal(after[name], value) for name, value in before.items())
        about = read_manifest(tmp_path / "further" / "best_model")
        name = read_manifest(tmp_path / "ckpt" / "best_model").name
        assert (about.name, about.base) == (f"{name}-corpus", f"{name}==1.0.0")
        heads = {"bert": "cls.seq_relationship.weight", "albert": "sop_classifier.classifier.weight"}
        assert heads.get(family, "discriminator_predictions.dense.weight") in after

    @pytest.mark.parametrize("freeze", ["none", "embeddings"])
    def test_what_is_measured_of_replaced_tokens_stays_the_same(self, tmp_path: Path, freeze: str) -> None:
        """However often one looks, and training goes on as if nobody had looked."""
        settings = {"objective": "rtd", "family": "electra", "max_steps": 4, "freeze": freeze}
        seldom = run(tmp_path / "seldom" / "ckpt", eval_interval=4, **settings)
        often = run(tmp_path / "often" / "ckpt", eval_interval=1, **settings)
        assert weights_hash(seldom.module) == weights_hash(often.module)
        still = run(tmp_path / "still" / "ckpt", eval_interval=1, learning_rate=0.0, weight_decay=0.0, **settings)
        losses = {row["loss"] for row in still.result.history if "accuracy" in row}
        assert len(losses) == 1

    def test_a_module_that_gets_worse(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        run(tmp_path / "ckpt")
        done = Hub(capsys)(
            *("pretrain", "--module", tmp_path / "ckpt" / "best_model", "--corpus", tmp_path / "data" / "corpus"),
            *("--length", 32, "--held-out", 0.1, "--learning-rate", 5, "--max-steps", 2, "--no-tensorboard"),
            *("--checkpoint-dir", tmp_path / "further"),
        )
        assert "found hidden words better before" in done.err


class TestScale:
    """Embeddings are saved in the scale of new ones: fine-tuning learns too slowly from those that have grown."""

    @pytest.mark.parametrize(
        ("family", "prepare", "config"),
        [
            *((family, with_words, {}) for family in ("bert", "ernie", "roberta", "albert", "electra", "distilbert")),
            ("deberta-v2", with_words, {}),
            ("modernbert", with_words, MODERN),
            ("bert", with_words, {"tie_word_embeddings": False}),
            *((family, with_order, {}) for family in ("bert", "ernie", "albert")),
            ("electra", with_detector, {}),
        ],
    )
    def test_the_answers_stay(
        self, tmp_path: Path, family: str, prepare: Callable[[TorchModule], TorchModule], config: dict[str, Any]
    ) -> None:
        """What is saved is spread as new weights are and answers the same; what learns on is untouched."""
        module = prepare(masked_lm(tmp_path, family, **config))
        grow(module, 7.0)
        before = {name: value.clone() for name, value in module.network.state_dict().items()}
        module.save(tmp_path / "saved")
        assert all(torch.equal(value, before[name]) for name, value in module.network.state_dict().items())
        assert spread(module) == pytest.approx(0.14, rel=0.2)
        task = None if prepare is with_detector else "masked-lm"
        saved = hub.Module(directory=tmp_path / "saved", task=task)
        assert spread(saved) == pytest.approx(0.14 / 8, rel=0.2)
        ids = torch.arange(5, 45).view(4, 10)
        ours, theirs = (base.eval()(ids)[0] for base in (module.network.base_model, saved.network.base_model))
        torch.testing.assert_close(theirs, ours)
        if task:
            torch.testing.assert_close(saved.network(ids)[0], module.network.eval()(ids)[0])

    def test_as_much_as_the_epsilon_changes(self, tmp_path: Path) -> None:
        """ModernBERT's own is a hundredth of what it is added to."""
        module = with_words(masked_lm(tmp_path, "modernbert", **MODERN | {"norm_eps": 1e-5}))
        grow(module, 9.0)
        module.save(tmp_path / "saved")
        ids = torch.arange(5, 45).view(4, 10)
        found, expected = hub.Module(directory=tmp_path / "saved").network(ids)[0], module.network.eval()(ids)[0]
        assert not torch.equal(found, expected)
        torch.testing.assert_close(found, expected, rtol=0, atol=0.05 * float(expected.detach().std()))

    @pytest.mark.parametrize(
        ("family", "times", "config"),
        [
            *(("bert", times, {}) for times in (0.1, 2.0, 3.5)),
            ("megatron-bert", 7.0, {}),  # no norm follows the embeddings
            ("mobilebert", 7.0, {**MOBILE, "normalization_type": "layer_norm"}),  # a projection with a bias
            ("deberta-v2", 7.0, {"legacy": False}),  # the head multiplies by embeddings that it does not name
        ],
    )
    def test_others_stay_as_they_are(self, tmp_path: Path, family: str, times: float, config: dict[str, Any]) -> None:
        module = with_words(masked_lm(tmp_path, family, **config))
        grow(module, times)
        module.save(tmp_path / "saved")
        saved = hub.Module(directory=tmp_path / "saved").network.state_dict()
        assert all(torch.equal(saved[name], value) for name, value in module.network.state_dict().items())

    def test_what_a_run_saves(self, tmp_path: Path) -> None:
        """The best module, and those of steps and epochs; the returned one is as it was trained, and saves likewise."""
        module = masked_lm(tmp_path)
        grow(module, 16.0)
        done = pretrain(
            module,
            sample_corpus(tmp_path / "data", module.tokenizer),
            checkpoint_dir=tmp_path / "ckpt",
            rows=RowOptions(32),
            held_out=0.1,
            settings=TrainSettings(learning_rate=1e-5, max_steps=2, save_steps=1),
            use_vdl=False,
        )
        copy.deepcopy(done.module).save(tmp_path / "ckpt" / "mine")
        assert spread(done.module) > 0.3
        folders = sorted(path.parent.name for path in (tmp_path / "ckpt").glob(f"*/{WEIGHTS}"))
        assert {"best_model", "mine", "step_1"} <= set(folders)
        for name in folders:
            assert spread(hub.Module(directory=tmp_path / "ckpt" / name)) == pytest.approx(0.02, rel=0.1)


class TestResume:
    @pytest.mark.parametrize(
        ("objective", "family"),
        [("mlm+sop", "bert"), pytest.param("rtd", "electra", marks=pytest.mark.slow)],
    )
    def test_killed_ten_times(self, tmp_path: Path, objective: str, family: str) -> None:
        """SIGKILL at ten random moments: the weights are those of a run that nothing disturbed, bit for bit, and so is
        all that it saved, logged and measured."""
        folder = tmp_path / "whole" / "ckpt"
        whole = report(run(folder, objective=objective, family=family), folder)
        assert killed_and_left_alone(run_and_report, tmp_path / "part" / "ckpt", objective, family) == whole

    @pytest.mark.parametrize("where", ["save_best", "save_epoch"])
    def test_stopped_after_the_last_step(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str
    ) -> None:
        """The state says that all steps are done: what follows them is made up for, and once."""

        def stopped(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        folders = [tmp_path / name / "ckpt" for name in ("whole", "part")]
        settings = {"eval_interval": 0, "max_steps": 5}
        whole = report(run(folders[0], **settings), folders[0])
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(Checkpoints, where, stopped)
            run(folders[1], **settings)
        assert report(run(folders[1], **settings), folders[1]) == whole
        assert "all 5 steps are done; what follows the last one is made up for" in caplog.text
        assert report(run(folders[1], **settings), folders[1]) == whole
        assert "all 5 steps are done already" in caplog.text

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"seed": 8}, "settings.seed: 7 in the saved state, 8 now"),
            ({"objective": "mlm+sop"}, "data.objective: 'mlm' in the saved state, 'mlm[+]sop' now"),
            ({"rows": {"pack": True}}, "data.rows.pack: False in the saved state, True now"),
            ({"max_steps": 20}, "settings.max_steps: 12 in the saved state, 20 now"),
            ({"call": {"batch_size": 4}}, "batch_size: 3 in the saved state, 4 now"),
        ],
    )
    def test_another_run_is_refused(self, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
        run(tmp_path / "ckpt")
        with pytest.raises(ResumeError, match=message):
            run(tmp_path / "ckpt", **changes)

    def test_more_steps_at_a_constant_rate(self, tmp_path: Path) -> None:
        """They are no other run: what is trained already would be the same, and the rest is."""
        constant = {"schedule": "constant", "warmup_steps": 3}
        run(tmp_path / "part" / "ckpt", max_steps=5, **constant)
        further = run(tmp_path / "part" / "ckpt", max_steps=12, **constant)
        whole = run(tmp_path / "whole" / "ckpt", max_steps=12, **constant)
        assert weights_hash(further.module) == weights_hash(whole.module)
        with pytest.raises(ResumeError, match="settings.max_steps: 12 in the saved state, 5 now"):
            run(tmp_path / "part" / "ckpt", max_steps=5, **constant)
        by_share = {"schedule": "constant", "warmup_ratio": 0.5}
        run(tmp_path / "share" / "ckpt", max_steps=4, **by_share)
        with pytest.raises(ResumeError, match="settings.max_steps: 4 in the saved state, 8 now"):
            run(tmp_path / "share" / "ckpt", max_steps=8, **by_share)

    @pytest.mark.parametrize(
        "options",
        [
            {"rows": {"pack": True}, "optimizer": "lamb"},
            {"precision": "bf16", "ema": 0.9},
            {"precision": "fp16", "max_grad_norm": 0.0},
        ],
        ids=["packed, lamb", "bf16, ema", "fp16"],
    )
    def test_others_go_on_too(self, tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        # In fp16 the first steps overflow: the scale that the others have is part of the state.
        high = partial(torch.amp.GradScaler, init_scale=2.0**19)
        monkeypatch.setattr(torch.amp, "GradScaler", high)
        options = {"schedule": "constant", **options}
        run(tmp_path / "part" / "ckpt", max_steps=5, **options)
        if options.get("precision") == "fp16":
            scale = load_state(tmp_path / "part" / "ckpt" / "state").tensors["scaler"]["scale"]
            assert scale < 2.0**19
        further = run(tmp_path / "part" / "ckpt", max_steps=9, **options)
        assert weights_hash(further.module) == weights_hash(
            run(tmp_path / "whole" / "ckpt", max_steps=9, **options).module
        )

    def test_another_text_is_refused(self, tmp_path: Path) -> None:
        run(tmp_path / "ckpt")
        for path in (tmp_path / "data").glob("corpus*"):
            path.unlink()
        (tmp_path / "data" / "text.txt").write_text(sample_text(31), encoding="utf-8")
        module = masked_lm(tmp_path)
        with pytest.raises(ResumeError, match=r"data.corpus: '\w+' in the saved state, '\w+' now"):
            pretrain(
                module,
                sample_corpus(tmp_path / "data", module.tokenizer, documents=31),
                checkpoint_dir=tmp_path / "ckpt",
                rows=RowOptions(32),
                settings=TrainSettings(max_steps=12),
            )

    def test_another_run_is_refused_before_anything_is_measured(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run(tmp_path / "ckpt")
        looks: list[int] = []
        usual = HiddenWords.measure

        def measure(*args: Any) -> Any:
            looks.append(1)
            return usual(*args)

        monkeypatch.setattr(HiddenWords, "measure", measure)
        with pytest.raises(ResumeError):
            run(tmp_path / "ckpt", seed=8, call={"measure_first": True})
        (tmp_path / "file").write_text("", encoding="utf-8")
        with pytest.raises(CheckpointError, match="file cannot be written"):
            run(tmp_path / "file", call={"measure_first": True})
        assert not looks
        first = run(tmp_path / "ckpt", call={"measure_first": True})
        assert first.before is not None
        assert first.before["mlm"] > (first.result.best or {})["mlm"]

    def test_a_module_trained_for_something_else(self, tmp_path: Path) -> None:
        """Its encoder is what goes on."""
        other = tiny_module(tmp_path, task="seq-cls", seed=1)
        corpus = sample_corpus(tmp_path / "data", other.tokenizer)
        settings = TrainSettings(max_steps=1, learning_rate=0.0)
        with pytest.raises(SettingsError, match="tiny has no head for hidden words; load it with task='masked-lm'"):
            pretrain(other, corpus, checkpoint_dir=tmp_path / "mlm", rows=RowOptions(32), settings=settings)
        for objective, kind in (("mlm+sop", other), ("rtd", tiny_module(tmp_path / "e", family="electra", seed=1))):
            done = pretrain(
                kind,
                corpus.prefix,
                checkpoint_dir=tmp_path / objective,
                rows=RowOptions(32),
                objective=objective,
                held_out=0.1,
                settings=settings,
            )
            encoder = kind.network.base_model.state_dict()
            mine = done.module.network.base_model.state_dict()
            assert all(torch.equal(mine[name], value) for name, value in encoder.items())

    def test_a_full_disk_loses_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from hub_core.train import state

        usual, saves = torch.save, 0

        def full(record: Any, path: Path) -> None:
            nonlocal saves
            saves += 1
            if saves == 4:
                raise OSError(28, "No space left on device")
            usual(record, path)

        monkeypatch.setattr(state.torch, "save", full)
        with pytest.raises(CheckpointError, match="No space left on device; the older one is kept"):
            run(tmp_path / "ckpt")
        resumed = run(tmp_path / "ckpt")
        monkeypatch.setattr(state.torch, "save", usual)
        assert weights_hash(resumed.module) == weights_hash(run(tmp_path / "whole" / "ckpt").module)


class TestProcesses:
    @pytest.mark.parametrize(
        ("objective", "family", "sharding"),
        [
            ("mlm+sop", "bert", "none"),
            pytest.param("mlm", "bert", "full", marks=pytest.mark.slow),
            pytest.param("rtd", "electra", "none", marks=pytest.mark.slow),
        ],
    )
    def test_two_are_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: str, family: str, sharding: str
    ) -> None:
        """Two processes with half a batch each learn what one learns with the whole of it; also where there is one row
        to measure, which one of them has."""
        monkeypatch.setattr(objectives, "gumbel_softmax", distributed_pretraining_program.likeliest)
        whole = run(
            tmp_path / "one" / "ckpt",
            objective=objective,
            family=family,
            dropout=0.0,
            accumulation=1,
            call={"batch_size": 6, "log_interval": 1},
            **distributed_pretraining_program.SETTINGS[objective],
        )
        folder = tmp_path / "two"
        program = Path(__file__).with_name("distributed_pretraining_program.py")
        command = [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"),
            *(f"--master_port={20000 + os.getpid() % 20000}", str(program), str(folder), objective, family, sharding),
        ]
        path = os.pathsep.join(map(str, Path(__file__).parents[:2]))
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        mine, theirs = (load_file(next(place.glob("ckpt/epoch_*")) / WEIGHTS) for place in (tmp_path / "one", folder))
        for name, tensor in mine.items():
            torch.testing.assert_close(theirs[name], tensor, atol=2e-4, rtol=1e-3, msg=name)
        rows = json.loads((folder / "history.json").read_text())
        assert len(rows) == len(whole.result.history) == (6 if objective == "rtd" else 15)
        for mine, theirs in zip(whole.result.history, rows, strict=True):
            assert theirs == pytest.approx(mine, rel=1e-3, abs=1e-5)


class TestSettings:
    def test_recomputed_activations_change_nothing(self, tmp_path: Path) -> None:
        plain = run(tmp_path / "plain" / "ckpt", max_steps=4)
        again = run(tmp_path / "again" / "ckpt", max_steps=4, recompute=True)
        assert weights_hash(plain.module) == weights_hash(again.module)
        assert not again.module.network.is_activation_checkpointing

    def test_in_bfloat16(self, tmp_path: Path) -> None:
        """Weights stay in float32, and losses near those of float32."""
        whole = run(tmp_path / "whole" / "ckpt", max_steps=4, dropout=0.0)
        half = run(tmp_path / "half" / "ckpt", max_steps=4, dropout=0.0, precision="bf16")
        assert {parameter.dtype for parameter in half.module.parameters()} == {torch.float32}
        assert half.result.best != whole.result.best
        assert half.result.best == pytest.approx(whole.result.best, rel=0.02, abs=0.02)

    def test_a_family_that_cannot_recompute(self, tmp_path: Path) -> None:
        module = tiny_module(tmp_path, family="bow", task="seq-cls", labels=("a", "b"))
        trainer = hub.Trainer(module, checkpoint_dir=tmp_path / "ckpt", settings=TrainSettings(recompute=True))
        rows = [Example("新华社", label="a"), Example("北京", label="b")]
        with pytest.raises(SettingsError, match="networks of family 'bow' keep what they compute"):
            trainer.train(rows)

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("objective", ["mlm", "mlm+sop"])
    def test_a_traced_network_learns_the_same(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: str
    ) -> None:
        """Rows have one of three lengths, and the number of hidden words, which differs by step, is in no graph."""
        graphs = 0

        def counted(graph: Any, inputs: Any) -> Any:
            nonlocal graphs
            graphs += 1
            return graph.forward

        monkeypatch.setattr(compiling, "BACKEND", counted)
        monkeypatch.setattr(compiling.padded_lengths, "__defaults__", (3,))
        settings = {"objective": objective, "max_steps": 10, "dropout": 0.0}
        plain = run(tmp_path / "plain" / "ckpt", **settings)
        compiled = run(tmp_path / "compiled" / "ckpt", compile=True, **settings)
        assert 0 < graphs <= 2 * 3
        for (name, one), other in zip(plain.module.named_parameters(), compiled.module.parameters(), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4, msg=name)

    def test_checkpoints_that_stay(self, tmp_path: Path) -> None:
        run(tmp_path / "ckpt", save_steps=4)
        assert sorted(path.name for path in (tmp_path / "ckpt").glob("step_*")) == ["step_12", "step_4", "step_8"]
        assert hub.Module(directory=tmp_path / "ckpt" / "step_8").predict(["新[MASK]社"])[0]["filled"]

    def test_max_steps_of_fine_tuning(self, tmp_path: Path) -> None:
        """The run ends in the middle of an epoch, and the schedule with it."""
        module = tiny_module(tmp_path)
        settings = TrainSettings(max_steps=4, schedule="linear", learning_rate=1e-3)
        trainer = hub.Trainer(module, checkpoint_dir=tmp_path / "ckpt", use_vdl=False, settings=settings)
        result = trainer.train(labelled_rows(30), epochs=5, batch_size=10, log_interval=1)
        assert result.steps == 4
        assert result.history[-1]["lr"] == pytest.approx(1e-3 / 4)
        assert (tmp_path / "ckpt" / "epoch_2").is_dir()


class TestPresets:
    @pytest.mark.parametrize("name", sorted(presets()))
    @pytest.mark.parametrize("schedule", ["linear", "constant"])
    def test_every_preset_is_usable(
        self, name: str, schedule: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Its options are the command's, its settings those of `TrainSettings`, and the command comes to the corpus."""
        found = preset(name)
        assert found.source
        assert found.apply().max_steps == found.settings["max_steps"]
        assert set(found.call) <= {parameter.name for parameter in pretrain_command.params}
        (tmp_path / "small.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
        write_vocabulary(tmp_path)
        said = Hub(capsys).fails(
            *("pretrain", "--preset", name, "--corpus", tmp_path / "none", "--manifest", tmp_path / "small.json"),
            *("--vocabulary", tmp_path / "vocab.txt", "--schedule", schedule),
        )
        assert "no corpus" in said

    @pytest.mark.parametrize("name", sorted(presets()))
    @pytest.mark.parametrize("steps", [None, 2000, 0])
    def test_the_rate_rises_and_falls(self, name: str, steps: int | None) -> None:
        """With as many steps as the known model had, and with few: up to the peak at first, and down at the end."""
        found = preset(name)
        settings = found.scaled(found.apply().replace(**({} if steps is None else {"max_steps": steps})))
        total = settings.max_steps or 500  # as many as some epochs have
        warm = warmup_steps(settings, total)
        assert 0 < warm <= 0.2 * total + 1
        assert rate_factor(settings, warm, total) == pytest.approx(1.0)
        assert rate_factor(settings, total, total) == pytest.approx(settings.floor, abs=1e-6)

    def test_options_win(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "text.txt").write_text(sample_text(), encoding="utf-8")
        (tmp_path / "small.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
        write_vocabulary(tmp_path)
        shell = Hub(capsys)
        shell(
            *("corpus", "build", "--tokenizer", tmp_path / "vocab.txt", "--input", tmp_path / "text.txt"),
            *("--output", tmp_path / "c"),
        )
        done = shell(
            *("pretrain", "--preset", "ernie-1.0", "--manifest", tmp_path / "small.json", "--held-out", 0.1, "--json"),
            *("--vocabulary", tmp_path / "vocab.txt", "--corpus", tmp_path / "c", "--length", 32, "--max-steps", 2),
            *("--batch-size", 4, "--accumulation", 2, "--no-tensorboard", "--checkpoint-dir", tmp_path / "ckpt"),
        )
        assert done.json["steps"] == 2
        assert "order" in done.json
        assert "2 steps of 8 rows" in done.err
        # Batches that a device can hold add up to the rows of its steps, and epochs take the place of its steps.
        done = shell(
            *("pretrain", "--preset", "electra-small", "--manifest", tmp_path / "small.json", "--held-out", 0.1),
            *("--vocabulary", tmp_path / "vocab.txt", "--corpus", tmp_path / "c", "--length", 32, "--epochs", 2),
            *("--batch-size", 50, "--objective", "mlm", "--no-tensorboard", "--checkpoint-dir", tmp_path / "more"),
        )
        assert "learns from 62 rows" in done.err
        assert "2 steps of 150 rows" in done.err
        assert "unknown preset 'ernie'; did you mean 'ernie-1.0'" in shell.fails("pretrain", "--preset", "ernie")


class TestMistakes:
    def test_what_cannot_be(self, tmp_path: Path) -> None:
        module = masked_lm(tmp_path)
        corpus = sample_corpus(tmp_path / "data", module.tokenizer)
        with pytest.raises(SettingsError, match="unknown objective 'mln'; did you mean 'mlm'"):
            pretrain(module, corpus, checkpoint_dir=tmp_path / "ckpt", objective="mln")
        with pytest.raises(SettingsError, match="takes rows of 64 tokens, not of 128"):
            pretrain(module, corpus, checkpoint_dir=tmp_path / "ckpt", rows=RowOptions(128))
        with pytest.raises(SettingsError, match="that is for family 'electra'"):
            pretrain(module, corpus, checkpoint_dir=tmp_path / "ckpt", rows=RowOptions(32), objective="rtd")
        with pytest.raises(SettingsError, match="rtd's generator shares the module's embeddings"):
            run(tmp_path / "sharded", objective="rtd", family="electra", sharding="full")
        with pytest.raises(SettingsError, match="family 'distilbert' has no .* choose --objective mlm"):
            with_order(masked_lm(tmp_path, "distilbert"))
        with pytest.raises(SettingsError, match="rtd hides words by the mask alone"):
            run(tmp_path / "ckpt", objective="rtd", family="electra", rows={"mask": MaskOptions(random=0.3)})
        with pytest.raises(SettingsError, match="order='sop' are not for objective 'mlm'"):
            run(tmp_path / "ckpt", rows={"order": "sop"})
        with pytest.raises(SettingsError, match="batch_size must be"):
            run(tmp_path / "ckpt", call={"batch_size": 0})
        with pytest.raises(SettingsError, match="held_out=0 must be between 0 and 1"):
            pretrain(module, corpus, checkpoint_dir=tmp_path / "ckpt", rows=RowOptions(32), held_out=0)
        with pytest.raises(ManifestError, match="'语料' may hold letters"):
            pretrain(module, corpus, checkpoint_dir=tmp_path / "ckpt", rows=RowOptions(32), name="语料")

    def test_too_little_text(self, tmp_path: Path) -> None:
        module = masked_lm(tmp_path)
        corpus = sample_corpus(tmp_path / "data", module.tokenizer, documents=1)
        flat = tmp_path / "flat.txt"
        flat.write_text("新华社\n\n北京\n\n" * 20, encoding="utf-8")
        single = build_corpus(module.tokenizer, [flat], tmp_path / "flat")
        with pytest.raises(DataError, match="no document has two sentences"):
            pretrain(module, single, checkpoint_dir=tmp_path / "ckpt", rows=RowOptions(32), objective="mlm+sop")
        with pytest.raises(DataError, match=r"1 document\(s\), of which 1 would be held out; when"):
            pretrain(module, corpus, checkpoint_dir=tmp_path / "ckpt", rows=RowOptions(32))


def test_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shell = Hub(capsys)
    (tmp_path / "text.txt").write_text(sample_text(), encoding="utf-8")
    write_vocabulary(tmp_path)
    (tmp_path / "small.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
    shell(
        *("corpus", "build", "--tokenizer", tmp_path / "vocab.txt", "--input", tmp_path / "text.txt"),
        *("--output", tmp_path / "c"),
    )
    asked = ("pretrain", "--corpus", tmp_path / "c", "--length", 32, "--held-out", 0.1, "--batch-size", 4)
    asked = (*asked, "--no-tensorboard", "--json")
    new = ("--manifest", tmp_path / "small.json", "--vocabulary", tmp_path / "vocab.txt")
    first = shell(
        *(*asked, *new, "--max-steps", 5, "--checkpoint-dir", tmp_path / "one", "--objective", "mlm+sop"),
        *("--show", 9),
    )
    assert first.json["steps"] == 5
    # Rows as this objective makes them: with two halves.
    shown = [line for line in first.err.splitlines() if line.startswith("shown  [CLS] ")]
    assert len(shown) == 9
    assert {line.count("[SEP]") for line in shown} == {1, 2}
    assert "learns from" in first.err
    assert "5 steps of 4 rows" in first.err
    again = (*asked, *new, "--max-steps", 5, "--checkpoint-dir", tmp_path / "again", "--log-interval", 1)
    assert "Step=5/5" in shell(*again).err
    assert "all 5 steps are done already" in shell(*again).err
    made = read_manifest(tmp_path / "one" / "best_model")
    assert (made.name, made.base) == ("small", None)
    assert made.summary.startswith("Pre-trained: mlm+sop on c, ")
    second = shell(
        *asked, "--module", tmp_path / "one" / "best_model", "--epochs", 1, "--checkpoint-dir", tmp_path / "two"
    )
    assert second.json["steps"] > 5
    assert np.isfinite(second.json["loss"])
    assert np.isfinite(second.json["loss before"])
    assert "loss before" not in first.json
    further = read_manifest(tmp_path / "two" / "best_model")
    assert (further.name, further.base) == ("small-c", "small==0.1.0")
    assert further.summary.startswith("small 0.1.0, pre-trained further: mlm on c, ")
    assert "give either --module or --manifest" in shell.fails(*asked, code=2)
    assert "no corpus" in shell.fails(*asked[:1], "--corpus", tmp_path / "none", *new)
