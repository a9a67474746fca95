"""Public data sets: every set's form as small samples, the real files where they are at hand, and sets by name."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from command_line import Hub, write_manifest

from hub_core import datasets
from hub_core.data.dataset import labels_of
from hub_core.data.problems import Problems
from hub_core.data.same import normalised_text
from hub_core.errors import DataError, IntegrityError, LabelError, NotFoundError, SettingsError
from hub_core.examples import Example
from hub_core.plugins import catalog
from hub_core.published.dataset import PublishedDataset
from hub_core.published.named import check_named, is_named, named_class, named_dataset

SETS = {name: entry.load() for name, entry in catalog().entries("dataset").items()}
#: Tasks that are registered; the sets of others are read for one that is.
TASKS = catalog().entries("task")


@pytest.fixture(autouse=True)
def no_data_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that want HUB_DATA_HOME set it."""
    monkeypatch.delenv("HUB_DATA_HOME", raising=False)


def write(path: Path, *lines: str | dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8", newline="\n")
    return path


def rows_of(made: type[PublishedDataset], path: Path) -> list[dict[str, Any]]:
    problems = Problems()
    found = [dict(row.columns) for row in made.rows(path, problems)]
    problems.raise_if_any()
    return found


def problems_of(caught: pytest.ExceptionInfo[DataError]) -> list[str]:
    return [problem.rpartition("/")[2] for problem in caught.value.problems]


@pytest.mark.parametrize("name", SETS)
def test_every_set_says_what_it_is(name: str) -> None:
    made = SETS[name]
    assert getattr(datasets, name) is made
    assert name in datasets.__all__
    assert issubclass(made, PublishedDataset)
    assert made.url is not None
    assert made.url.endswith((".tar.gz", ".zip"))
    assert len(set(made.label_list)) == len(made.label_list)
    assert set(made.file_names) <= set(made.modes)
    assert made.task in ("seq-cls", "token-cls", "text-matching", "question-answering")
    assert made.__doc__


class TestForms:
    @pytest.mark.parametrize(
        "lines", [("text_a\ttext_b\tlabel", "甲\t乙\t1"), ("甲\t乙\t1",), ("label\ttext_b\ttext_a", "1\t乙\t甲")]
    )
    def test_pairs_with_a_header_and_without(self, lines: tuple[str, ...], tmp_path: Path) -> None:
        write(tmp_path / "dev.txt", *lines)
        data = datasets.LCQMC(mode="dev", data_dir=tmp_path, task="seq-cls")
        assert [(row.text, row.pair, row.label) for row in data] == [("甲", "乙", "1")]
        assert (data.label_list, data.task, data.mode) == (["0", "1"], "seq-cls", "dev")

    def test_a_split_without_labels(self, tmp_path: Path) -> None:
        write(tmp_path / "test.txt", "甲\t乙", "丙\t丁")
        write(tmp_path / "dev.json", {"sentence1": "甲", "sentence2": "乙", "label": "0"})
        test = datasets.AFQMC(mode="test", data_dir=tmp_path, task="seq-cls")
        assert [(row.text, row.pair, row.label) for row in test] == [("甲", "乙", None), ("丙", "丁", None)]
        assert datasets.AFQMC(mode="dev", data_dir=tmp_path, task="seq-cls")[0].label == "0"
        with pytest.raises(DataError, match=r"test\.txt: this split is published without labels; of train, dev, test"):
            datasets.AFQMC(mode="test", data_dir=tmp_path, task="seq-cls", labelled=True)

    @pytest.mark.parametrize("header", ["label\tsentence", "label\tcontent"])
    def test_sst2(self, header: str, tmp_path: Path) -> None:
        write(tmp_path / "train.tsv", header, '1\ta "fine" film')
        write(tmp_path / "test.tsv", "index\tsentence", "0\tso so")
        assert [(row.text, row.label) for row in datasets.SST2(data_dir=tmp_path)] == [('a "fine" film', "1")]
        assert [(row.text, row.label) for row in datasets.SST2(mode="test", data_dir=tmp_path)] == [("so so", None)]

    def test_thucnews(self, tmp_path: Path) -> None:
        write(tmp_path / "train_45k.txt", "体验2D巅峰\t8", "同步A股\t2")
        data = datasets.THUCNews(data_dir=tmp_path)
        assert [row.label for row in data] == ["game", "stocks"]
        assert data.label_list[:3] == ["finance", "realty", "stocks"]
        write(tmp_path / "dev.txt", "甲\t10", "乙\tgame", "丙\t1", "丁")
        with pytest.raises(DataError) as caught:
            datasets.THUCNews(mode="dev", data_dir=tmp_path)
        assert problems_of(caught) == [
            "dev.txt:1: not a row of THUCNews: there is no class 10; they go from 0 to 9",
            "dev.txt:2: not a row of THUCNews: the class must be a number, not 'game'",
            "dev.txt:4: 1 column, expected 2 (text, label)",
        ]

    def test_tnews_and_iflytek(self, tmp_path: Path) -> None:
        write(
            tmp_path / "train.json",
            {"label": "102", "label_desc": "news_entertainment", "sentence": "甲", "keywords": "k"},
        )
        (row,) = datasets.TNEWS(data_dir=tmp_path)
        assert (row.label, row.columns) == ("news_entertainment", {"keywords": "k"})
        write(tmp_path / "train_few_all.json", {"label": 102, "label_desc": "news_story", "sentence": "甲", "id": 1})
        assert datasets.FewCLUE_TNEWS(data_dir=tmp_path)[0].label == "news_story"
        write(tmp_path / "dev.json", {"label": "17", "label_des": "休闲益智", "sentence": "甲"})
        assert datasets.IFLYTEK(mode="dev", data_dir=tmp_path)[0].label == "休闲益智"
        assert datasets.IFLYTEK.label_list.index("休闲益智") == 17
        write(tmp_path / "dev.json", {"label": "103", "label_desc": "news_sport", "sentence": "甲"})
        with pytest.raises(DataError, match="unknown label 'news_sport'; did you mean 'news_sports'"):
            datasets.TNEWS(mode="dev", data_dir=tmp_path)

    @pytest.mark.parametrize("made", [datasets.OCNLI, datasets.CMNLI, datasets.FewCLUE_OCNLI])
    def test_rows_without_an_agreed_label_are_left_out(self, made: Any, tmp_path: Path) -> None:
        rows = [{"sentence1": "甲", "sentence2": "乙", "label": label} for label in ("neutral", "-", "entailment")]
        write(tmp_path / "test_public.json", *rows)
        write(tmp_path / "dev.json", *rows)
        mode = "test_public" if made is datasets.FewCLUE_OCNLI else "dev"
        data = made(mode=mode, data_dir=tmp_path)
        assert [(row.label, row.key.partition(":")[2]) for row in data] == [("neutral", "1"), ("entailment", "3")]

    @pytest.mark.parametrize("made", [datasets.CLUEWSC2020, datasets.FewCLUE_CLUEWSC])
    def test_a_pronoun_and_a_noun_are_marked(self, made: Any, tmp_path: Path) -> None:
        text = "这时候放在床上枕头旁边的手机响了，我感到奇怪，因为欠费已被停机两个月，现在它突然响了。"
        target = {"span2_index": 37, "span1_index": 5, "span1_text": "床", "span2_text": "它"}
        row = {"target": target, "idx": 261, "label": "false", "text": text}
        write(tmp_path / "train_0.json", row)
        path = write(tmp_path / "train.json", row)
        (found,) = rows_of(made, path)
        assert found["text"].replace("_", "").replace("[", "").replace("]", "") == text
        assert "_床_" in found["text"]
        assert "[它]" in found["text"]
        write(path, {**row, "target": {**target, "span1_index": 4}}, {"text": text})
        with pytest.raises(DataError) as caught:
            rows_of(made, path)
        assert problems_of(caught) == [
            f"train.json:1: not a row of {made.__name__}: '床' does not stand at 4 of the text",
            f"train.json:2: not a row of {made.__name__}: 'target'",
        ]

    def test_csl(self, tmp_path: Path) -> None:
        write(tmp_path / "train.json", {"id": 1, "abst": "摘要", "keyword": ["水声学", "FFT"], "label": "1"})
        (row,) = datasets.CSL(data_dir=tmp_path)
        assert (row.text, row.pair, row.label) == ("水声学 FFT", "摘要", "1")

    def test_cluener(self, tmp_path: Path) -> None:
        label = {"name": {"叶老桂": [[9, 11]]}, "company": {"浙商银行": [[0, 3]]}, "organization": {"银行": [[2, 3]]}}
        write(tmp_path / "train.json", {"text": "浙商银行企业信贷部叶老桂博士", "label": label})
        write(tmp_path / "test.json", {"id": 0, "text": "浙商"})
        (row,) = datasets.CLUENER(data_dir=tmp_path)
        assert row.label == (
            *("B-company", "I-company", "I-company", "I-company", "O", "O", "O", "O", "O"),
            *("B-name", "I-name", "I-name", "O", "O"),
        )
        assert datasets.CLUENER(mode="test", data_dir=tmp_path)[0].label is None
        assert len(datasets.CLUENER.label_list) == 21
        write(tmp_path / "train.json", {"text": "浙商", "label": {"name": {"浙江": [[0, 1]]}}})
        with pytest.raises(DataError, match="'浙江' does not stand at 0 of the text"):
            datasets.CLUENER(data_dir=tmp_path)

    def test_questions_whose_answers_cannot_be_found_are_left_out(self, tmp_path: Path) -> None:
        def asked(name: str, *answers: tuple[str, int], question: str = "在哪里？") -> dict[str, Any]:
            listed = [{"text": text, "answer_start": start} for text, start in answers]
            return {"id": name, "question": question, "answers": listed}

        questions = [
            asked("good", ("中国", 3), ("亚洲", -1)),
            asked("none placed", ("亚洲", -1), ("中国", 4)),
            asked("empty", ("中国", 3), question=""),
            asked("fake", ("FAKE_ANSWER_1", -1)),
        ]
        document = {"data": [{"paragraphs": [{"context": "北京在中国。", "qas": questions}]}]}
        path = write(tmp_path / "dev.json", document)
        for made in (datasets.CMRC2018, datasets.DRCD):
            found = rows_of(made, path)
            assert [row["id"] for row in found] == ["good", "fake"]
            assert found[0]["answers"] == [{"text": "中国", "answer_start": 3}]
            assert "answers" not in found[1]


@pytest.mark.skipif("question-answering" not in TASKS, reason="no task question-answering")
def test_questions_become_examples(data_home: Path) -> None:
    data = datasets.CMRC2018(mode="trial", data_dir=data_home)
    assert (len(data), data.label_list) == (995, [])
    assert all(row.label for row in data)
    assert all(row.label is None for row in datasets.CMRC2018(mode="test", data_dir=data_home))


@pytest.mark.skipif("text-matching" not in TASKS, reason="no task text-matching")
def test_pairs_are_for_text_matching(data_home: Path, tmp_path: Path) -> None:
    assert datasets.LCQMC(mode="dev", data_dir=data_home).task == "text-matching"
    write(tmp_path / "train.tsv", "甲\t乙\t1")
    assert datasets.TextMatchingDataset(tmp_path)[0].pair == "乙"


class TestClean:
    def test_it_is_computed_where_there_is_no_such_file(self, tmp_path: Path) -> None:
        write(tmp_path / "train.tsv", "label\ttext_a", "1\t好", "0\t差 A", "1\t好 ", "0\t行", "1\tｂ")
        write(tmp_path / "dev.tsv", "label\ttext_a", "1\t差ａ")
        write(tmp_path / "test.tsv", "label\ttext_a", "1\tB")
        data = datasets.ChnSentiCorp(mode="train.clean", data_dir=tmp_path)
        assert [(row.text, row.key) for row in data] == [("好", "train.tsv:2"), ("行", "train.tsv:5")]
        assert data.mode == "train.clean"
        assert [file.path.name for file in data.files] == ["train.tsv", "dev.tsv", "test.tsv"]

    def test_chnsenticorps_clean_file_is_what_is_computed(self, data_home: Path, tmp_path: Path) -> None:
        for split in ("train", "dev", "test"):
            (tmp_path / f"{split}.tsv").symlink_to(data_home / "chnsenticorp" / f"{split}.tsv")
        computed = datasets.ChnSentiCorp(mode="train.clean", data_dir=tmp_path)
        published = datasets.ChnSentiCorp(mode="train.clean", data_dir=data_home)
        assert [row.text for row in computed] == [row.text for row in published]

    @pytest.mark.parametrize(("made", "rows"), [(datasets.TNEWS, 48793), (datasets.THUCNews, 44811)])
    def test_what_leaks_is_left_out(self, made: Any, rows: int, data_home: Path) -> None:
        texts = [normalised_text(row) for row in made(mode="train.clean", data_dir=data_home)]
        assert len(texts) == len(set(texts)) == rows
        there = made.modes_in(made.folder(data_home))
        held_out = {
            normalised_text(row)
            for mode in ("dev", "test")
            if mode in there
            for row in made(mode=mode, data_dir=data_home)
        }
        assert not held_out & set(texts)


class TestRealFiles:
    @pytest.mark.parametrize(
        ("made", "mode", "rows", "first"),
        [
            (datasets.LCQMC, "dev", 8802, "开初婚未育证明怎么弄？"),
            (datasets.LCQMC, "test", 12500, "谁有狂三这张高清的"),
            (datasets.AFQMC, "train", 34334, "蚂蚁借呗等额还款可以换成先息后本吗"),
            (datasets.AFQMC, "dev", 4316, "双十一花呗提额在哪"),
            (datasets.AFQMC, "test", 3861, "借呗什么时候会取消"),
            (datasets.TNEWS, "train", 53360, "上课时学生手机响个不停"),
            (datasets.TNEWS, "dev", 10000, "江疏影甜甜圈自拍"),
            (datasets.THUCNews, "train", 45000, "中华女子学院：本科层次仅1专业招男生"),
            (datasets.THUCNews, "dev", 10000, "体验2D巅峰"),
            (datasets.SST2, "train", 67349, "hide new secretions"),
            (datasets.SST2, "test", 1821, "no movement"),
            (datasets.FewCLUE_BUSTM, "dev_4", 32, ""),
            (datasets.FewCLUE_BUSTM, "test_public", 1772, "喊我老公"),
            (datasets.FewCLUE_EPRSTMT, "train", 160, "物流很快"),
            (datasets.FewCLUE_EPRSTMT, "unlabeled", 19565, "质量非常差"),
            (datasets.FewCLUE_TNEWS, "train_0", 240, "为何农民工"),
            (datasets.FewCLUE_TNEWS, "test", 1500, "加长3.4米"),
        ],
    )  # fmt: skip
    def test_rows_and_labels(self, made: Any, mode: str, rows: int, first: str, data_home: Path) -> None:
        data = made(mode=mode, data_dir=data_home, task="seq-cls")
        assert len(data) == rows
        assert data[0].text.startswith(first)
        unlabelled = mode == "unlabeled" or (mode == "test" and made in (datasets.AFQMC, datasets.FewCLUE_TNEWS))
        assert all((row.label is None) == unlabelled for row in data)
        if not unlabelled and rows > 1000:
            assert sorted(labels_of(data)) == sorted(made.label_list)

    def test_the_numbers_of_tnews_stand_in_order(self, data_home: Path) -> None:
        listed = [json.loads(line) for line in (data_home / "tnews" / "labels.json").read_text("utf-8").splitlines()]
        in_order = sorted(listed, key=lambda row: int(row["label"]))
        assert [row["label_desc"] for row in in_order] == datasets.TNEWS.label_list

    def test_the_classes_of_thucnews_stand_in_order(self, data_home: Path) -> None:
        listed = (data_home / "thucnews10" / "class.txt").read_text("utf-8").split()
        assert listed == datasets.THUCNews.label_list

    @pytest.mark.parametrize(("mode", "rows", "answers"), [("dev", 3216, 9457), ("trial", 995, 995), ("test", 2000, 0)])
    def test_cmrc2018(self, mode: str, rows: int, answers: int, data_home: Path) -> None:
        made = datasets.CMRC2018
        found = rows_of(made, made.path(made.folder(data_home), mode))
        assert (len(found), sum(len(row.get("answers", ())) for row in found)) == (rows, answers)


class TestDownload:
    def test_a_zip(self, tmp_path: Path, hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        row = json.dumps({"sentence": "甲", "label": "100", "label_desc": "news_story"}, ensure_ascii=False)
        with zipfile.ZipFile(tmp_path / "tnews.zip", "w") as packed:
            packed.writestr("tnews_public/train.json", row + "\n")
            packed.writestr("tnews_public/", "")
            packed.writestr("__MACOSX/tnews_public/._train.json", "x")
        monkeypatch.setattr(datasets.TNEWS, "url", (tmp_path / "tnews.zip").as_uri())
        assert datasets.TNEWS()[0].label == "news_story"
        assert (hub_home / "datasets" / "tnews" / "train.json").is_file()

    def test_files_inside_an_archive(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with zipfile.ZipFile(tmp_path / "repository.zip", "w") as packed:
            packed.writestr("Repository-0123/README.md", "x")
            packed.writestr("Repository-0123/THUCNews/data/train.txt", "甲\t3\n")
        monkeypatch.setattr(datasets.THUCNews, "url", (tmp_path / "repository.zip").as_uri())
        assert datasets.THUCNews()[0].label == "education"

    def test_zips_that_cannot_be_used(self, tmp_path: Path, hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a.zip"
        monkeypatch.setattr(datasets.TNEWS, "url", path.as_uri())
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("../train.json", "x")
        with pytest.raises(IntegrityError, match=r"'\.\./train\.json' would not stay in the folder"):
            datasets.TNEWS()
        link = zipfile.ZipInfo("train.json")
        link.external_attr = 0o120777 << 16
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr(link, "/etc/passwd")
        with pytest.raises(IntegrityError, match=r"'train\.json' is not a regular file"):
            datasets.TNEWS()
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("train.json", "x" * 1000)
        content = bytearray(path.read_bytes())
        content[40] ^= 255
        path.write_bytes(content)
        with pytest.raises(IntegrityError, match="is not a whole archive"):
            datasets.TNEWS()
        assert not (hub_home / "datasets" / "tnews").exists()


class TestNames:
    @pytest.mark.parametrize(
        "name", ["tnews", "TNEWS", "fewclue/tnews", "FewCLUE-TNEWS", "sst-2", "msra_ner", "chnsenticorp"]
    )
    def test_any_spelling(self, name: str) -> None:
        assert is_named(name)
        assert named_class(name).__name__.lower().replace("_", "") == name.lower().replace("-", "").replace(
            "_", ""
        ).replace("/", "")

    def test_a_folder_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "tnews").mkdir()
        assert not is_named("tnews")
        assert not is_named("s3://bucket/tnews")
        with pytest.raises(NotFoundError, match=r"no folder tnwes; unknown data set 'tnwes'; did you mean 'tnews'"):
            is_named("tnwes")
        with pytest.raises(NotFoundError, match=r"^no folder data/reviews$"):
            is_named("data/reviews")

    def test_labels_of_a_trained_module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(tmp_path / "chnsenticorp" / "dev.tsv", "label\ttext_a", "1\t好", "0\t差")
        monkeypatch.setenv("HUB_DATA_HOME", str(tmp_path))
        rename = {"0": "negative", "1": "positive"}
        data = named_dataset(
            "ChnSentiCorp", task="seq-cls", mode="dev", label_list=["positive", "negative"], rename_labels=rename
        )
        assert (data.label_list, [row.label for row in data]) == (["positive", "negative"], ["positive", "negative"])
        with pytest.raises(
            LabelError,
            match="unknown label '0' in data set chnsenticorp; known: negative, positive; .*0=negative,1=pos",
        ):
            named_dataset("chnsenticorp", task="seq-cls", mode="dev", label_list=["negative", "positive"])

    def test_a_plugins_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Weather(datasets.Dataset):
            def __init__(self, mode: str = "train") -> None:
                rows = self.from_rows([("晴", "good"), ("雨", "bad")], task="seq-cls")
                super().__init__(rows, rows.label_list, task="seq-cls", mode=mode)

        monkeypatch.setattr("hub_core.published.named.named_class", lambda name: Weather)
        data = named_dataset("weather", task="seq-cls", rename_labels={"bad": "poor"})
        assert (data.label_list, [row.label for row in data]) == (["poor", "good"], ["good", "poor"])
        with pytest.raises(SettingsError, match="data set weather is for seq-cls, not for token-cls"):
            named_dataset("weather", task="token-cls")
        monkeypatch.setattr(Weather, "task", "seq-cls")
        assert [split.rows for split in check_named("weather").splits] == [2, 2, 2]

    def test_on_the_command_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hub = Hub(capsys)
        rows = [
            {"sentence": text, "label": "1", "label_desc": label}
            for text, label in (("故事", "news_story"), ("球", "news_sports"))
        ]
        for split in ("train", "dev"):
            write(tmp_path / "tnews" / f"{split}.json", *(rows * 4))
        write(tmp_path / "tnews" / "test.json", {"sentence": "球", "id": 0})
        monkeypatch.setenv("HUB_DATA_HOME", str(tmp_path))
        options = ("--task", "seq-cls", "--epochs", 1, "--no-tensorboard", "--min-count", 1)
        manifest = write_manifest(tmp_path / "student.json")
        best = tmp_path / "ckpt" / "best_model"
        trained = hub(
            "train",
            "--manifest",
            manifest,
            "--data",
            "tnews",
            "--checkpoint-dir",
            tmp_path / "ckpt",
            *options,
            "--json",
        )
        assert trained.json["module"] == str(best)
        found = hub("evaluate", "-m", best, "--data", "TNews", "--split", "dev", "--json").json
        assert (found["data"], found["rows"]) == ("TNews", 8)
        assert "test.json: this split is published without labels" in hub.fails(
            "evaluate", "-m", best, "--data", "tnews"
        )
        assert "--columns is for a folder" in hub.fails("evaluate", "-m", best, "--data", "tnews", "--columns", "a=b")
        assert "did you mean 'tnews'" in hub.fails("evaluate", "-m", best, "--data", "tnwes")
        folder = tmp_path / "tnews"
        columns = ("--split", "dev", "--columns", "sentence=text,label_desc=label")
        assert hub("evaluate", "-m", best, "--data", folder, *columns, "--json").json["rows"] == 8
        assert "there are: sentence, label, label_desc" in hub.fails(
            "evaluate", "-m", best, "--data", folder, "--split", "dev"
        )
        wrong = hub.fails("evaluate", "-m", best, "--data", folder, "--columns", "a=b,c", code=2)
        assert "'a=b,c' is neither text,label nor sentence=text,tag=label" in wrong


def test_rows_that_say_the_same() -> None:
    assert normalised_text(Example("Ｈello　 World", "Ａ b")) == "helloworld\x1fab"
