"""`hub data check`: what it finds in small folders, and the leaks that are known of public data."""

from __future__ import annotations

import html.parser
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Hub

from hub_core.data.check import DataReport, Leak, ReadSplit, check_folder, check_splits
from hub_core.data.check_page import check_page, write_report
from hub_core.data.dataset import Dataset
from hub_core.data.misspelt import misspelt
from hub_core.errors import NotFoundError


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    return path


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    header = "label\ttext"
    write(tmp_path / "train.tsv", header, "1\t很好", "0\t很差", "1\t很 好", "0\t很好", "1\tABC", "1\t行吗")
    write(tmp_path / "dev.tsv", header, "0\t很差", "1\tａｂｃ", "0\t行吗", "1\t没有")
    write(tmp_path / "test.jsonl", '{"text": "新"}', '{"text": "没有"}')
    write(tmp_path / "labels.txt", "1", "0")
    return tmp_path


def leaks(report: DataReport) -> dict[tuple[str, str], tuple[int, int, int]]:
    return {(one.split, one.other): (one.exact, one.same, one.relabelled) for one in report.leaks}


class TestFindings:
    def test_leaks(self, reviews: Path) -> None:
        report = check_folder(reviews)
        assert leaks(report) == {
            ("dev", "train"): (2, 3, 1),
            ("dev", "test"): (1, 1, 0),
            ("test", "dev"): (1, 1, 0),
            ("train", "dev"): (2, 3, 1),
        }
        first = report.leaks[0]
        assert first.of == 4
        assert (first.cases[0].text, first.cases[0].rows) == ("行吗", (("dev.tsv:4", "0"), ("train.tsv:7", "1")))

    def test_a_split(self, reviews: Path) -> None:
        train, dev, test = check_folder(reviews).splits
        assert [one.name for one in (train, dev, test)] == ["train", "dev", "test"]
        assert (train.rows, train.labelled, train.exact_repeats, train.repeats) == (6, 6, 1, 2)
        assert (train.contradictions, train.contradicting) == (1, 3)
        assert train.contradicted[0].rows == (("train.tsv:2", "1"), ("train.tsv:4", "1"), ("train.tsv:5", "0"))
        assert train.labels == (("1", 4), ("0", 2))
        assert (train.lengths[0], train.lengths[1], train.lengths[-1]) == (2, 2, 3)
        assert (test.labelled, test.labels) == (0, ())
        assert report_rows(check_folder(reviews)) == 12

    def test_all_broken_rows(self, reviews: Path) -> None:
        write(reviews / "dev.tsv", "label\ttext", *["1\t"] * 30, "1", "1\t好", "\t差")
        report = check_folder(reviews)
        assert len(report.broken) == 32
        assert report.broken[0] == f"{reviews}/dev.tsv:2: the text is empty"
        assert [one.rpartition("/")[2] for one in report.broken[30:]] == [
            "dev.tsv:32: 1 column, expected 2 (label, text)",
            "dev.tsv:34: the label is empty",
        ]
        write(reviews / "dev.tsv", "label\ttext", "1\t好", "\t差")
        assert check_folder(reviews).broken == (f"{reviews}/dev.tsv:3: the label is empty",)

    def test_a_label_that_is_missing_where_others_have_one(self, reviews: Path) -> None:
        write(reviews / "dev.tsv", "label\ttext", "\t差", "1\t好")
        report = check_folder(reviews)
        assert report.broken == (f"{reviews}/dev.tsv:2: no label, which 1 other rows have",)

    def test_questions(self, tmp_path: Path) -> None:
        def asked(question: str, *answers: tuple[str, int]) -> dict[str, Any]:
            return {"question": question, "answers": [{"text": text, "answer_start": start} for text, start in answers]}

        for split, questions in {
            "train": [asked("在哪里？", ("中国", 3)), asked("在哪里？", ("北京", 0)), asked("谁？", ("中国", 4))],
            "dev": [asked("在哪 里？", ("中国", 3)), asked("何时？")],
        }.items():
            document = {"data": [{"paragraphs": [{"context": "北京在中国。", "qas": questions}]}]}
            write(tmp_path / f"{split}.json", json.dumps(document, ensure_ascii=False, indent=1))
        report = check_folder(tmp_path)
        assert report.task == "question-answering"
        assert leaks(report) == {("dev", "train"): (0, 1, 1), ("train", "dev"): (0, 2, 1)}
        train, dev = report.splits
        assert (train.rows, train.labelled, train.contradictions, train.labels) == (2, 2, 1, ())
        assert dev.lengths[0] == 9
        assert [one.partition(": ")[2] for one in report.broken] == ["answer '中国' does not stand at 4 of its context"]

    def test_a_file_without_its_columns(self, reviews: Path) -> None:
        write(reviews / "dev.tsv", "tag\tsentence", "1\t好", "0\t差")
        report = check_folder(reviews)
        assert report.broken == (
            f"{reviews}/dev.tsv:1: no column 'text_a' or 'text'; there are: tag, sentence; --columns sentence=text,"
            "tag=label gives other names; a file without a header needs --columns label,text",
        )
        write(reviews / "dev.tsv", "negative\t有点重，屏幕很好。", "positive\t差，吵")
        (broken,) = check_folder(reviews).broken
        assert broken.endswith(
            "there are: negative, 有点重，屏幕很好。; a file without a header needs --columns label,text"
        )
        assert (
            check_folder(reviews, columns={"tag": "label", "sentence": "text"})
            .broken[0]
            .endswith("train.tsv:1: no column 'tag', 'sentence'; there are: label, text")
        )

    def test_a_packing_that_is_broken(self, reviews: Path) -> None:
        (reviews / "dev.tsv").unlink()
        (reviews / "dev.tsv.gz").write_bytes(b"\x1f\x8b\x08\x00")
        report = check_folder(reviews)
        assert len(report.broken) == 1
        assert "dev.tsv.gz:1: cannot be read" in report.broken[0]

    def test_lengths_are_those_of_numpy(self, tmp_path: Path) -> None:
        lengths = np.random.default_rng(0).integers(1, 400, 500)
        split = ReadSplit(list(Dataset.from_rows([("字" * int(n), "1") for n in lengths], task="seq-cls")))
        (found,) = check_splits({"train": split}, data="x", task="seq-cls").splits
        assert found.lengths == tuple(
            int(np.quantile(lengths, q, method="higher")) for q in (0, 0.5, 0.9, 0.95, 0.99, 1)
        )
        assert sum(count for _, count in found.histogram) == 500
        bounds = [bound for bound, _ in found.histogram]
        for at, (bound, count) in enumerate(found.histogram[:-1]):
            low = bounds[at - 1] if at else 0
            assert count == ((lengths > low) & (lengths <= bound)).sum()

    def test_no_rows_at_all(self) -> None:
        (found,) = check_splits({"train": ReadSplit([])}, data="x", task="seq-cls").splits
        assert (found.rows, found.lengths, found.histogram, found.labels) == (0, (), (), ())


def report_rows(report: DataReport) -> int:
    return sum(one.rows for one in report.splits)


@pytest.mark.parametrize(
    ("often", "rare", "found"),
    [("B-PER", "B-PRE", True), ("B-PER", "I-PER", False), ("news_100", "news_101", False), ("正面", "负面", False)],
)
def test_what_seems_misspelt(often: str, rare: str, found: bool) -> None:
    assert [one.label for one in misspelt({often: 200, rare: 10}, ())] == [rare] * found
    assert misspelt({often: 200, rare: 11}, ()) == ()


class TestReading:
    @pytest.mark.parametrize(
        ("name", "lines", "task"),
        [
            ("train.tsv", ("label\ttext_a", "O\002B\t在\002京"), "token-cls"),
            ("train.conll", ("在 O", "京 B"), "token-cls"),
            ("train.txt", ("在 O", "京 B"), "token-cls"),
            ("train.jsonl", ('{"tokens": ["在", "京"], "labels": ["O", "B"]}',), "token-cls"),
            ("train.csv", ("text,label", "好,1"), "seq-cls"),
            ("train.jsonl", ('{"text": "好", "text_pair": "差", "label": 1}',), "seq-cls"),
        ],
    )
    def test_what_the_columns_suggest(self, name: str, lines: tuple[str, ...], task: str, tmp_path: Path) -> None:
        write(tmp_path / name, *lines)
        report = check_folder(tmp_path)
        assert (report.task, report_rows(report), report.broken) == (task, 1, ())

    @pytest.mark.parametrize(
        ("rows", "task", "options", "labels"),
        [
            (
                [("很好", ["a", "b", "c"]), ("很差", []), ("行", "a")],
                "seq-cls",
                {"problem": "multi-label"},
                ["a", "b", "c"],
            ),
            ([("很好", 1.0), ("很差", 0.5), ("行", 3)], "seq-cls", {"problem": "regression"}, []),
            ([("很好", 1), ("很差", 0)], "seq-cls", {}, ["1", "0"]),
            ([("很好", ["O", "B"]), ("行", ["O"])], "token-cls", {}, ["O", "B"]),
            ([("很[MASK]", ["好"]), ("[MASK]的", "新")], "masked-lm", {}, ["好", "新"]),
        ],
    )
    def test_what_the_labels_suggest(
        self, rows: list[tuple[str, Any]], task: str, options: dict[str, str], labels: list[str], tmp_path: Path
    ) -> None:
        lines = [json.dumps({"text": text, "labels": label}, ensure_ascii=False) for text, label in rows]
        write(tmp_path / "train.jsonl", *lines)
        report = check_folder(tmp_path)
        assert (report.task, report.task_options, report.broken) == (task, options, ())
        assert sorted(label for label, _ in report.splits[0].labels) == sorted(labels)
        assert f"read for {report.read_for};" in check_page(report)

    def test_fractions_in_tsv_are_numbers_unless_told_otherwise(self, tmp_path: Path) -> None:
        write(tmp_path / "train.tsv", "text\tlabel", "好\t1", "差\t0.5", "行\tnan")
        assert check_folder(tmp_path).read_for == "seq-cls"
        write(tmp_path / "train.tsv", "text\tlabel", "好\t1", "差\t0.5")
        assert check_folder(tmp_path).read_for == "seq-cls (problem=regression)"
        told = check_folder(tmp_path, task_options={"problem": "single-label"})
        assert (told.read_for, told.splits[0].labels) == ("seq-cls (problem=single-label)", (("1", 1), ("0.5", 1)))

    def test_a_first_row_that_lacks_a_column(self, tmp_path: Path) -> None:
        good = {"question": "谁？", "context": "是他", "answers": [{"text": "他", "answer_start": 1}]}
        rows = [{"question": "谁？"}, good, {**good, "context": ""}]
        path = write(tmp_path / "train.jsonl", *(json.dumps(row, ensure_ascii=False) for row in rows))
        report = check_folder(tmp_path)
        assert (report.task, report.broken) == (
            "question-answering",
            (f"{path}:1: no column 'context'; there are: question", f"{path}:3: context is empty"),
        )
        write(path, '{"text_a": "好", "label": "1"}', '{"text_a": "好", "text_b": "很好", "label": "1"}')
        report = check_folder(tmp_path)
        assert (report.task, report.broken) == (
            "seq-cls",
            (f"{path}:1: no second text, unlike 1 other row",),
        )

    def test_units_that_something_else_joins(self, tmp_path: Path) -> None:
        path = write(tmp_path / "train.tsv", "text\tlabel", "新 华\tB-ORG I-ORG")
        assert check_folder(tmp_path, task="token-cls").broken == (
            f"{path}:2: label 'B-ORG I-ORG' has white space in it (what joins units and labels here is '\\x02'; "
            "split_char=, --split-char says what else does)",
        )
        report = check_folder(tmp_path, task="token-cls", split_char=" ")
        assert (report.broken, report.splits[0].labels) == ((), (("B-ORG", 1), ("I-ORG", 1)))

    def test_other_tables_of_a_folder_are_no_splits(self, tmp_path: Path) -> None:
        write(tmp_path / "train_45k.txt", "甲\t0")
        write(tmp_path / "class.txt", "finance")
        write(tmp_path / "dev.txt", "乙\t0")
        assert [one.name for one in check_folder(tmp_path, columns=["text", "label"]).splits] == ["train_45k", "dev"]
        write(tmp_path / "dev.tsv", "text\tlabel", "丙\t0")
        names = [one.name for one in check_folder(tmp_path, columns=["text", "label"], task="seq-cls").splits]
        assert names == ["train_45k", "dev.tsv", "dev.txt"]

    def test_parts_of_train_may_overlap(self, tmp_path: Path) -> None:
        for name in ("train", "train.clean", "train_0", "dev"):
            write(tmp_path / f"{name}.tsv", "text\tlabel", "甲\t0")
        assert {(one.split, one.other) for one in check_folder(tmp_path).leaks} == {
            *(("dev", other) for other in ("train", "train.clean", "train_0")),
            *((other, "dev") for other in ("train", "train.clean", "train_0")),
        }

    def test_nothing_to_read(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="has no tables"):
            check_folder(tmp_path)
        with pytest.raises(NotFoundError, match="no folder"):
            check_folder(tmp_path / "gone")


class TestPage:
    def test_it_is_whole_and_loads_nothing(self, reviews: Path, tmp_path: Path) -> None:
        write(reviews / "dev.tsv", "label\ttext", "1\t<script>alert(1)</script>\x00", "\t差", "0\t很好")
        report = check_folder(reviews)
        page = write_report(report, tmp_path / "out")
        assert page == tmp_path / "out" / "index.html"
        assert json.loads((tmp_path / "out" / "report.json").read_text("utf-8")) == json.loads(
            json.dumps(report.as_data())
        )
        text = page.read_text(encoding="utf-8")
        tags: list[tuple[str, dict[str, Any]]] = []

        class Parser(html.parser.HTMLParser):
            def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
                tags.append((tag, dict(attributes)))

        Parser().feed(text)
        names = [tag for tag, _ in tags]
        assert names.count("svg") >= 5
        assert not {"script", "link", "img", "iframe"} & set(names)
        assert not any({"src", "href", "onload"} & set(attributes) for _, attributes in tags)
        assert "http" not in text.partition("<body>")[2]
        assert "很好" in text
        assert f"{reviews}/dev.tsv:3: the label is empty" in text

    def test_a_report_without_findings(self, tmp_path: Path) -> None:
        write(tmp_path / "train.tsv", "text", "甲")
        page = check_page(check_folder(tmp_path))
        assert "No split has a row of another." in page
        assert "Class balance" not in page


class TestCommandLine:
    def test_table_json_and_page(self, reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        hub = Hub(capsys)
        out = hub("data", "check", reviews).out
        assert "dev      train          3     75.0%  2              1" in out
        assert "No row is broken." in out
        found = hub("data", "check", reviews, "--json", "--report", tmp_path / "page")
        assert [one["name"] for one in found.json["splits"]] == ["train", "dev", "test"]
        assert found.err == f"the page is {tmp_path}/page/index.html\n"
        assert (tmp_path / "page" / "index.html").is_file()
        write(reviews / "dev.tsv", "label\ttext", "1\t")
        broken = hub("data", "check", reviews)
        assert (broken.code, broken.err) == (1, "")
        assert "1 broken row(s):" in broken.out

    def test_a_label_that_is_misspelt(self, reviews: Path, capsys: pytest.CaptureFixture[str]) -> None:
        hub = Hub(capsys)
        header = "label\ttext"
        write(reviews / "train.tsv", header, *(f"positive\t好{at}" for at in range(20)), "postive\t不错", "other\t嗯")
        write(reviews / "dev.tsv", header, "positive\t可以")
        report = hub("data", "check", reviews, "--report", reviews / "page")
        said = "label 'postive' (1 in train, none elsewhere) may be 'positive' (20) misspelt"
        assert report.code == 0 and f"\n{said}\n" in report.out
        assert said in (reviews / "page" / "index.html").read_text("utf-8")
        (found,) = hub("data", "check", reviews, "--json").json["misspelt"]
        assert found == {"label": "postive", "count": 1, "meant": "positive", "often": 20}
        write(reviews / "dev.tsv", header, "postive\t可以")
        assert hub("data", "check", reviews, "--json").json["misspelt"] == []

    def test_many_broken_rows(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        hub = Hub(capsys)
        write(tmp_path / "tnews" / "train.json", *['{"sentence": "甲", "label_desc": "news_story"}'] * 150)
        found = hub("data", "check", tmp_path / "tnews", "--report", tmp_path / "page")
        assert found.out.count("no column 'text_a' or 'text'; there are: sentence, label_desc") == 100
        assert "... and 50 more (--json has all)" in found.out
        assert f"HUB_DATA_HOME={tmp_path} hub data check tnews" in found.err
        assert len(json.loads(hub("data", "check", tmp_path / "tnews", "--json").out)["broken"]) == 150
        assert (tmp_path / "page" / "index.html").read_text("utf-8").count("no column") == 150

    def test_options_of_the_task(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        hub = Hub(capsys)
        write(tmp_path / "train.tsv", "text\tlabel", "好\ta,b", "差\t")
        asked = ("data", "check", tmp_path, "--task-option")
        out = hub(*asked, "problem=multi-label").out
        assert f"{tmp_path}, read for seq-cls (problem=multi-label)" in out
        assert "No row is broken." in out
        assert "unknown option 'problm' of task seq-cls" in hub.fails(*asked, "problm=multi-label")
        assert "unknown value 'multi' of problem" in hub.fails(*asked, "problem=multi")
        assert "cannot be empty" in hub.fails("data", "check", tmp_path, "--split-char", "")
        named = hub.fails("data", "check", "tnews", "--split-char", " ", code=2)
        assert "--split-char is for a folder of files; tnews is a data set that knows its own" in named

    def test_mistakes(self, reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        hub = Hub(capsys)
        assert "no folder nowhere; unknown data set 'nowhere'" in hub.fails("data", "check", "nowhere")
        assert "unknown task 'seq_cls' to read data for" in hub.fails("data", "check", reviews, "--task", "seq_cls")
        assert "unknown command 'chek'" in hub.fails("data", "chek", code=2)
        (tmp_path / "file").write_text("")
        assert "file" in hub.fails("data", "check", reviews, "--report", tmp_path / "file")


class TestPublicData:
    """The leaks that are known of public data (those of thucnews by title)."""

    def found(self, report: DataReport, split: str, other: str) -> Leak:
        return next(one for one in report.leaks if (one.split, one.other) == (split, other))

    def test_chnsenticorp(self, data_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        report = check_folder(data_home / "chnsenticorp")
        assert (self.found(report, "dev", "train").same, self.found(report, "test", "train").same) == (340, 333)
        assert report.splits[0].repeats == 1358
        assert self.found(report, "dev", "train").relabelled == 9
        assert not any("train.clean" in (one.split, one.other) for one in report.leaks)
        assert report.broken == ()

    def test_tnews(self, data_home: Path) -> None:
        report = check_folder(data_home / "tnews", columns={"sentence": "text", "label_desc": "label"})
        assert [one.name for one in report.splits] == ["train", "dev"]
        assert self.found(report, "dev", "train").exact == 1099

    def test_thucnews(self, data_home: Path) -> None:
        report = check_folder(data_home / "thucnews10", columns=["text", "label"])
        assert [self.found(report, "train_45k", other).exact for other in ("dev", "test")] == [82, 69]
