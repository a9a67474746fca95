"""Parquet, JSON documents, SQuAD's form and Hugging Face's data sets: against the libraries that write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_core.data import parquet
from hub_core.data.json_tables import read_json, read_squad
from hub_core.data.parquet import read_parquet
from hub_core.data.tables import read_table
from hub_core.datasets import folder_dataset, from_hf
from hub_core.errors import DataError, NotFoundError, SettingsError

texts = st.text(st.characters(exclude_categories=["Cs"]))
rows = st.lists(
    st.fixed_dictionaries({"text": texts, "label": st.integers(0, 9), "tokens": st.lists(texts)}), min_size=1
)


def problems_of(caught: pytest.ExceptionInfo[DataError]) -> list[str]:
    return [problem.rpartition("/")[2] for problem in caught.value.problems]


def parquet_of(path: Path, **columns: list[Any]) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


class TestParquet:
    @given(rows, st.integers(1, 4))
    def test_what_pyarrow_writes_is_read(self, given_rows: list[dict[str, Any]], group: int) -> None:
        buffer = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(given_rows), buffer, row_group_size=group)
        path = Path(self.folder) / "a.parquet"
        path.write_bytes(buffer.getvalue().to_pybytes())
        found = list(read_parquet(path))
        assert [dict(row.columns) for row in found] == given_rows
        assert [row.line for row in found] == list(range(1, len(given_rows) + 1))

    @pytest.fixture(autouse=True)
    def a_folder(self, tmp_path: Path) -> None:
        type(self).folder = tmp_path

    def test_rows_come_a_block_at_a_time(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = parquet_of(tmp_path / "a.parquet", text=[str(n) for n in range(25)])
        asked: list[int] = []
        whole = parquet._values
        monkeypatch.setattr(parquet, "_ROWS", 10)
        monkeypatch.setattr(parquet, "_values", lambda batch: asked.append(batch.num_rows) or whole(batch))
        stream = read_parquet(path)
        assert next(stream).columns["text"] == "0"
        assert asked == [10]
        assert len(list(stream)) == 24
        assert asked == [10, 10, 5]

    def test_a_folder_of_it(self, tmp_path: Path) -> None:
        parquet_of(tmp_path / "train.parquet", text=["好", "差"], label=["1", "0"])
        parquet_of(tmp_path / "dev.parquet", sentence=["好"], tag=[1])
        assert [row.key for row in folder_dataset(tmp_path, task="seq-cls")] == ["train.parquet:1", "train.parquet:2"]
        dev = folder_dataset(
            tmp_path, task="seq-cls", mode="dev", columns={"sentence": "text", "tag": "label"}, label_list=["0", "1"]
        )
        assert (dev[0].text, dev[0].label) == ("好", "1")

    def test_a_column_that_is_not_there_is_one_error(self, tmp_path: Path) -> None:
        path = parquet_of(tmp_path / "train.parquet", sentence=["好"] * 30, label=["1"] * 30)
        with pytest.raises(DataError) as caught:
            folder_dataset(tmp_path, task="seq-cls")
        (problem,) = problems_of(caught)
        assert problem == (
            "train.parquet:schema: no column 'text_a' or 'text'; there are: sentence, label; "
            "--columns sentence=text gives other names"
        )
        with pytest.raises(DataError) as caught:
            list(read_table(path, columns=["text", "label"]))
        assert problems_of(caught) == ["train.parquet:schema: no column 'text'; there are: sentence, label"]
        with pytest.raises(DataError) as caught:
            folder_dataset(tmp_path, task="seq-cls", columns={"Sentence": "text"})
        assert problems_of(caught) == ["train.parquet:schema: no column 'Sentence'; there are: sentence, label"]

    def test_bad_rows_by_number(self, tmp_path: Path) -> None:
        parquet_of(tmp_path / "train.parquet", text=["好", None, " "], label=["1", "0", None])
        with pytest.raises(DataError) as caught:
            folder_dataset(tmp_path, task="seq-cls")
        assert problems_of(caught) == [
            "train.parquet:2: text must be a text, not None",
            "train.parquet:3: the text is empty",
        ]

    def test_bytes_that_are_no_text(self, tmp_path: Path) -> None:
        column = pyarrow.Array.from_buffers(
            pyarrow.string(),
            2,
            [None, pyarrow.array([0, 1, 3], pyarrow.int32()).buffers()[1], pyarrow.py_buffer(b"a\xb0\xa1")],
        )
        pyarrow.parquet.write_table(pyarrow.table({"text": column}), tmp_path / "a.parquet")
        with pytest.raises(DataError) as caught:
            list(read_parquet(tmp_path / "a.parquet"))
        assert problems_of(caught) == ["a.parquet:2: a text of this row is not UTF-8"]

    def test_files_that_are_none(self, tmp_path: Path) -> None:
        path = parquet_of(tmp_path / "a.parquet", text=["好"] * 1000)
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(DataError, match=r"a\.parquet: cannot be read as Parquet \("):
            list(read_parquet(path))
        with pytest.raises(NotFoundError, match=r"no file .*b\.parquet"):
            list(read_parquet(tmp_path / "b.parquet"))
        with pytest.raises(DataError, match="the file has no rows"):
            list(read_parquet(parquet_of(tmp_path / "c.parquet", text=[])))
        with pytest.raises(SettingsError, match="header=True is for TSV and CSV"):
            read_parquet(path, header=True)

    def test_two_columns_of_one_name(self, tmp_path: Path) -> None:
        table = pyarrow.Table.from_arrays([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["text", "text"])
        pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
        with pytest.raises(DataError, match="several columns are called 'text'"):
            list(read_parquet(tmp_path / "a.parquet"))


class TestJson:
    @given(rows, st.sampled_from([None, 1]), st.booleans())
    def test_an_array(self, given_rows: list[dict[str, Any]], indent: int | None, ascii: bool) -> None:
        path = Path(self.folder) / "a.json"
        content = json.dumps(given_rows, indent=indent, ensure_ascii=ascii)
        path.write_text("\n" + content, encoding="utf-8", newline="")
        found = list(read_json(path))
        assert [dict(row.columns) for row in found] == given_rows
        lines = ("\n" + content).split("\n")
        assert all("{" in lines[row.line - 1] for row in found)
        assert len({row.line for row in found}) == (len(found) if indent else 1)

    @pytest.fixture(autouse=True)
    def a_folder(self, tmp_path: Path) -> None:
        type(self).folder = tmp_path

    @given(rows)
    def test_an_object_per_line(self, given_rows: list[dict[str, Any]]) -> None:
        path = Path(self.folder) / "a.json"
        path.write_text("".join(json.dumps(row) + "\n" for row in given_rows), encoding="utf-8")
        assert [(dict(row.columns), row.line) for row in read_json(path)] == [
            (row, number) for number, row in enumerate(given_rows, start=1)
        ]

    def test_mistakes(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_text('[\n {"a": 1},\n {"a": 1},,\n]')
        with pytest.raises(DataError, match=r"a\.json:3: not JSON \("):
            list(read_json(path))
        path.write_text('[\n {"a": 1},\n {"b": 2}, 3\n]')
        with pytest.raises(DataError) as caught:
            list(read_json(path, columns=["a"]))
        assert problems_of(caught) == ["a.json:3: no 'a'; the row has b", "a.json (item 3): not a JSON object but 3"]
        path.write_text("[]")
        with pytest.raises(DataError, match="the array is empty"):
            list(read_json(path))
        path.write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
        with pytest.raises(DataError) as caught:
            list(read_json(path))
        assert [problem.partition(" (")[0] for problem in problems_of(caught)] == ["a.json:2: not JSON"]
        path.write_text('["\\ud800"]')
        with pytest.raises(DataError, match=r"a\.json:1: not JSON \(.*surrogates"):
            list(read_json(path))
        path.write_text("[" * 100_000)
        with pytest.raises(DataError, match=r"a\.json:1: not JSON"):
            list(read_json(path))


def squad(*questions: dict[str, Any], context: Any = "北京在中国。") -> dict[str, Any]:
    paragraph = {"qas": list(questions), **({} if context is None else {"context": context})}
    return {"version": "1", "data": [{"title": "北京", "paragraphs": [paragraph]}]}


ASKED = {"id": "Q1", "question": "北京在哪里？", "answers": [{"text": "中国", "answer_start": 3}]}


class TestSquad:
    @pytest.mark.parametrize("indent", [None, 2])
    @pytest.mark.parametrize("read", [read_json, read_squad])
    def test_questions(self, read: Any, indent: int | None, tmp_path: Path) -> None:
        path = tmp_path / "dev.json"
        path.write_text(json.dumps(squad(ASKED, {**ASKED, "id": "Q2", "is_impossible": True}), indent=indent))
        first, second = read(path)
        assert first.columns == {**ASKED, "context": "北京在中国。", "title": "北京"}
        assert second.columns["is_impossible"] is True
        lines = path.read_text().split("\n")
        assert [lines[row.line - 1].strip()[0] for row in (first, second)] == ["{", "{"]
        assert (first.line < second.line) == (indent is not None)

    def test_a_test_split_without_answers(self, tmp_path: Path) -> None:
        path = tmp_path / "test.json"
        path.write_text(json.dumps(squad({"id": 1, "question": "?"})))
        (row,) = read_squad(path)
        assert "answers" not in row.columns

    def test_everything_that_is_wrong(self, tmp_path: Path) -> None:
        path = tmp_path / "dev.json"
        broken = [
            {"id": "Q1", "answers": []},
            {**ASKED, "answers": {"text": "中国"}},
            {**ASKED, "answers": [{"text": "中国"}, {"text": "中国", "answer_start": "3"}]},
        ]
        path.write_text(json.dumps(squad(*broken, context=None), indent=1))
        with pytest.raises(DataError) as caught:
            list(read_json(path))
        places = {problem.partition(": ")[0]: problem.partition(": ")[2] for problem in problems_of(caught)}
        lines = path.read_text().split("\n")
        assert all(lines[int(place.partition(":")[2]) - 1].strip() == "{" for place in places)
        assert [text.partition(", not")[0] for text in places.values()] == [
            "the paragraph has no 'context'",
            "there is no 'question'",
            "'answers' must be a list",
            "an answer must have a 'text' and an 'answer_start'",
            "an answer must have a 'text' and an 'answer_start'",
        ]

    @pytest.mark.parametrize(
        ("document", "fault"),
        [
            ({"data": 3}, "not in SQuAD's form, an object with a list called 'data'"),
            ([1], "not in SQuAD's form, an object with a list called 'data'"),
            ({"data": [{"title": "x"}]}, "there is no list of objects called 'paragraphs'"),
            ({"data": [{"paragraphs": [3]}]}, "there is no list of objects called 'paragraphs'"),
            ({"data": []}, "the file has no questions"),
        ],
    )
    def test_another_form(self, document: Any, fault: str, tmp_path: Path) -> None:
        path = tmp_path / "dev.json"
        path.write_text(json.dumps(document))
        with pytest.raises(DataError, match=fault):
            list(read_squad(path))

    def test_columns_that_every_row_must_have(self, tmp_path: Path) -> None:
        path = tmp_path / "dev.json"
        path.write_text(json.dumps(squad({"id": 1, "question": "?"})))
        with pytest.raises(DataError, match="no 'answers'; the row has id, question, context, title"):
            list(read_squad(path, columns=["question", "answers"]))

    def test_cmrc2018(self, data_home: Path) -> None:
        path = data_home / "cmrc2018" / "cmrc2018_dev.json"
        found = list(read_json(path))
        document = json.loads(path.read_text(encoding="utf-8"))
        expected = [
            (question["id"], paragraph["context"], question["answers"])
            for article in document["data"]
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
        assert [(row.columns["id"], row.columns["context"], row.columns["answers"]) for row in found] == expected
        lines = path.read_text(encoding="utf-8").split("\n")
        assert all(row.columns["question"] in "".join(lines[row.line - 1 : row.line + 3]) for row in found[::100])


class TestHuggingFace:
    @pytest.fixture
    def library(self) -> Any:
        return pytest.importorskip("datasets")

    def test_classes_get_their_names(self, library: Any) -> None:
        features = library.Features(
            {"sentence": library.Value("string"), "label": library.ClassLabel(names=["negative", "positive"])}
        )
        theirs = library.Dataset.from_dict({"sentence": ["好", "差"], "label": [1, 0]}, features=features)
        ours = from_hf(theirs, task="seq-cls", columns={"sentence": "text"})
        assert [(row.text, row.label, row.key) for row in ours] == [
            ("好", "positive", "rows:1"),
            ("差", "negative", "rows:2"),
        ]
        assert ours.label_list == ["negative", "positive"]
        renamed = from_hf(
            theirs, task="seq-cls", columns={"sentence": "text"}, rename_labels={"negative": "bad"}, mode="val"
        )
        assert (renamed.label_list, renamed[1].label, renamed.mode) == (["bad", "positive"], "bad", "dev")

    def test_classes_in_a_list(self, library: Any) -> None:
        tags = library.ClassLabel(names=["O", "B-LOC", "I-LOC"])
        features = library.Features({"tokens": library.List(library.Value("string")), "ner_tags": library.List(tags)})
        theirs = library.Dataset.from_dict({"tokens": [["在", "北", "京"]], "ner_tags": [[0, 1, 2]]}, features=features)
        for one in (theirs, theirs.to_iterable_dataset()):
            ours = from_hf(one, task="token-cls", columns={"ner_tags": "labels"})
            assert (ours[0].units, ours[0].label) == (("在", "北", "京"), ("O", "B-LOC", "I-LOC"))
            assert ours.label_list == ["O", "B-LOC", "I-LOC"]

    def test_plain_columns(self, library: Any) -> None:
        theirs = library.Dataset.from_list([{"text": "a", "text_pair": "b", "label": 7}])
        ours = from_hf(theirs, task="seq-cls")
        assert (ours[0].pair, ours[0].label, ours.label_list) == ("b", "7", ["7"])

    def test_tasks_whose_labels_have_no_names(self, library: Any) -> None:
        answers = {"text": ["中国"], "answer_start": [3]}
        theirs = library.Dataset.from_list([{"question": "在哪里？", "context": "北京在中国。", "answers": answers}])
        (row,) = asked = from_hf(theirs, task="question-answering")
        assert (row.text, row.pair, asked.label_list) == ("在哪里？", "北京在中国。", [])
        assert [(answer.text, answer.start) for answer in row.label] == [("中国", 3)]
        features = library.Features({"text": library.Value("string"), "label": library.ClassLabel(names=["a", "b"])})
        texts = library.Dataset.from_dict({"text": ["一[MASK]话"], "label": [1]}, features=features)
        (place,) = masked = from_hf(texts, task="masked-lm")
        assert (place.label, masked.label_list) == (("b",), [])
        scored = library.Dataset.from_list([{"text": "a", "text_pair": "b", "label": 0.5}])
        data = from_hf(
            scored, task="text-matching", task_options={"problem": "regression", "form": "cosine"}, label_list=["score"]
        )
        assert data[0].label == 0.5

    def test_what_is_wrong(self, library: Any) -> None:
        features = library.Features({"text": library.Value("string"), "label": library.ClassLabel(names=["a", "b"])})
        theirs = library.Dataset.from_dict({"text": ["x", "", "y"], "label": [-1, 0, 1]}, features=features)
        with pytest.raises(DataError) as caught:
            from_hf(theirs, task="seq-cls")
        assert problems_of(caught) == ["rows:1: the label is empty", "rows:2: the text is empty"]
        with pytest.raises(SettingsError, match="unknown column 'txt' in columns=; did you mean 'text'"):
            from_hf(theirs, task="seq-cls", columns={"txt": "text"})
        with pytest.raises(
            SettingsError, match=r"from_hf takes one split, such as dataset\['train'\]; there are: train"
        ):
            from_hf(library.DatasetDict({"train": theirs}), task="seq-cls")
        with pytest.raises(DataError) as caught:
            from_hf(theirs.remove_columns("text"), task="seq-cls")
        assert problems_of(caught) == ["rows:columns: no column 'text_a' or 'text'; there are: label"]
