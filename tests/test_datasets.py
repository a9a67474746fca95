"""Data sets: PaddleHub's constructors, a user's own files, public data, and what is said about unusable rows."""

from __future__ import annotations

import copy
import json
import pickle
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hub_core.data.folder import find_split, read_labels
from hub_core.data.location import locate
from hub_core.data.problems import Problems
from hub_core.data.rows import RowReading, read_examples, to_examples
from hub_core.data.tables import Row
from hub_core.datasets import (
    MSRA_NER,
    ChnSentiCorp,
    Dataset,
    SeqLabelingDataset,
    TextClassificationDataset,
    folder_dataset,
    labels_of,
)
from hub_core.errors import (
    DataError,
    LabelError,
    NotFoundError,
    SettingsError,
    SourceError,
)
from hub_core.examples import Example

TAGS = ["B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "O"]


@pytest.fixture(autouse=True)
def no_data_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that want HUB_DATA_HOME set it."""
    monkeypatch.delenv("HUB_DATA_HOME", raising=False)


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    return path


def joined(units: str, labels: str) -> str:
    """A row in PaddleHub's form: ``北京`` and ``B-LOC I-LOC`` joined by U+0002."""
    return "\002".join(units) + "\t" + "\002".join(labels.split())


def problems_of(caught: pytest.ExceptionInfo[DataError]) -> list[str]:
    return [problem.rpartition("/")[2] for problem in caught.value.problems]


@pytest.fixture
def msra(tmp_path: Path) -> Path:
    """A folder above a small msra_ner."""
    for mode in ("train", "dev", "test"):
        write(tmp_path / f"data/msra_ner/{mode}.tsv", "text_a\tlabel", joined("在北京", "O B-LOC I-LOC"))
    return tmp_path / "data"


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """A folder above a small chnsenticorp."""
    rows = ("label\ttext_a", '1\t房间很"干净"', "0\t太吵")
    for mode in ("train", "dev", "test"):
        write(tmp_path / f"data/chnsenticorp/{mode}.tsv", *rows)
    write(tmp_path / "data/chnsenticorp/train.clean.tsv", *rows[:2])
    return tmp_path / "data"


class TestPublic:
    def test_msra_ner(self, msra: Path) -> None:
        tokenizer: Any = object()
        data = MSRA_NER(tokenizer, 64, "dev", data_dir=msra / "msra_ner")
        assert (len(data), data.mode, data.task, data.max_seq_len) == (1, "dev", "token-cls", 64)
        assert data.tokenizer is tokenizer
        assert data[0] == Example("在北京", None, ("在", "北", "京"), ("O", "B-LOC", "I-LOC"), "dev.tsv:2")
        assert MSRA_NER.label_list == data.label_list == data.get_labels() == TAGS
        assert data.label_map["O"] == 6
        assert dict(enumerate(MSRA_NER.label_list))[0] == "B-PER"

    def test_chnsenticorp(self, reviews: Path) -> None:
        data = ChnSentiCorp(mode="test", data_dir=reviews)  # the folder above is understood too
        assert [(one.text, one.label, one.key) for one in data] == [
            ('房间很"干净"', "1", "test.tsv:2"),
            ("太吵", "0", "test.tsv:3"),
        ]
        assert (data.task, data.label_map) == ("seq-cls", {"0": 0, "1": 1})
        assert len(ChnSentiCorp(mode="train.clean", data_dir=reviews)) == 1

    def test_dev_is_val(self, reviews: Path) -> None:
        one, other = (ChnSentiCorp(mode=mode, data_dir=reviews) for mode in ("val", "dev"))
        assert one.mode == other.mode == "dev"
        assert list(one) == list(other)

    def test_an_unknown_mode_is_found_out_before_anything_else(self) -> None:
        with pytest.raises(NotFoundError, match=r"unknown mode 'tset' of MSRA_NER; did you mean 'test'\? known: dev, "):
            MSRA_NER(mode="tset", data_dir="nowhere")
        with pytest.raises(NotFoundError, match=r"known: dev, test, train, train\.clean, val"):
            ChnSentiCorp(mode="validate")

    def test_a_split_that_the_folder_does_not_have(self, reviews: Path) -> None:
        (reviews / "chnsenticorp/test.tsv").unlink()
        with pytest.raises(NotFoundError, match=r"unknown split 'test' in .*known: dev, train, train\.clean$"):
            ChnSentiCorp(mode="test", data_dir=reviews)

    def test_labels_get_other_names(self, reviews: Path) -> None:
        data = ChnSentiCorp(data_dir=reviews, rename_labels={"0": "negative", "1": "positive"})
        assert data.label_list == ["negative", "positive"]
        assert [one.label for one in data] == ["positive", "negative"]
        assert ChnSentiCorp.label_list == ["0", "1"]
        with pytest.raises(LabelError, match="unknown label '2' in rename_labels; known: 0, 1"):
            ChnSentiCorp(data_dir=reviews, rename_labels={"2": "neutral"})

    def test_an_instance_owns_its_labels(self, reviews: Path) -> None:
        ChnSentiCorp(data_dir=reviews).label_list.append("2")
        assert ChnSentiCorp.label_list == ["0", "1"]


class TestLocation:
    def test_the_order_of_places(self, msra: Path, hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        own = hub_home / "datasets/msra_ner"
        own.mkdir(parents=True)
        assert locate("msra_ner") == own
        monkeypatch.setenv("HUB_DATA_HOME", str(msra))
        assert locate("msra_ner") == msra / "msra_ner"
        assert locate("msra_ner", data_dir=own) == own
        monkeypatch.setenv("HUB_DATA_HOME", str(msra / "elsewhere"))
        assert locate("msra_ner") == own

    def test_nothing_there_and_no_address(self, hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(NotFoundError) as caught:
            locate("msra_ner")
        assert str(hub_home / "datasets" / "msra_ner") in str(caught.value)
        assert "set HUB_DATA_HOME to the folder that holds a folder 'msra_ner'" in str(caught.value)
        monkeypatch.setenv("HUB_DATA_HOME", "/mine")
        with pytest.raises(NotFoundError, match=r"\(now /mine\)"):
            locate("msra_ner")

    def test_a_data_dir_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match=r"no folder .*gone; data_dir is the folder that holds the files"):
            locate("msra_ner", data_dir=tmp_path / "gone")

    def test_download(self, msra: Path, hub_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """PaddleHub's address, redirected to a folder as a company's mirror would."""
        archive = tmp_path / "mirror/paddlehub-dataset/msra_ner.tar.gz"
        archive.parent.mkdir(parents=True)
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(msra / "msra_ner", "msra_ner")
        monkeypatch.setenv("HUB_MIRRORS", f"https://bj.bcebos.com=file://{tmp_path}/mirror")
        assert len(MSRA_NER(mode="train")) == 1
        receipt = json.loads((hub_home / "datasets/msra_ner/source.json").read_text())
        assert receipt["size"] == archive.stat().st_size
        archive.unlink()
        assert len(MSRA_NER(mode="test")) == 1  # it is there now

    def test_a_download_that_fails(self, hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HUB_OFFLINE", "1")
        with pytest.raises(SourceError, match=r"put its files in .*chnsenticorp, or set HUB_DATA_HOME"):
            ChnSentiCorp()
        assert not (hub_home / "datasets/chnsenticorp").exists()


class TestOwnClassificationFile:
    def test_paddlehubs_columns_without_header(self, tmp_path: Path) -> None:
        write(tmp_path / "train.txt", "体育\t比赛，很精彩", "财经\t股票")
        data = TextClassificationDataset(tmp_path, None, 128, "train", data_file="train.txt")
        assert [(one.text, one.label) for one in data] == [("比赛，很精彩", "体育"), ("股票", "财经")]
        assert data.label_list == ["体育", "财经"]
        assert (data.files[0].path, len(data.files[0].sha256)) == (tmp_path / "train.txt", 64)

    def test_a_subclass_as_paddlehubs_guide_has_it(self, tmp_path: Path) -> None:
        write(tmp_path / "dev.txt", "label\ttext_a", "b\t好")

        class News(TextClassificationDataset):
            label_list = ["b", "a"]  # noqa: RUF012

            def __init__(self, tokenizer: Any, max_seq_len: int = 128, mode: str = "train") -> None:
                super().__init__(
                    base_path=tmp_path,
                    tokenizer=tokenizer,
                    max_seq_len=max_seq_len,
                    mode=mode,
                    data_file=f"{mode}.txt",
                    label_list=self.label_list,
                    is_file_with_header=True,
                )

        assert News(None, mode="dev").label_map == {"b": 0, "a": 1}

    @pytest.mark.parametrize(
        ("header", "row"),
        [
            ("text_a\tlabel\ttext_b", "好\t1\t很好"),
            ("label\tid\ttext_pair\ttext", "1\t7\t很好\t好"),
        ],
    )
    def test_a_header_in_any_order(self, header: str, row: str, tmp_path: Path) -> None:
        write(tmp_path / "train.tsv", header, row)
        (one,) = TextClassificationDataset(tmp_path, label_list=["0", "1"], is_file_with_header=True)
        assert (one.text, one.pair, one.label) == ("好", "很好", "1")
        assert one.columns == ({"id": "7"} if "id" in header else {})

    def test_pairs_without_header(self, tmp_path: Path) -> None:
        write(tmp_path / "train.csv", '1,"你好,吗",您好')
        (one,) = TextClassificationDataset(tmp_path, columns=["label", "text_a", "text_b"])
        assert (one.text, one.pair) == ("你好,吗", "您好")

    def test_the_label_file(self, tmp_path: Path) -> None:
        write(tmp_path / "dev.jsonl", '{"text": "好", "label": 1, "text_pair": null}')
        write(tmp_path / "names.txt", "1", "0")
        data = TextClassificationDataset(tmp_path, mode="dev", label_file="names.txt", is_file_with_header=True)
        assert (data.label_list, data[0].label, data[0].pair) == (["1", "0"], "1", None)
        with pytest.raises(LabelError, match=r"label_list is 0, 1, but .*names\.txt has 1, 0"):
            TextClassificationDataset(tmp_path, mode="dev", label_file="names.txt", label_list=["0", "1"])

    def test_labels_that_nobody_gave(self, tmp_path: Path) -> None:
        write(tmp_path / "dev.tsv", "1\t好")
        with pytest.raises(LabelError, match=r"labels of mode 'dev' are not known: pass label_list or label_file"):
            TextClassificationDataset(tmp_path, mode="dev")

    def test_an_unknown_mode(self, tmp_path: Path) -> None:
        write(tmp_path / "train.tsv", "1\t好")
        with pytest.raises(NotFoundError, match="unknown mode 'trian' of TextClassificationDataset; did you mean 'tra"):
            TextClassificationDataset(tmp_path, mode="trian", data_file="train.tsv")
        with pytest.raises(NotFoundError, match=r"unknown split 'trian' in .* did you mean 'train'"):
            TextClassificationDataset(tmp_path, mode="trian")
        with pytest.raises(NotFoundError, match=r"no file .*dev\.tsv"):
            TextClassificationDataset(tmp_path, mode="dev", data_file="dev.tsv", label_list=["1"])

    def test_bad_rows_all_at_once(self, tmp_path: Path) -> None:
        write(
            tmp_path / "train.tsv", "positve\t好", "positive\t", "positive", "\t好", "positive\t好", "positive\t \u3000"
        )
        with pytest.raises(DataError) as caught:
            TextClassificationDataset(tmp_path, label_list=["negative", "positive"])
        assert problems_of(caught) == [
            "train.tsv:1: unknown label 'positve'; did you mean 'positive'? known: negative, positive",
            "train.tsv:2: the text is empty",
            "train.tsv:3: 1 column, expected 2 (label, text_a)",
            "train.tsv:4: the label is empty",
            "train.tsv:6: the text is empty",
        ]

    def test_columns_that_are_not_there(self, tmp_path: Path) -> None:
        write(tmp_path / "train.tsv", "Label\ttext_a\ttext", "1\t好\t好", "0\t差\t差")
        with pytest.raises(DataError) as caught:
            TextClassificationDataset(tmp_path, is_file_with_header=True, label_list=["0", "1"])
        assert problems_of(caught) == ["train.tsv:1: both columns text_a and text; keep one"]
        write(tmp_path / "train.tsv", "Label\ttext_a", "1\t好", "0\t差")
        with pytest.raises(DataError) as caught:
            TextClassificationDataset(tmp_path, is_file_with_header=True, label_list=["0", "1"])
        assert problems_of(caught) == [
            "train.tsv:1: no column 'label' or 'labels'; there are: Label, text_a; "
            "--columns Label=label gives other names"
        ]

    def test_exchanged_columns_make_a_short_message(self, tmp_path: Path) -> None:
        write(tmp_path / "train.tsv", *(f"{'很长的评论' * 50}\t1" for _ in range(30)))
        with pytest.raises(DataError, match="30 times") as caught:
            TextClassificationDataset(tmp_path, label_list=["0", "1"])
        assert max(map(len, problems_of(caught))) < 120

    def test_bad_json_rows(self, tmp_path: Path) -> None:
        rows = [{"text": 1, "label": "1"}, {"label": "1"}, {"text": "好", "label": True}, {"text": "好", "label": None}]
        write(tmp_path / "train.jsonl", *map(json.dumps, rows), '{"text": "好", "text_b": " ", "label": 1}')
        with pytest.raises(DataError) as caught:
            TextClassificationDataset(tmp_path, label_list=["0", "1"])
        assert problems_of(caught) == [
            "train.jsonl:1: text must be a text, not 1",
            "train.jsonl:2: no column 'text_a' or 'text'; there are: label",
            "train.jsonl:3: the label must be a name, not True",
            "train.jsonl:4: the label is empty",
            "train.jsonl:5: text_b is empty",
        ]


class TestOwnLabellingFile:
    def test_paddlehubs_columns_without_header(self, tmp_path: Path) -> None:
        write(tmp_path / "train.tsv", joined("在北京", "O B I"))
        data = SeqLabelingDataset(tmp_path)
        assert (data[0].units, data[0].label, data.label_list) == (("在", "北", "京"), ("O", "B", "I"), ["O", "B", "I"])

    def test_another_split_char_and_words(self, tmp_path: Path) -> None:
        write(tmp_path / "train.tsv", "label\ttext_a", "B-PER O O\tWolff stayed home")
        (one,) = SeqLabelingDataset(tmp_path, split_char=" ", is_file_with_header=True)
        assert (one.units, one.text) == (("Wolff", "stayed", "home"), "Wolff stayed home")

    def test_lists_in_jsonl(self, tmp_path: Path) -> None:
        rows = [
            {"tokens": ["新华社", "北京"], "labels": ["B-ORG", "B-LOC"]},
            {"text": "在京", "label": ["O", "B-LOC"]},
            {"text": "在\002京", "label": "O\002B-LOC"},
        ]
        write(tmp_path / "train.jsonl", *map(json.dumps, rows))
        found = [(one.text, one.units) for one in SeqLabelingDataset(tmp_path, label_list=TAGS)]
        assert found == [("新华社北京", ("新华社", "北京")), ("在京", ("在", "京")), ("在京", ("在", "京"))]

    def test_conll(self, tmp_path: Path) -> None:
        write(tmp_path / "train.conll", "-DOCSTART- O", "", "在 O", "京 B-LOC", "", "\u3000\tO", "好\tO")
        data = SeqLabelingDataset(tmp_path, label_list=TAGS)
        assert [(one.text, one.label, one.key) for one in data] == [
            ("在京", ("O", "B-LOC"), "train.conll:3"),
            ("\u3000好", ("O", "O"), "train.conll:6"),
        ]

    def test_another_name_for_outside(self, tmp_path: Path) -> None:
        write(tmp_path / "train.tsv", joined("在京", "0 B-LOC"))
        data = SeqLabelingDataset(tmp_path, label_list=["B-LOC", "I-LOC", "0"], no_entity_label="0")
        assert (data.label_list, data[0].label) == (["B-LOC", "I-LOC", "O"], ("O", "B-LOC"))

    def test_ignore_label_is_fixed(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="ignore_label=-1: losses and metrics here pass over -100 only"):
            SeqLabelingDataset(tmp_path, ignore_label=-1)

    def test_bad_rows_all_at_once(self, tmp_path: Path) -> None:
        write(
            tmp_path / "train.tsv",
            joined("在北京", "O B-LOC"),
            joined("在北京", "O B-LCO B-LCO"),
            "\tO",
            "a\002\002b\tO\002O\002O",
            joined("在", "O O"),
            "今天 很好\tO\002O",
            "在\002京\tO\002",
        )
        with pytest.raises(DataError) as caught:
            SeqLabelingDataset(tmp_path, label_list=TAGS)
        near = "'B-LOC' or 'I-LOC' or 'B-ORG'"
        known = "known: B-LOC, B-ORG, B-PER, I-LOC, I-ORG, I-PER, O"
        assert problems_of(caught) == [
            "train.tsv:1: 3 characters, but 2 labels",
            f"train.tsv:2: unknown label 'B-LCO' at unit 2; did you mean {near}? {known}",
            "train.tsv:3: the text is empty",
            "train.tsv:4: unit 2 is empty",
            "train.tsv:5: 1 character, but 2 labels",
            "train.tsv:6: 1 unit (what joins units here is '\\x02'; see split_char=, --split-char), but 2 labels",
            "train.tsv:7: label 2 is empty",
        ]

    def test_in_conll_every_unit_has_its_own_line(self, tmp_path: Path) -> None:
        write(tmp_path / "train.conll", "在 O", "北 B-LCO", "京 I-LCO", "", "\tO", "好\tO", "", "京 B-LCO")
        with pytest.raises(DataError) as caught:
            SeqLabelingDataset(tmp_path, label_list=["O", "B-LOC", "I-LOC"])
        assert [problem.partition("; known")[0] for problem in problems_of(caught)] == [
            "train.conll:2: unknown label 'B-LCO' (2 times); did you mean 'B-LOC' or 'I-LOC'? known: B-LOC, I-LOC, O",
            "train.conll:3: unknown label 'I-LCO'; did you mean 'I-LOC' or 'B-LOC'? known: B-LOC, I-LOC, O",
            "train.conll:5: unit 1 is empty",
        ]

    def test_bad_json_rows(self, tmp_path: Path) -> None:
        rows = [{"tokens": ["a", 1], "labels": ["O", "O"]}, {"tokens": {"a": 1}, "labels": []}, {"tokens": ["a"]}]
        write(tmp_path / "train.jsonl", *map(json.dumps, rows))
        with pytest.raises(DataError) as caught:
            SeqLabelingDataset(tmp_path, label_list=["O"])
        assert problems_of(caught) == [
            "train.jsonl:1: tokens must be strings, not 1 (number 2)",
            """train.jsonl:2: tokens must be a list of strings, not {'a': 1}""",
            "train.jsonl:3: no column 'label' or 'labels'; there are: tokens",
        ]


class TestFolder:
    @pytest.mark.parametrize("mode", ["dev", "val", "valid"])
    @pytest.mark.parametrize("name", ["dev", "valid"])
    def test_names_of_the_development_split(self, mode: str, name: str, tmp_path: Path) -> None:
        path = write(tmp_path / f"{name}.csv", "label,text", "1,好")
        assert find_split(tmp_path, mode) == path
        data = folder_dataset(tmp_path, task="seq-cls", mode=mode, label_list=["0", "1"])
        assert (data.mode, data.task, len(data)) == ("dev", "seq-cls", 1)

    def test_candidates(self, tmp_path: Path) -> None:
        write(tmp_path / "dev.csv", "x")
        write(tmp_path / "valid.tsv.gz", "x")
        with pytest.raises(SettingsError, match=r"has dev\.csv and valid\.tsv\.gz, all of split 'dev'; keep one"):
            find_split(tmp_path, "dev")
        with pytest.raises(NotFoundError, match=r"unknown split 'train' in .*; known: dev"):
            find_split(tmp_path, "train")
        with pytest.raises(NotFoundError, match="no folder"):
            find_split(tmp_path / "gone", "train")

    def test_labels_come_from_train_for_every_mode(self, tmp_path: Path) -> None:
        write(tmp_path / "train.tsv", "text\tlabel", "好\tb", "差\ta")
        write(tmp_path / "test.jsonl", '{"label": "b", "text": "好"}')
        data = folder_dataset(tmp_path, task="seq-cls", mode="test", rename_labels={"a": "x"})
        assert data.label_list == ["b", "x"]
        write(tmp_path / "labels.txt", "b", "a")
        assert folder_dataset(tmp_path, task="seq-cls", mode="train").label_list == ["b", "a"]
        assert folder_dataset(tmp_path, task="seq-cls", mode="test").label_list == ["b", "a"]
        assert folder_dataset(tmp_path, task="seq-cls", mode="test", label_list=["c", "b"]).label_list == ["c", "b"]

    def test_labels_that_nobody_gave(self, tmp_path: Path) -> None:
        write(tmp_path / "test.tsv", "text\tlabel", "好\tb")
        with pytest.raises(LabelError, match=r"pass label_list, or list them in labels\.txt \(one per line\), or put"):
            folder_dataset(tmp_path, task="seq-cls", mode="test")

    def test_txt_is_what_the_task_has_as_text(self, tmp_path: Path) -> None:
        write(tmp_path / "train.txt", "在 O", "京 S-LOC")
        assert folder_dataset(tmp_path, task="token-cls")[0].label == ("O", "S-LOC")
        write(tmp_path / "train.txt", "好\tb")
        data = folder_dataset(tmp_path, task="seq-cls", columns=["text", "label"])
        assert data[0].label == "b"

    def test_another_split_char(self, tmp_path: Path) -> None:
        write(tmp_path / "train.tsv", "label\ttext_a", "O S-LOC\t在 京")
        assert folder_dataset(tmp_path, task="token-cls", split_char=" ")[0].units == ("在", "京")

    def test_paddlehubs_form_in_a_txt_file_is_not_swallowed(self, tmp_path: Path) -> None:
        write(tmp_path / "train.txt", joined("在京", "O S-LOC"))
        with pytest.raises(DataError, match=r"train\.txt:1: holds U\+0002"):
            folder_dataset(tmp_path, task="token-cls")

    def test_an_unknown_task(self, tmp_path: Path) -> None:
        write(tmp_path / "train.tsv", "text\tlabel", "好\tb")
        with pytest.raises(NotFoundError, match="unknown task 'seq_cls' to read data for; did you mean 'seq-cls'"):
            folder_dataset(tmp_path, task="seq_cls")

    def test_the_labels_file(self, tmp_path: Path) -> None:
        with pytest.raises(DataError) as caught:
            read_labels(write(tmp_path / "labels.txt", "a", "", "b", "a"))
        assert problems_of(caught) == ["labels.txt:2: blank line", "labels.txt:4: label 'a' stands twice"]
        with pytest.raises(DataError, match="the file is empty"):
            read_labels(write(tmp_path / "labels.txt"))


class TestRows:
    @pytest.mark.parametrize(
        "row",
        [
            ("好", "很好", "1"),
            {"text": "好", "text_pair": "很好", "label": 1},
            Example("好", "很好", label="1", key="k"),
        ],
    )
    def test_forms_of_a_row(self, row: Any) -> None:
        (one,) = Dataset.from_rows([row], task="seq-cls")
        assert (one.text, one.pair, one.label) == ("好", "很好", "1")
        assert one.key == ("k" if isinstance(row, Example) else "rows:1")

    @pytest.mark.parametrize(
        "row",
        [
            ("在京", ["O", "S"]),
            (["在", "京"], ("O", "S")),
            ("在\002京", "O\002S"),
            Example("在京", None, ("在", "京"), ("O", "S")),
        ],
    )
    def test_forms_of_a_labelled_row(self, row: Any) -> None:
        data = Dataset.from_rows(iter([row]), task="token-cls", mode="val", max_seq_len=9)
        assert (data[0].units, data[0].label) == (("在", "京"), ("O", "S"))
        assert (data.task, data.mode, data.max_seq_len, data.label_list) == ("token-cls", "dev", 9, ["O", "S"])

    def test_bad_rows(self) -> None:
        with pytest.raises(DataError) as caught:
            Dataset.from_rows([("好", "1"), ("", "1"), ("好", "2")], task="seq-cls", label_list=["0", "1"])
        assert problems_of(caught) == ["rows:2: the text is empty", "rows:3: unknown label '2'; known: 0, 1"]
        with pytest.raises(DataError, match=r"rows:1: expected a mapping, \(text, label\)"):
            Dataset.from_rows(["好"], task="seq-cls")

    def test_bad_labels(self) -> None:
        with pytest.raises(LabelError, match="twice"):
            Dataset([], ["a", "a"])
        with pytest.raises(LabelError, match="nothing to learn the labels from"):
            Dataset.from_rows([], task="seq-cls")

    def test_unlabelled_rows(self) -> None:
        reading = RowReading("token-cls", labelled=False)
        problems = Problems()
        rows = [Row({"text": "在\002京"}, "a", 1), Row({"text": "在", "label": ""}, "a", 2), Row({"text": ""}, "a", 3)]
        found = [(one.units, one.label) for one in to_examples(rows, reading, problems)]
        assert found == [(("在", "京"), None), (("在",), None)]
        assert problems.count == 1

    def test_unlabelled_file(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tsv", "text", "好")
        (one,) = read_examples(path, RowReading("seq-cls", labelled=False))
        assert (one.text, one.label) == ("好", None)


class TestDataset:
    rows = (("在京", ["O", "S-LOC"]), ("好", ["O"]), ("吗", ["O"]))

    def test_it_is_a_sequence(self) -> None:
        data = Dataset.from_rows(self.rows, task="token-cls")
        assert [one.text for one in data] == ["在京", "好", "吗"]
        assert data[-1].text == "吗"
        assert data[1] in data
        part = data[1:]
        assert isinstance(part, Dataset)
        assert (len(part), part.label_list, len(data)) == (2, ["O", "S-LOC"], 3)
        assert repr(part) == "Dataset(mode='train', 2 rows, 2 labels)"

    def test_it_can_be_copied_to_another_process(self) -> None:
        data = Dataset.from_rows([{"text": "好", "label": "1", "id": 7}], task="seq-cls")
        for other in (pickle.loads(pickle.dumps(data)), copy.deepcopy(data)):
            assert list(other) == list(data)

    def test_the_fingerprint_is_of_what_the_examples_say(self, tmp_path: Path) -> None:
        data = Dataset.from_rows(self.rows, task="token-cls")
        prints = {data.fingerprint(), data[:2].fingerprint(), data[::-1].fingerprint()}
        changed = [
            [("在京", ["O", "O"]), *self.rows[1:]],
            [("在津", ["O", "S-LOC"]), *self.rows[1:]],
            [(["在京"], ["O"]), *self.rows[1:]],
        ]
        prints |= {Dataset.from_rows(rows, task="token-cls").fingerprint() for rows in changed}
        assert len(prints) == 6
        write(tmp_path / "train.tsv", *(joined(text, " ".join(labels)) for text, labels in self.rows))
        assert SeqLabelingDataset(tmp_path).fingerprint() == data.fingerprint()
        assert len(data.fingerprint()) == 64

    def test_labels_in_an_order_that_does_not_depend_on_the_rows(self) -> None:
        def labels(*values: str) -> list[str]:
            return labels_of(*([Example("x", label=value)] for value in values))

        assert labels("b", "a", "c", "a") == ["a", "b", "c"]
        assert labels("10", "9", "0") == ["0", "9", "10"]
        assert labels("10", "9", "x") == ["10", "9", "x"]
        assert labels_of([Example("x", label=("I-A", "B-A", "O"))]) == ["O", "B-A", "I-A"]
        with pytest.raises(LabelError):
            labels_of([Example("x")])


class TestRealData:
    @pytest.mark.parametrize(("mode", "rows"), [("dev", 2318), ("test", 4636), ("train", 48779)])
    def test_msra_ner(self, mode: str, rows: int, data_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HUB_DATA_HOME", str(data_home))
        data = MSRA_NER(mode=mode)
        assert len(data) == rows
        assert all(len(one.units or ()) == len(one.label or ()) == len(one.text) for one in data)
        assert sorted(labels_of(data)) == sorted(TAGS)

    @pytest.mark.parametrize(("mode", "rows"), [("dev", 1200), ("test", 1200), ("train", 9600), ("train.clean", 7578)])
    def test_chnsenticorp(self, mode: str, rows: int, data_home: Path) -> None:
        data = ChnSentiCorp(mode=mode, data_dir=data_home / "chnsenticorp")
        assert len(data) == rows
        assert labels_of(data) == ["0", "1"]

    def test_the_clean_split_shares_no_text_with_dev_and_test(self, data_home: Path) -> None:
        clean = {one.text for one in ChnSentiCorp(mode="train.clean", data_dir=data_home)}
        assert not clean & {one.text for mode in ("dev", "test") for one in ChnSentiCorp(mode=mode, data_dir=data_home)}


def test_labels_that_have_their_new_names_already(tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text("label\ttext_a\n1\t好\n0\t差\n", encoding="utf-8")
    trained = ["negative", "positive"]
    rename = {"0": "negative", "1": "positive"}
    rows = folder_dataset(tmp_path, task="seq-cls", mode="dev", label_list=trained, rename_labels=rename)
    assert rows.label_list == trained
    assert [row.label for row in rows] == ["positive", "negative"]


def test_numpys_strings_are_strings() -> None:
    import numpy as np

    labels = list(np.array(["B-PER", "I-PER", "O"]))
    assert type(labels[0]) is not str
    (row,) = Dataset.from_rows([("李岚清", labels)], task="token-cls")
    assert row.label == ("B-PER", "I-PER", "O")
    assert {type(label) for label in row.label} == {str}
