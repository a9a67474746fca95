"""The modules that ship with the package: they answer at once, and score what their cards say."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import torch

import hub_core as hub
from hub_core.datasets import folder_dataset
from hub_core.paths import bundled
from hub_core.torch_module import TorchModule
from hub_core.train.trainer import Trainer

RENAMED = {"0": "negative", "1": "positive"}


@pytest.fixture(scope="module")
def tagger() -> TorchModule:
    return hub.Module("bilstm-ner-zh", offline=True)


@pytest.fixture(scope="module", params=["bilstm-sentiment-zh", "mini-sentiment-zh"])
def judge(request: pytest.FixtureRequest) -> TorchModule:
    return hub.Module(request.param, offline=True)


def test_entities_of_real_sentences(tagger: TorchModule) -> None:
    texts = [
        "新华社北京5月7日电国务院副总理李岚清今天在中南海会见了美国前商务部长芭芭拉·弗兰克林。",
        "华裔作家韩素音女士曾三次到大足，称“大足石窟是一座未被开发的金矿”。",
    ]
    first, second = ({(e["text"], e["label"]) for e in answer["entities"]} for answer in tagger.predict(texts))
    assert {("新华社", "ORG"), ("北京", "LOC"), ("李岚清", "PER"), ("芭芭拉·弗兰克林", "PER")} <= first
    assert ("韩素音", "PER") in second


def test_reviews_are_judged(judge: TorchModule) -> None:
    texts = [
        "房间干净，服务员很热情，早餐也丰富，下次还会住这里。",
        "隔音太差，空调不制冷，前台态度恶劣，再也不会来了。",
    ]
    assert [answer["label"] for answer in judge.predict(texts)] == ["positive", "negative"]
    graph = hub.Module(judge.spec.name, offline=True, engine="onnx")
    assert [answer["label"] for answer in graph.predict(texts)] == ["positive", "negative"]


@pytest.mark.filterwarnings("ignore:.*were cut to max_seq_len:UserWarning")
def test_an_8_bit_graph_judges_as_its_weights_do(data_home: Path) -> None:
    rows = folder_dataset(data_home / "chnsenticorp", task="seq-cls", mode="dev", label_list=["0", "1"])
    texts = [row.text for row in list(rows)[:200]]
    weights, graph = (hub.Module("mini-sentiment-zh", offline=True, engine=engine) for engine in ("torch", "onnx"))
    found = [[answer["label"] for answer in module.predict(texts)] for module in (weights, graph)]
    assert sum(one == other for one, other in zip(*found, strict=True)) >= 190


def test_the_base_fills_in_what_transformers_does() -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    texts = ["新华社北京5月7[MASK]电", "中华人民共和[MASK]宪法", "本法自公布之日起施[MASK]。"]
    answers = hub.Module("zh_mini_wwm", offline=True).predict(texts)
    assert [answer["places"][0][0]["token"] for answer in answers] == ["日", "国", "行"]
    folder = bundled("modules") / "zh_mini_wwm"
    network, tokenizer = (
        AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32),
        AutoTokenizer.from_pretrained(folder),
    )
    for text, answer in zip(texts, answers, strict=True):
        inputs = tokenizer(text, return_tensors="pt")
        (place,) = (inputs["input_ids"][0] == tokenizer.mask_token_id).nonzero().flatten().tolist()
        with torch.inference_mode():
            chances = network(**inputs).logits[0, place].softmax(-1)
        assert tokenizer.convert_ids_to_tokens(int(chances.argmax())) == answer["places"][0][0]["token"]
        assert float(chances.max()) == pytest.approx(answer["places"][0][0]["probability"], abs=1e-4)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("bilstm-ner-zh", 6_000_000),
        ("bilstm-sentiment-zh", 6_000_000),
        ("zh_mini_wwm", 16_000_000),
        ("mini-sentiment-zh", 16_000_000),
    ],
)
def test_weights_are_small(name: str, most: int) -> None:
    assert (bundled("modules") / name / "model.safetensors").stat().st_size <= most


def score(module: TorchModule, data: Path, split: str, tmp_path: Path, *, rows: int | None = None) -> dict[str, float]:
    assert module.task is not None
    sentiment = module.task.name == "seq-cls"
    dataset = folder_dataset(
        data,
        task=module.task.name,
        mode=split,
        label_list=module.labels,
        rename_labels=RENAMED if sentiment else None,
        max_seq_len=module.task.options["max_seq_len"],
    )
    return Trainer(module, checkpoint_dir=tmp_path, use_vdl=False).evaluate(list(dataset)[:rows], batch_size=32)[
        "metrics"
    ]


@pytest.mark.filterwarnings("ignore:.*were cut to max_seq_len:UserWarning")
def test_scores_on_a_sample_of_dev(tagger: TorchModule, judge: TorchModule, data_home: Path, tmp_path: Path) -> None:
    assert score(tagger, data_home / "msra_ner", "dev", tmp_path, rows=400)["f1"] > 0.9
    assert score(judge, data_home / "chnsenticorp", "dev", tmp_path, rows=400)["accuracy"] > 0.85


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*were cut to max_seq_len:UserWarning")
@pytest.mark.parametrize("split", ["dev", "test"])
def test_the_scores_of_the_cards(
    tagger: TorchModule, judge: TorchModule, data_home: Path, tmp_path: Path, split: str
) -> None:
    entities = score(tagger, data_home / "msra_ner", split, tmp_path)
    assert round(entities["f1"], 4) == tagger.spec.metrics[f"msra_ner {split} f1"]
    reviews = score(judge, data_home / "chnsenticorp", split, tmp_path)
    assert round(reviews["accuracy"], 4) == judge.spec.metrics[f"chnsenticorp {split} accuracy"]


def test_the_readme_shows_what_the_demo_prints(capsys: pytest.CaptureFixture[str]) -> None:
    """Names and places, not the last digit of a probability, which may differ between processors."""
    from hub_core.cli import main

    root = Path(__file__).parent.parent
    recipe = (root / "Makefile").read_text(encoding="utf-8").partition("\ndemo:")[2].partition("\n\n")[0]
    for command in recipe.replace("\\\n", "").split("$(BIN)/hub ")[1:]:
        assert main(shlex.split(command)) == 0
    printed = [line.rsplit("  ", 1)[0].rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert len(printed) > 14
    assert [line for line in printed if line not in readme] == []
