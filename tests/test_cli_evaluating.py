"""evaluate --report and compare: files, tables, and what can be wrong with what they are given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Hub, write_reviews
from reports import few_samples
from tiny import tiny_module

RENAMED = ("--rename-labels", "0=negative,1=positive")


@pytest.fixture
def hub(capsys: pytest.CaptureFixture[str]) -> Hub:
    return Hub(capsys)


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two modules with a seq-cls head."""
    folder = tmp_path_factory.mktemp("modules")
    for seed in (0, 1):
        tiny_module(folder, task="seq-cls", labels=("negative", "positive"), seed=seed).save(folder / str(seed))
    return folder / "0", folder / "1"


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module with a token-cls head."""
    folder = tmp_path_factory.mktemp("tagger")
    tiny_module(folder, family="bilstm", seed=3).save(folder / "module")
    return folder / "module"


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    return write_reviews(tmp_path / "reviews", test=24)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class TestReport:
    """hub evaluate --report."""

    def test_a_report_of_classes(self, hub: Hub, modules: tuple[Path, Path], reviews: Path, tmp_path: Path) -> None:
        given = ("evaluate", "-m", modules[0], "--data", reviews, *RENAMED)
        plain = hub(*given, "--json").json
        out = tmp_path / "out"
        outcome = hub(*given, "--report", out)
        assert (outcome.code, outcome.err) == (0, f"{out / 'report.html'} is written\n")
        for title in ("Classes", "Confusions", "Calibration", "By length", "Worst rows"):
            assert f"\n{title}" in outcome.out
        stored = json.loads((out / "report.json").read_text(encoding="utf-8"))
        assert {name: plain[name] for name in ("accuracy", "macro_f1")} == {
            name: stored["scores"][name] for name in ("accuracy", "macro_f1")
        }
        assert (stored["about"]["split"], stored["rows"]) == ("test", 24)
        rows = lines(out / "predictions.jsonl")
        assert rows[0]["key"] == "test.tsv:2"
        assert {row["gold"] for row in rows} == {"negative", "positive"}
        assert sum(row["gold"] == row["predicted"] for row in rows) / 24 == pytest.approx(plain["accuracy"])

    def test_a_report_of_entities(self, hub: Hub, tagger: Path, tmp_path: Path) -> None:
        rows = [("新华社北京", "B-ORG I-ORG I-ORG B-LOC I-LOC"), ("中国人", "B-LOC I-LOC O")]
        join = "\002".join
        written = "".join(f"{join(text)}\t{join(labels.split())}\n" for text, labels in rows)
        (tmp_path / "test.tsv").write_text("text_a\tlabel\n" + written, encoding="utf-8")
        data = hub("evaluate", "-m", tagger, "--data", tmp_path, "--report", tmp_path / "out", "--json").json
        assert data == json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
        assert set(data["sections"]) >= {"types", "errors", "confusion", "bounds", "length", "worst"}
        outcome = hub("evaluate", "-m", tagger, "--data", tmp_path, "--report", tmp_path / "out")
        for title in ("Types", "Kinds of errors", "Confused types", "Bounds", "Most frequent"):
            assert f"\n{title}\n" in outcome.out

    def test_a_folder_that_cannot_be(self, hub: Hub, modules: tuple[Path, Path], reviews: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        given = ("evaluate", "-m", modules[0], "--data", reviews, *RENAMED, "--report", tmp_path / "file")
        assert hub.fails(*given).startswith(f"--report {tmp_path / 'file'} cannot be written: ")


CONTEXT = "新华社北京月日电国务院副总理李岚清今天在中南海会见了美国"
TEXTS = ["新华社北京", "今天在中南海会见", "国务院副总理李岚清", "他不是中国人", "我们来北京", "好的"]
PAIRS = list(zip(TEXTS, TEXTS[1:] + TEXTS[:1], strict=True))

#: Of every task a family, the options of its head, rows for its table, and what the report must have.
TASKS: dict[str, tuple[str, str, dict[str, Any], list[dict[str, Any]], set[str]]] = {
    "labels": (
        "seq-cls",
        "cnn",
        {"problem": "multi-label"},
        [{"text": text, "label": ["negative", "positive"][: at % 3]} for at, text in enumerate(TEXTS)],
        {"classes", "counts", "calibration", "length", "worst"},
    ),
    "numbers": (
        "seq-cls",
        "bow",
        {"problem": "regression"},
        [{"text": one, "text_pair": two, "label": at / 2} for at, (one, two) in enumerate(PAIRS)],
        {"numbers", "residuals", "length", "worst"},
    ),
    **{
        f"pairs by {form}": (
            "text-matching",
            family,
            {"form": form},
            [
                {"text": one, "text_pair": two, "label": ["negative", "positive"][at % 2]}
                for at, (one, two) in enumerate(PAIRS)
            ],
            {"classes", "scores", "confusion", "calibration", "length", "worst"},
        )
        for form, family in (("vectors", "bilstm"), ("cosine", "cnn"), ("cross", "bert"))
    },
    "pairs in order": (
        "embedding",
        "bow",
        {},
        [{"text": one, "text_pair": two, "label": at % 2} for at, (one, two) in enumerate(PAIRS)],
        {"similarities", "ranks", "length", "worst", "searches"},
    ),
    "searches": (
        "embedding",
        "cnn",
        {},
        [{"text": one, "text_pair": two, "negative": "美国"} for one, two in PAIRS],
        {"similarities", "ranks", "length", "searches"},
    ),
    "answers": (
        "question-answering",
        "bert",
        {"max_seq_len": 32, "doc_stride": 8},
        [
            {
                "question": f"谁在{at}",
                "context": CONTEXT,
                "answers": [{"text": CONTEXT[at : at + 3], "answer_start": at}],
            }
            for at in range(6)
        ],
        {"errors", "calibration", "length", "worst"},
    ),
    "places": (
        "masked-lm",
        "bert",
        {},
        [
            {"text": text.replace("在", "[MASK]").replace("北", "[MASK]"), "label": label}
            for text, label in zip(TEXTS[:5:4], "北北", strict=True)
        ],
        {"ranks", "confusion", "calibration", "length", "worst"},
    ),
}


class TestTasks:
    """Both commands, for every task."""

    @pytest.mark.parametrize("name", TASKS)
    def test_of_every_task(self, hub: Hub, name: str, tmp_path: Path) -> None:
        task, family, options, rows, sections = TASKS[name]
        written = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (tmp_path / "test.jsonl").write_text(written, encoding="utf-8")
        labels = ("score",) if name == "numbers" else ("negative", "positive")
        for seed in (0, 1):
            made = tiny_module(tmp_path, family=family, task=task, labels=labels, task_options=options, seed=seed)
            made.save(tmp_path / str(seed))
        given = ("--data", tmp_path, "--split", "test")
        plain = hub("evaluate", "-m", tmp_path / "0", *given, "--json").json
        out = [tmp_path / "a", tmp_path / "b"]
        with few_samples():
            outcome = hub("evaluate", "-m", tmp_path / "0", *given, "--report", out[0])
            data = hub("evaluate", "-m", tmp_path / "1", *given, "--report", out[1], "--json").json
            assert (outcome.code, outcome.err) == (0, f"{out[0] / 'report.html'} is written\n")
            compared = hub("compare", *(tmp_path / seed for seed in "01"), *given, "--json").json
            saved = hub("compare", *out, "--report", tmp_path / "compared")
        stored = json.loads((out[0] / "report.json").read_text(encoding="utf-8"))
        assert set(stored["sections"]) == set(data["sections"]) == sections
        assert {score: plain[score] for score in plain if score in stored["scores"]} == {
            score: value for score, value in stored["scores"].items() if score in plain
        }
        main = compared["differences"][0]
        assert (main["first"], main["second"]) == pytest.approx((plain[main["score"]], data["scores"][main["score"]]))
        assert main["score"] == next(iter(stored["scores"]))
        assert (saved.code, (tmp_path / "compared" / "comparison.html").is_file()) == (0, True)
        for row in lines(out[0] / "predictions.jsonl"):
            assert row["key"].startswith("test.jsonl:")


class TestCompare:
    """hub compare."""

    def test_two_modules(self, hub: Hub, modules: tuple[Path, Path], reviews: Path, tmp_path: Path) -> None:
        given = ("compare", *modules, "--data", reviews, *RENAMED)
        found = hub(*given, "--json").json
        for number, name in enumerate(("first", "second")):
            single = hub("evaluate", "-m", modules[number], "--data", reviews, *RENAMED, "--json").json
            assert found[name] == str(modules[number])
            assert found["differences"][0][name] == pytest.approx(single["accuracy"])
        outcome = hub(*given, "--report", tmp_path / "out")
        assert (outcome.code, outcome.err) == (0, f"{tmp_path / 'out' / 'comparison.html'} is written\n")
        assert "McNemar's p" in outcome.out
        assert json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8")) == found

    def test_saved_predictions(self, hub: Hub, modules: tuple[Path, Path], reviews: Path, tmp_path: Path) -> None:
        for number, module in enumerate(modules):
            hub("evaluate", "-m", module, "--data", reviews, *RENAMED, "--report", tmp_path / str(number))
        expected = hub("compare", *modules, "--data", reviews, *RENAMED, "--json").json
        saved = hub("compare", tmp_path / "0", tmp_path / "1" / "predictions.jsonl", "--json").json
        mixed = hub("compare", tmp_path / "0", modules[1], "--data", reviews, *RENAMED, "--json").json
        for found in (saved, mixed):
            assert (found["differences"], found["mcnemar"]) == (expected["differences"], expected["mcnemar"])

    def test_a_module_beside_itself(self, hub: Hub, modules: tuple[Path, Path], reviews: Path) -> None:
        outcome = hub("compare", modules[0], modules[0], "--data", reviews, *RENAMED)
        assert "+0.0000 to +0.0000" in outcome.out
        assert "better" not in outcome.out

    def test_what_does_not_fit(self, hub: Hub, modules: tuple[Path, Path], reviews: Path, tmp_path: Path) -> None:
        said = hub.fails("compare", *modules, code=2)
        assert said.startswith(f"--data says on which rows {modules[0]} is to answer")
        assert hub.fails("compare", tmp_path / "no.jsonl", modules[0]) == f"no file {tmp_path / 'no.jsonl'}\n"
        hub("evaluate", "-m", modules[0], "--data", reviews, *RENAMED, "--report", tmp_path / "test")
        given = ("evaluate", "-m", modules[0], "--data", reviews, *RENAMED, "--split", "dev")
        hub(*given, "--report", tmp_path / "dev")
        said = hub.fails("compare", tmp_path / "test", tmp_path / "dev")
        assert said.startswith("unusable data:\n  test.tsv:2: ")
        assert "has no such row" in said
