"""run, predict, evaluate: tables, JSON, files, and everything that can be wrong with what they are given."""

from __future__ import annotations

import datetime
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import torch
from command_line import Hub, Outcome, write_reviews
from tiny import tiny_module

TEXT = "新华社北京5月7日电"


@pytest.fixture
def hub(capsys: pytest.CaptureFixture[str]) -> Hub:
    return Hub(capsys)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module with a token-cls head."""
    folder = tmp_path_factory.mktemp("tagger")
    tiny_module(folder, family="bilstm", seed=3).save(folder / "module")
    return folder / "module"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module with a seq-cls head, of a family that takes at most 64 tokens."""
    folder = tmp_path_factory.mktemp("classifier")
    tiny_module(folder, task="seq-cls", labels=("negative", "positive")).save(folder / "module")
    return folder / "module"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module without a head."""
    folder = tmp_path_factory.mktemp("base")
    tiny_module(folder, task=None).save(folder / "module")
    return folder / "module"


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    return write_reviews(tmp_path / "reviews")


def hugging_face_copy(module: Path, folder: Path) -> Path:
    """A module as other libraries would have it: without its manifest."""
    folder.mkdir(parents=True)
    for path in module.iterdir():
        if path.name != "module.json":
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def entity_lines(outcome: Outcome) -> list[list[str]]:
    """The cells of the rows under a text."""
    return [line.split() for line in outcome.out.splitlines()[2:] if line.startswith("  ")]


class TestRun:
    def test_entities_as_a_table(self, hub: Hub, tagger: Path) -> None:
        outcome = hub("run", tagger, TEXT)
        assert (outcome.code, outcome.err) == (0, "")
        header, rule, heading, *rows = outcome.out.splitlines()
        assert header.split() == ["entity", "label", "characters", "score"]
        assert set(rule) == {" ", "-"}
        assert heading == TEXT
        for entity, label, characters, score in map(str.split, rows):
            start, end = map(int, characters.split("-"))
            assert TEXT[start:end] == entity
            assert label in ("PER", "ORG", "LOC")
            assert 0 < float(score) < 1

    def test_the_table_and_the_json_say_the_same(self, hub: Hub, tagger: Path) -> None:
        (record,) = hub("run", tagger, TEXT, "--json").json
        assert (record["text"], len(record["labels"])) == (TEXT, len(TEXT))
        shown = [(row[0], row[1]) for row in entity_lines(hub("run", tagger, TEXT))]
        assert shown == [(entity["text"], entity["label"]) for entity in record["entities"]]
        assert shown

    def test_a_text_without_entities_keeps_its_place(self, hub: Hub, tmp_path: Path) -> None:
        module = tiny_module(tmp_path, family="bilstm", labels=("O",))
        module.save(tmp_path / "outside")
        assert hub("run", tmp_path / "outside", "甲", "乙").out.splitlines()[2:] == ["甲", "  (none)", "乙", "  (none)"]

    def test_classes_as_a_table(self, hub: Hub, classifier: Path) -> None:
        outcome = hub("run", classifier, "好 的", "--input_text", "不是\x1b[2J")
        header, _, first, second = outcome.out.splitlines()
        assert header.split() == ["text", "label", "probability"]
        assert first.startswith("好 的        ")
        assert second.startswith("不是\\x1b[2J  ")
        assert first.split()[2] in ("negative", "positive")

    def test_answers_are_those_of_the_module(self, hub: Hub, classifier: Path) -> None:
        import hub_core

        texts = ["好的", "我们都是中国人" * 3]
        expected = hub_core.Module(directory=classifier).predict(texts, batch_size=1)
        answers = hub("run", classifier, *texts, "--json", "--batch-size", 2).json
        assert [answer["text"] for answer in answers] == texts
        for answer, own in zip(answers, expected, strict=True):
            assert answer["label"] == own["label"]
            assert answer["probability"] == pytest.approx(own["probability"], abs=1e-6)

    def test_texts_of_a_file(self, hub: Hub, classifier: Path, tmp_path: Path) -> None:
        lines = tmp_path / "texts.txt"
        lines.write_bytes("\ufeff好的\r\n\r\n不是\n".encode())
        table = tmp_path / "pairs.tsv"
        table.write_text("label\ttext_b\ttext_a\nno such label\t会\t好的\n", encoding="utf-8")
        assert [row["text"] for row in hub("run", classifier, "一", "--input-path", lines, "--json").json] == [
            "一",
            "好的",
            "不是",
        ]
        (pair,) = hub("run", classifier, "--input_path", table, "--json").json
        assert (pair["text"], pair["text_pair"]) == ("好的", "会")
        assert "好的 | 会" in hub("run", classifier, "--input_path", table).out

    def test_cut_texts_are_marked_and_counted(self, hub: Hub, classifier: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            outcome = hub("run", classifier, "我们都是中国人", "好", "--max-seq-len", 5)
        remedy = "a larger one (--max-seq-len) reads more of them"
        assert outcome.err == f"warning: 1 text(s) were cut to max_seq_len=5 tokens; {remedy}\n"
        header, _, first, second = map(str.split, outcome.out.splitlines())
        assert (header[-1], first[-1], len(second)) == ("note", "cut", 3)

    def test_a_narrow_terminal_folds_and_keeps_all(
        self, hub: Hub, classifier: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = "我们都是中国人在上海" * 4
        monkeypatch.setenv("COLUMNS", "40")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        lines = hub("run", classifier, text).out.splitlines()
        assert "".join(line.split()[0] for line in lines[2:]) == text
        assert all(sum(2 if ord(c) > 0x2E80 else 1 for c in line) <= 40 for line in lines)

    def test_a_name_is_an_installed_module(self, hub: Hub, classifier: Path) -> None:
        hub("install", classifier)
        assert hub("run", "tiny", "好", "--json").json[0]["label"] in ("negative", "positive")
        assert hub("run", "tiny==1.0.0", "好", "--task", "seq-cls").code == 0

    def test_a_folder_in_hugging_faces_layout(self, hub: Hub, classifier: Path, tmp_path: Path) -> None:
        folder = hugging_face_copy(classifier, tmp_path / "hf")
        own, other = (hub("run", place, "好的", "--json").json[0] for place in (classifier, folder))
        assert own == other

    def test_a_repository_at_hugging_face(
        self, hub: Hub, classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hugging_face_copy(classifier, tmp_path / "mirror" / "org" / "repo")
        monkeypatch.setenv("HUB_MIRRORS", f"https://huggingface.co={(tmp_path / 'mirror').as_uri()}")
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        fetched = hub("run", "hf:org/repo", "好的", "--json")
        assert "model.safetensors" in fetched.err  # a bar
        again = hub("run", "hf:org/repo", "好的", "--json")
        assert "model.safetensors" not in again.err
        assert fetched.json == again.json == hub("run", classifier, "好的", "--json").json


class TestRunRefuses:
    def test_a_module_that_nobody_knows(self, hub: Hub) -> None:
        said = hub.fails("run", "ernie_tny", "好")
        assert said.startswith("unknown module 'ernie_tny'; did you mean 'ernie_tiny' or 'ernie'?")
        assert "no version of ernie answers 'ernie==9'" in hub.fails("run", "ernie==9", "好")

    def test_a_base_module_and_says_how_to_train_it(self, hub: Hub, base: Path, hub_home: Path) -> None:
        for name in (str(base), "ernie"):
            said = hub.fails("run", name, "好")
            assert f"`hub train --module {name} --task TASK --data FOLDER`" in said
            assert "(tasks: seq-cls, token-cls" in said
        assert "--task token-cls --data" in hub.fails("run", "ernie", "好", "--task", "token-cls")
        assert not hub_home.exists()  # nothing was downloaded to find that out

    def test_a_task_that_nobody_knows(self, hub: Hub, classifier: Path) -> None:
        assert hub.fails("run", "ernie", "好", "--task", "token_cls").startswith(
            "unknown task 'token_cls' for ernie 2.0.2; did you mean 'token-cls'? known: "
        )
        said = hub.fails("run", classifier, "好", "--task", "token-cls")
        assert said.startswith("unknown task 'token-cls' among those that tiny 1.0.0 is trained for;")

    def test_empty_texts(self, hub: Hub, classifier: Path) -> None:
        said = hub.fails("run", classifier, "好", "", "--input-text", " \t")
        assert said == "unusable data:\n  text 2: the text is empty\n  text 3: the text is empty\n"

    def test_files_that_have_no_texts(self, hub: Hub, classifier: Path, tmp_path: Path) -> None:
        path = tmp_path / "texts.txt"
        assert hub.fails("run", classifier, "--input-path", path) == f"no file {path}\n"
        path.write_bytes(b"\n \n")
        assert hub.fails("run", classifier, "--input-path", path).endswith("texts.txt:1: the file has no text\n")
        path.write_bytes("好\n".encode() + b"\xff\xfe\n" + "不\n".encode("gb18030"))
        said = hub.fails("run", classifier, "--input-path", path)
        assert f"{path}:2: not UTF-8 (byte 0xff, number 1), like 1 more line (3)" in said

    def test_a_folder_where_a_file_belongs(self, hub: Hub, classifier: Path, tmp_path: Path) -> None:
        reviews = write_reviews(tmp_path / "reviews")
        said = f"{reviews} is a folder; give a file, such as {reviews}/test.tsv\n"
        assert hub.fails("predict", "-m", classifier, "--data", reviews) == said
        (tmp_path / "bare").mkdir()
        assert "give a file, such as" in hub.fails("run", classifier, "--input-path", tmp_path / "bare")

    def test_a_gpu_that_is_not_there(self, hub: Hub, classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert "torch finds no CUDA device" in hub.fails("run", classifier, "好", "--use-gpu")

    def test_more_tokens_than_the_network_takes(self, hub: Hub, classifier: Path) -> None:
        assert "max_seq_len=65 is more than this network takes; at most 64" in hub.fails(
            "run", classifier, "好", "--max-seq-len", 65
        )

    def test_damaged_weights(self, hub: Hub, classifier: Path, tmp_path: Path) -> None:
        folder = tmp_path / "damaged"
        folder.mkdir()
        for path in classifier.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        assert str(weights) in hub.fails("run", folder, "好")
        weights.unlink()
        assert hub.fails("run", folder, "好").startswith(f"{folder} has no model.safetensors;")


class TestPredict:
    def test_json_lines_in_the_order_of_the_file(self, hub: Hub, classifier: Path, reviews: Path) -> None:
        outcome = hub("predict", "--module", classifier, "--data", reviews / "test.tsv")
        rows = [json.loads(line) for line in outcome.out.splitlines()]
        texts = [line.split("\t")[1] for line in (reviews / "test.tsv").read_text("utf-8").splitlines()[1:]]
        assert (outcome.err, [row["text"] for row in rows]) == ("", texts)
        assert {row["label"] for row in rows} <= {"negative", "positive"}

    def test_into_a_file_whole_or_not_at_all(self, hub: Hub, tagger: Path, tmp_path: Path) -> None:
        data, output = tmp_path / "texts.jsonl", tmp_path / "out" / "answers.jsonl"
        rows = [{"text": TEXT}, {"tokens": ["New", "York"]}]
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        outcome = hub("predict", "-m", tagger, "--data", data, "--output", output)
        assert (outcome.code, outcome.out) == (0, "")
        answers = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
        # A text in one piece means its characters.
        assert [len(answer["labels"]) for answer in answers] == [len(TEXT), 2]
        before = output.read_bytes()
        data.write_text('{"text": ""}\n{"text": 3}\n', encoding="utf-8")
        said = hub.fails("predict", "-m", tagger, "--data", data, "--output", output)
        assert "texts.jsonl:1: the text is empty" in said
        assert "texts.jsonl:2: text must be" in said
        assert output.read_bytes() == before
        assert list(output.parent.iterdir()) == [output]

    def test_every_answer_has_its_row(self, hub: Hub, classifier: Path, tagger: Path, tmp_path: Path) -> None:
        def answers(module: Path, data: Path, *more: str) -> list[dict[str, Any]]:
            return [json.loads(line) for line in hub("predict", "-m", module, "--data", data, *more).out.splitlines()]

        lines = tmp_path / "texts.txt"
        lines.write_text("好的\n\n不是\n", encoding="utf-8")
        assert [row["key"] for row in answers(classifier, lines)] == ["texts.txt:1", "texts.txt:3"]
        assert "columns" not in answers(classifier, lines)[0]
        table = tmp_path / "texts.jsonl"
        table.write_text(
            '{"id": 7, "text": "好", "probability": [1], "label": "x"}\n{"text": "不"}\n', encoding="utf-8"
        )
        for module in (classifier, tagger):
            first, second = answers(module, table)
            assert (first["key"], first["columns"]) == ("texts.jsonl:1", {"id": 7, "probability": [1]})
            assert (second["key"], "columns" in second) == ("texts.jsonl:2", False)
        assert 0 < answers(classifier, table)[0]["probability"] < 1
        header, *_ = hub("run", classifier, "--input-path", table).out.splitlines()
        assert header.split() == ["text", "label", "probability"]
        day = datetime.date(2024, 5, 7)
        pyarrow.parquet.write_table(pyarrow.table({"text": ["好"], "day": [day]}), tmp_path / "texts.parquet")
        (dated,) = answers(classifier, tmp_path / "texts.parquet")
        assert (dated["key"], dated["columns"]) == ("texts.parquet:1", {"day": "2024-05-07"})

    def test_questions_keep_their_ids(self, hub: Hub, tmp_path: Path) -> None:
        tiny_module(tmp_path, task="question-answering", labels=()).save(tmp_path / "module")
        asked = {"question": "他在哪", "id": "Q1", "answers": []}
        document = {"data": [{"title": "T", "paragraphs": [{"context": "他在北京。", "qas": [asked]}]}]}
        (tmp_path / "dev.json").write_text(json.dumps(document), encoding="utf-8")
        found = json.loads(hub("predict", "-m", tmp_path / "module", "--data", tmp_path / "dev.json").out)
        assert (found["key"], found["columns"]) == ("dev.json:1", {"id": "Q1", "title": "T"})

    def test_columns_by_other_names_and_without_a_header(self, hub: Hub, classifier: Path, tmp_path: Path) -> None:
        other, bare = tmp_path / "other.csv", tmp_path / "bare.txt"
        other.write_text("id,sentence\n7,好的\n", encoding="utf-8")
        bare.write_text("7\t好的\n8\t不是\n", encoding="utf-8")
        asked = ("predict", "-m", classifier, "--data")
        found = json.loads(hub(*asked, other, "--columns", "sentence=text").out)
        assert (found["text"], found["columns"]) == ("好的", {"id": "7"})
        first, second = map(json.loads, hub(*asked, bare, "--columns", "id,text").out.splitlines())
        assert (first["text"], first["columns"], second["key"]) == ("好的", {"id": "7"}, "bare.txt:2")
        shown = hub("run", classifier, "--input-path", bare, "--columns", "id,text", "--json").json
        assert shown == [first, second]
        assert "no column 'words'" in hub.fails(*asked, other, "--columns", "words=text")
        assert "--columns belongs to --input-path" in hub.fails("run", classifier, "好", "--columns", "a=b", code=2)

    def test_a_pair_that_lacks_a_text(self, hub: Hub, classifier: Path, tmp_path: Path) -> None:
        path = tmp_path / "test.jsonl"
        rows = [{"text_b": "会"}, {}, {"text_b": "不"}, {"text_b": None}]
        path.write_text(
            "".join(json.dumps({"text_a": "好", "label": "positive", **row}) + "\n" for row in rows), encoding="utf-8"
        )
        expected = "unusable data:\n" + "".join(
            f"  {path}:{line}: no second text, unlike 2 other rows\n" for line in (2, 4)
        )
        assert hub.fails("predict", "-m", classifier, "--data", path) == expected
        assert hub.fails("evaluate", "-m", classifier, "--data", tmp_path) == expected
        path.rename(tmp_path / "train.jsonl")
        train = ("train", "-m", classifier, "--task", "seq-cls", "--data", tmp_path, "--dev-split", "")
        assert hub.fails(*train) == expected.replace("test.jsonl", "train.jsonl")

    def test_a_place_that_cannot_be_written(self, hub: Hub, classifier: Path, reviews: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        output = tmp_path / "file" / "answers.jsonl"
        said = hub.fails("predict", "-m", classifier, "--data", reviews / "test.tsv", "--output", output)
        assert said.startswith(f"--output {output} cannot be written: ")

    def test_missing_files(self, hub: Hub, classifier: Path, tmp_path: Path) -> None:
        assert hub.fails("predict", "-m", classifier, "--data", tmp_path / "x.csv") == f"no file {tmp_path / 'x.csv'}\n"
        assert "there is no folder" in hub.fails("predict", "-m", tmp_path / "x", "--data", tmp_path / "x.csv")


class TestEvaluate:
    def test_scores_over_the_corpus(self, hub: Hub, classifier: Path, reviews: Path) -> None:
        arguments = ("evaluate", "-m", classifier, "--data", reviews, "--rename-labels", "0=negative,1=positive")
        record = hub(*arguments, "--json").json
        assert {name: record[name] for name in ("module", "data", "split", "rows")} == {
            "module": "tiny 1.0.0",
            "data": str(reviews),
            "split": "test",
            "rows": 10,
        }
        answers = [
            json.loads(line)
            for line in hub("predict", "-m", classifier, "--data", reviews / "test.tsv").out.splitlines()
        ]
        gold = ["positive" if at % 2 else "negative" for at in range(10)]
        hits = sum(answer["label"] == label for answer, label in zip(answers, gold, strict=True))
        assert record["accuracy"] == pytest.approx(hits / 10)
        assert f"accuracy  {record['accuracy']:.4f}" in hub(*arguments).out

    def test_another_split(self, hub: Hub, classifier: Path, reviews: Path) -> None:
        renamed = ("--rename-labels", "0=negative, 1=positive")
        for split, rows in (("train", 40), ("val", 10)):
            outcome = hub("evaluate", "-m", classifier, "--data", reviews, "--split", split, *renamed, "--json")
            assert (outcome.json["split"], outcome.json["rows"]) == (split, rows)

    def test_data_for_another_task(
        self, hub: Hub, classifier: Path, tagger: Path, reviews: Path, tmp_path: Path
    ) -> None:
        said = hub.fails("evaluate", "-m", tagger, "--data", reviews)
        assert said == (
            f"unusable data:\n  {reviews}/test.tsv:2: one label for a whole text: seq-cls reads that, token-cls needs "
            "a label for each unit\n"
        )
        (tmp_path / "test.tsv").write_text("label\ttext_a\nO\002B-LOC\t在\002京\nO\t在\n", encoding="utf-8")
        for names in (("evaluate", "-m", classifier), ("compare", classifier, tagger)):
            said = hub.fails(*names, "--data", tmp_path)
            assert said.count("\n") == 2 and "test.tsv:2: a label for each unit of the text: token-cls reads" in said

    def test_entities(self, hub: Hub, tagger: Path, tmp_path: Path) -> None:
        rows = "".join(f"{c}\t{'B-LOC' if c in '北' else 'I-LOC' if c in '京' else 'O'}\n" for c in TEXT)
        (tmp_path / "test.conll").write_text(rows + "\n" + rows, encoding="utf-8")
        record = hub("evaluate", "-m", tagger, "--data", tmp_path, "--json").json
        assert record["rows"] == 2
        assert 0 <= record["f1"] <= 1

    def test_units_that_something_else_joins(self, hub: Hub, tagger: Path, tmp_path: Path) -> None:
        (tmp_path / "test.tsv").write_text("text\tlabel\n新 华\tB-ORG I-ORG\n", encoding="utf-8")
        asked = ("--data", tmp_path, "--json")
        for command in (("evaluate", "-m", tagger), ("compare", tagger, tagger)):
            said = hub.fails(*command, *asked)
            assert "test.tsv:2: label 'B-ORG I-ORG' has white space in it" in said
            assert "--split-char" in said
            assert hub(*command, *asked, "--split-char", " ").json["rows"] == 1

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (
                (),
                "test.tsv:2: unknown label '0' (5 times); known: negative, positive; rename_labels (such as "
                "--rename-labels 0=negative,1=positive) gives labels other names\n",
            ),
            ((), "test.tsv:3: unknown label '1' (5 times); known: negative, positive\n"),
            (("--split", "tset"), "unknown split 'tset' in "),
            (("--split", "tset"), "did you mean 'test'?"),
            (
                ("--rename-labels", "0=negativ,1=positive"),
                "unknown label 'negativ' in --rename-labels 0=negativ; did you mean",
            ),
            (("--task", "token-cls"), "among those that tiny 1.0.0 is trained for; known: seq-cls\n"),
        ],
    )
    def test_what_does_not_fit(
        self, hub: Hub, classifier: Path, reviews: Path, arguments: tuple[str, ...], said: str
    ) -> None:
        assert said in hub.fails("evaluate", "-m", classifier, "--data", reviews, *arguments)

    def test_all_bad_rows_at_once(self, hub: Hub, tagger: Path, tmp_path: Path) -> None:
        join = "\002".join
        rows = [("ab", ["O", "O"]), ("ab", ["O"]), ("ab", ["O", "B-PRE"]), ("", ["O"])]
        text = "text_a\tlabel\n" + "".join(f"{join(units)}\t{join(labels)}\n" for units, labels in rows) + "only one\n"
        (tmp_path / "test.tsv").write_text(text, encoding="utf-8")
        said = hub.fails("evaluate", "-m", tagger, "--data", tmp_path).splitlines()
        assert said[0] == "unusable data:"
        assert {line.split("test.tsv:")[1].split(":")[0] for line in said[1:]} == {"3", "4", "5", "6"}
        assert any("2 characters, but 1 label" in line for line in said)
        assert any("did you mean 'B-PER'" in line for line in said)

    def test_missing_and_empty_data(self, hub: Hub, classifier: Path, tmp_path: Path) -> None:
        assert hub.fails("evaluate", "-m", classifier, "--data", tmp_path / "x") == f"no folder {tmp_path / 'x'}\n"
        (tmp_path / "test.tsv").write_bytes(b"")
        assert "test.tsv:1: the file is empty" in hub.fails("evaluate", "-m", classifier, "--data", tmp_path)
        (tmp_path / "test.tsv").write_bytes(b"label\ttext_a\n")
        assert "test.tsv:2: no rows" in hub.fails("evaluate", "-m", classifier, "--data", tmp_path)
