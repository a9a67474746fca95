"""Text to a corpus: the same ids as the tokenizer's, words that stay whole, and nothing lost on the way."""

from __future__ import annotations

import gzip
import json
import lzma
import pickle
import shutil
import signal
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Hub, python
from hypothesis import given
from hypothesis import strategies as st
from tiny import small_module_folder, write_vocabulary

import hub_core as hub
from hub_core.corpus.building import build_corpus
from hub_core.corpus.converting import convert_corpus
from hub_core.corpus.encoding import Encoded, EncodeOptions, Encoder
from hub_core.corpus.paddlenlp import export_paddlenlp, import_paddlenlp
from hub_core.corpus.reading import Document, ReadOptions, Source, find_sources, passed_over, read_documents
from hub_core.corpus.sentences import split_sentences
from hub_core.corpus.store import Corpus
from hub_core.corpus.units import Lexicon, read_lexicon
from hub_core.data.packing import opened
from hub_core.errors import DataError, ManifestError, NotFoundError, ResumeError, SettingsError
from hub_core.registry import bundled_registry
from hub_core.text.files import tokenizer_from_files
from hub_core.text.tokenizer import Tokenizer

TEXT = """新华社北京5月7日电。国务院副总理今天会见了他！
“我们走吧。”他说：“在上海。”

这是第二个文档，只有一句
"""
WORDS = ("vocab/bert-base-chinese.vocab.txt", "vocab/ernie-1.0.vocab.txt", "vocab/bert-base-uncased.vocab.txt")


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    return tokenizer_from_files("wordpiece", vocab=write_vocabulary(tmp_path))


def written(path: Path, text: str = TEXT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def sentences_of(corpus: Corpus, tokenizer: Tokenizer) -> list[list[str]]:
    starts = corpus.starts.tolist()
    return [tokenizer.convert_ids_to_tokens(corpus.ids[begin:end].tolist()) for begin, end in pairwise(starts)]


def units_of(corpus: Corpus, tokenizer: Tokenizer) -> list[str]:
    tokens = tokenizer.convert_ids_to_tokens(corpus.ids.tolist())
    units: list[str] = []
    for token, joined in zip(tokens, corpus.joined.tolist(), strict=True):
        if joined:
            units[-1] += token
        else:
            units.append(token)
    return units


class TestSentences:
    @pytest.mark.parametrize(
        ("text", "sentences"),
        [
            ("他说：“走吧。”我们走了！", ["他说：“走吧。”", "我们走了！"]),
            ("真的？！好……嗯", ["真的？！", "好……", "嗯"]),
            ("价格3.5元。见 a.b.c 。", ["价格3.5元。", "见 a.b.c 。"]),
            ("It ends. Here it goes on", ["It ends.", "Here it goes on"]),
            ("。。。", ["。。。"]),
            ("  ", []),
        ],
    )
    def test_where_they_end(self, text: str, sentences: list[str]) -> None:
        assert split_sentences(text) == sentences

    @given(st.text(alphabet="中文。！？；…“”）a1. \n", max_size=40))
    def test_nothing_is_lost(self, text: str) -> None:
        assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


class TestEncoding:
    @pytest.mark.parametrize("vocabulary", WORDS)
    @pytest.mark.parametrize("lowercase", [True, False])
    def test_ids_are_the_tokenizers(self, data_home: Path, tmp_path: Path, vocabulary: str, lowercase: bool) -> None:
        tokenizer = tokenizer_from_files("wordpiece", vocab=data_home / vocabulary, lowercase=lowercase)
        source = Source(data_home / "lm" / "ruanyf_weekly.txt.xz")
        documents = [document for _, document in zip(range(30), read_documents(source, ReadOptions()), strict=False)]
        encoded = self.encoded(tokenizer, documents, "none")
        plain = [
            tokenizer.encode_text(one)
            for document in documents
            for line in document.lines
            for one in split_sentences(line)
        ]
        assert encoded.ids.tolist() == [number for ids in plain for number in ids]
        assert encoded.lengths.tolist() == [len(ids) for ids in plain if ids]
        assert len(encoded.ids) > 20_000

    @given(st.lists(st.text(alphabet="新华社北京Café naïve 5.7日（）[MASK]̀\u3000Ａ１\ud83d。", min_size=1), min_size=1))
    def test_whatever_the_text(self, tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
        folder = tmp_path_factory.mktemp("text")
        tokenizer = tokenizer_from_files("wordpiece", vocab=write_vocabulary(folder))
        (folder / "text.jsonl").write_text(json.dumps({"text": "\n".join(lines)}), encoding="utf-8")
        documents = list(read_documents(Source(folder / "text.jsonl"), ReadOptions()))
        encoded = self.encoded(tokenizer, documents, "none")
        lines = [line.replace("[MASK]", "[ MASK]") for document in documents for line in document.lines]
        sentences = [one for line in lines for one in split_sentences(line)]
        assert encoded.ids.tolist() == [number for one in sentences for number in tokenizer.encode_text(one)]

    @pytest.mark.parametrize("segmenter", ["jieba", "rjieba"])
    def test_no_word_is_split(self, data_home: Path, tmp_path: Path, segmenter: str) -> None:
        """Units, put together, are jieba's words: longer only where one token covers several."""
        jieba = pytest.importorskip(segmenter)
        tokenizer = tokenizer_from_files("wordpiece", vocab=data_home / WORDS[0])
        source = Source(data_home / "lm" / "laws.txt.xz")
        documents = [document for _, document in zip(range(5), read_documents(source, ReadOptions()), strict=False)]
        encoded = self.encoded(tokenizer, documents, segmenter)
        sentences = [one for document in documents for line in document.lines for one in split_sentences(line)]
        cut = jieba.lcut if segmenter == "jieba" else jieba.cut
        words = [word for one in sentences for word in cut(one) if word.strip() and tokenizer.encode_text(word)]
        starts = np.flatnonzero(~encoded.joined)
        assert len(words) == len(starts)
        sizes = np.diff(np.append(starts, len(encoded.ids))).tolist()
        assert sizes == [len(tokenizer.encode_text(word)) for word in words]

    def test_words_that_are_given(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        text = written(tmp_path / "cut.txt", "新华社 北京 abc abc 5 月\n")
        built = build_corpus(tokenizer, [text], tmp_path / "c", encode=EncodeOptions("given"))
        assert units_of(built, tokenizer) == ["新华社", "北京", "[UNK]", "[UNK]", "5", "月"]

    @pytest.mark.parametrize(
        ("text", "separator", "sentences"),
        [
            ("café au lait", " ", ["café au lait"]),
            ("привет мир", " ", ["привет мир"]),
            ("한국 사람", " ", ["한국 사람"]),
            ("Ann, Bob 去 了 。 新华 社 3 . 5 元 ！", " ", ["Ann, Bob去了。", "新华社3.5元！"]),
            ("他/说。/我/走", "/", ["他说。", "我走"]),
            ("It ends . Here it goes", " ", ["It ends.", "Here it goes"]),
        ],
    )
    def test_sentences_of_given_words(
        self, tokenizer: Tokenizer, text: str, separator: str, sentences: list[str]
    ) -> None:
        document = Document((text,), "here:1")
        options = EncodeOptions("given", word_separator=separator)
        found = Encoder.of(tokenizer, options)._share([document])
        assert found.sentences == sentences
        assert ["".join(words) for words in found.words] == sentences
        whole = Encoder.of(tokenizer, replace(options, sentences="lines"))._share([document])
        assert len(whole.sentences) == 1

    def test_a_text_about_special_tokens(self, data_home: Path) -> None:
        """It has none of them: a corpus's rows get theirs where they begin and end."""
        tokenizer = tokenizer_from_files("wordpiece", vocab=data_home / WORDS[0])
        document = Document(("用[MASK]和[SEP]，见(https://a.cn)[PAD]。",), "here:1")
        encoded = self.encoded(tokenizer, [document], "jieba")
        assert not set(encoded.ids.tolist()) & tokenizer.special_ids
        assert tokenizer.convert_ids_to_tokens(encoded.ids.tolist())[:6] == ["用", "[", "ma", "##sk", "]", "和"]

    def test_lines_are_sentences(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        text = written(tmp_path / "text.txt")
        built = build_corpus(tokenizer, [text], tmp_path / "c", encode=EncodeOptions(sentences="lines"))
        assert built.documents.tolist() == [0, 2, 3]

    def test_a_segmenter_that_loses_text(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        encoder = Encoder.of(tokenizer, EncodeOptions("jieba"))
        vars(encoder)["_segmenter"] = type("Lossy", (), {"cut": lambda self, text: text.split("北")})()
        vars(encoder)["_tokenizer"] = tokenizer
        with pytest.raises(DataError, match="here:1: the segmenter's words are not the text: '新华社北京'"):
            encoder([Document(("新华社北京",), "here:1")])

    @staticmethod
    def encoded(tokenizer: Tokenizer, documents: Sequence[Document], whole_word: str) -> Encoded:
        return Encoder.of(tokenizer, EncodeOptions(whole_word))(documents)


class TestReading:
    def test_every_form_has_the_same_documents(self, tmp_path: Path) -> None:
        plain = written(tmp_path / "a" / "text.txt")
        texts = ["\n".join(one.lines) for one in read_documents(Source(plain), ReadOptions())]
        assert len(texts) == 2
        lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts).encode()
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "text.jsonl").write_bytes(lines)
        (tmp_path / "b" / "text.jsonl.gz").write_bytes(gzip.compress(lines))
        (tmp_path / "b" / "text.txt.xz").write_bytes(lzma.compress(TEXT.encode()))
        zstandard = pytest.importorskip("zstandard")
        (tmp_path / "b" / "text.jsonl.zst").write_bytes(zstandard.compress(lines))
        parquet, table = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow").table
        parquet.write_table(table({"text": texts}), tmp_path / "b" / "text.parquet")
        with zipfile.ZipFile(tmp_path / "b" / "all.zip", "w") as archive:
            archive.writestr("deep/text.txt", TEXT)
            archive.writestr("deep/picture.png", b"")
        sources = find_sources([tmp_path / "b"])
        assert len(sources) == 6
        for source in sources:
            assert ["\n".join(one.lines) for one in read_documents(source, ReadOptions())] == texts, source.name

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.txt", "好\n".encode("gb18030"), r"a\.txt:1: not UTF-8 \(byte 0xba"),
            ("a.txt", "字".encode() * 50, r"a\.txt:1: a line of more than 80 bytes"),
            (
                "a.txt",
                "一二三四五六七\n".encode() * 5,
                r"a\.txt:1: a document of more than 20 characters; is the separator",
            ),
            ("a.jsonl", b'{"text": "a"}\n{"tex": 1}\n', r"a\.jsonl:2: no text under 'text'; it has tex"),
            ("a.jsonl", b"{", r"a\.jsonl:1: not JSON .*one object per line is wanted"),
            ("a.json", b'["a"]', r"a\.json:1: no text under 'text'; one object per line is wanted"),
            ("a.txt", "字\n".encode("utf-16"), r"a\.txt:1: the file is UTF-16; save it as UTF-8"),
            ("a.txt.xz", b"nothing packed", r"a\.txt\.xz:1: cannot be read"),
            ("a.txt.zst", b"nothing packed", r"a\.txt\.zst:1: cannot be read"),
            ("a.txt.gz", gzip.compress(b"a\n\n" * 9, mtime=0)[:-9], r"a\.txt\.gz:\d: cannot be read"),
            ("a.parquet", b"no table", r"a\.parquet"),
            ("a.zip", b"no archive", r"a\.zip: File is not a zip file"),
        ],
    )
    def test_what_cannot_be_read(
        self, tokenizer: Tokenizer, tmp_path: Path, name: str, content: bytes, message: str
    ) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            build_corpus(tokenizer, [tmp_path / name], tmp_path / "c", read=ReadOptions(max_document_chars=20))
        assert not (tmp_path / "c.json").exists()

    def test_zstandard(self, tmp_path: Path) -> None:
        """Several frames are one text, an empty one among them; one that is cut off anywhere is no text."""
        zstandard = pytest.importorskip("zstandard")
        text = "".join(f"{number} 新华社北京5月7日电。\n\n" for number in range(20_000)).encode()
        frames = [zstandard.compress(part) for part in (text[:300], b"", text[300:])]
        path = tmp_path / "a.txt.zst"
        path.write_bytes(b"".join(frames))
        with opened(path) as stream:
            assert stream.read() == text
        # A few packed bytes may be many that are not: they are handed on without being copied again and again.
        path.write_bytes(zstandard.compress(text * 40))
        with opened(path) as stream:
            start = time.perf_counter()
            assert sum(map(len, stream)) == 40 * len(text)
        assert time.perf_counter() - start < 10
        for size in (10, len(frames[0]) - 1, len(frames[0]) + len(frames[1]) + 9, sum(map(len, frames)) - 1):
            path.write_bytes(b"".join(frames)[:size])
            with pytest.raises(DataError, match="cannot be read .*ended before the end of its last frame"):
                list(read_documents(Source(path), ReadOptions()))

    def test_a_zip_with_a_password(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("a.txt", TEXT)
        content = bytearray((tmp_path / "a.zip").read_bytes())
        content[6] |= 1  # of the member's own header, and of the archive's list: it is encrypted
        content[content.index(b"PK\1\2") + 8] |= 1
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(DataError, match=r"a\.zip!a\.txt:1: cannot be read \(.*encrypted"):
            build_corpus(tokenizer, [tmp_path / "a.zip"], tmp_path / "c")

    def test_json_however_it_is_written(self, tmp_path: Path) -> None:
        """A limit on characters is one on those of the text: not on how they are escaped, nor on other keys."""
        record = {"text": "字😀" * 10, "other": "x" * 10_000}
        text = written(tmp_path / "a.jsonl", json.dumps(record, ensure_ascii=True) + "\n")
        (document,) = read_documents(Source(text), ReadOptions(max_document_chars=20))
        assert document.lines == ("字😀" * 10,)
        with pytest.raises(DataError, match=r"a\.jsonl:1: a document of more than 19 characters"):
            list(read_documents(Source(text), ReadOptions(max_document_chars=19)))

    def test_what_is_passed_over(self, tmp_path: Path) -> None:
        written(tmp_path / "a" / "wiki_00")
        written(tmp_path / "a" / "text.txt")
        written(tmp_path / "a" / ".git" / "notes.txt")
        with zipfile.ZipFile(tmp_path / "a" / "all.ZIP", "w") as archive:
            for name in ("text.txt", "__MACOSX/._text.txt", "picture.png"):
                archive.writestr(name, TEXT)
        assert [source.name.rpartition("/a/")[2] for source in find_sources([tmp_path / "a"])] == [
            "all.ZIP!text.txt",
            "text.txt",
        ]
        found = [name.rpartition("/a/")[2] for name in passed_over([tmp_path / "a"])]
        assert found == ["all.ZIP!picture.png", "wiki_00"]

    def test_separators_and_keys(self, tmp_path: Path) -> None:
        text = written(tmp_path / "a.txt", "一\n\n二\n===\n三\n")
        documents = list(read_documents(Source(text), ReadOptions(separator="===")))
        assert [one.lines for one in documents] == [("一", "二"), ("三",)]
        lines = written(tmp_path / "a.jsonl", json.dumps({"text": "一", "body": "二"}))
        (document,) = read_documents(Source(lines), ReadOptions(key="body"))
        assert document.lines == ("二",)

    def test_nothing_to_read(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(NotFoundError, match="no file or folder"):
            build_corpus(tokenizer, [tmp_path / "none.txt"], tmp_path / "c")
        with pytest.raises(DataError, match="empty holds no text"):
            build_corpus(tokenizer, [tmp_path / "empty"], tmp_path / "c")
        with pytest.raises(DataError, match=r"blank\.txt: no text in it; nothing was built"):
            build_corpus(tokenizer, [written(tmp_path / "blank.txt", "\n \n")], tmp_path / "c")
        with pytest.raises(SettingsError, match="a file of an unknown kind"):
            build_corpus(tokenizer, [written(tmp_path / "a.doc")], tmp_path / "c")
        assert [path.name for path in tmp_path.glob("c*")] == []


class Sleeper:
    """An encoder that takes two minutes."""

    def __call__(self, share: list[Document]) -> Encoded:
        time.sleep(120)
        raise AssertionError("it was waited for")


class TestBuilding:
    def test_what_is_built(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        built = build_corpus(tokenizer, [written(tmp_path / "text.txt")], tmp_path / "out" / "c")
        assert "".join(sentences_of(built, tokenizer)[0]) == "新华社北京5月7日电。"
        assert built.documents.tolist() == [0, 4, 5]
        assert built.about["counts"] == {
            "tokens": len(built.ids),
            "sentences": 5,
            "documents": 2,
            "characters": sum(map(len, TEXT.split())),
            "unknown": int((built.ids == tokenizer.unk_id).sum()),
        }
        assert built.ids.dtype == np.uint16
        assert {"新华社", "北京", "国务院", "今天"} <= set(units_of(built, tokenizer))
        assert (
            build_corpus(tokenizer, [tmp_path / "text.txt"], tmp_path / "out" / "c").fingerprint()
            == built.fingerprint()
        )

    @pytest.mark.parametrize("workers", [2, 3])
    def test_workers_change_nothing(
        self, tokenizer: Tokenizer, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("hub_core.corpus.building.SHARE", 40)
        text = written(tmp_path / "text.txt", TEXT * 20)
        build_corpus(tokenizer, [text], tmp_path / "one")
        build_corpus(tokenizer, [text], tmp_path / "many", workers=workers)
        for ending in ("_ids.npy", "_words.npy", "_idx.npz"):
            assert (tmp_path / f"one{ending}").read_bytes() == (tmp_path / f"many{ending}").read_bytes()

    def test_an_interrupted_build_goes_on(
        self, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("hub_core.corpus.building.SHARE", 40)
        monkeypatch.setattr("hub_core.corpus.building._JOURNAL_SHARES", 3)
        text = written(tmp_path / "text.txt", TEXT * 20)
        whole = build_corpus(tokenizer, [text], tmp_path / "whole")
        seen: list[int] = []

        def broken(encoder: Encoder, shares: Iterator[list[Document]]) -> Iterator[Encoded]:
            for number, share in enumerate(shares):
                if number == 5:
                    raise KeyboardInterrupt
                seen.append(number)
                yield encoder(share)

        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                build_corpus(tokenizer, [text], tmp_path / "part", mapper=broken)
        # What an interruption has left is noted: the second and the third began where the one before them ended.
        assert json.loads((tmp_path / "part.building" / "journal.json").read_bytes())["state"]["shares"] == 15
        with pytest.raises(NotFoundError, match="its build did not end: the same `hub corpus build` goes on"):
            Corpus.open(tmp_path / "part")
        with pytest.raises(ResumeError, match=r"options.whole_word: 'jieba' there, 'none' now"):
            build_corpus(tokenizer, [text], tmp_path / "part", encode=EncodeOptions("none"))
        resumed = build_corpus(tokenizer, [text], tmp_path / "part")
        assert resumed.ids.tolist() == whole.ids.tolist()
        assert resumed.joined.tolist() == whole.joined.tolist()
        assert resumed.about["counts"] == whole.about["counts"]
        assert not (tmp_path / "part.building").exists()

    def test_nobody_waits_for_what_is_encoded_again(
        self, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ctrl-C ends the processes that encode, whatever they are at."""

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Encoder, "of", lambda *_: Sleeper())
        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 5)
        start = time.perf_counter()
        try:
            with pytest.raises(KeyboardInterrupt):
                build_corpus(tokenizer, [written(tmp_path / "text.txt")], tmp_path / "c", workers=2)
        finally:
            signal.signal(signal.SIGALRM, before)
        assert 4 < time.perf_counter() - start < 60

    @pytest.mark.parametrize(("share", "changed"), [(40, {}), (1 << 18, {}), (40, {"format": 2})])
    def test_a_build_that_is_killed_goes_on(
        self,
        tokenizer: Tokenizer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        share: int,
        changed: dict[str, Any],
    ) -> None:
        """SIGKILL, several times, after some shares each: the files of a build that nothing disturbed.

        A version of the hub with shares of another size, or of another form, begins anew.
        """
        text = written(tmp_path / "text.txt", TEXT * 20)
        for _ in range(3):
            process = python("-c", KILLED, str(tmp_path))
            process.communicate(timeout=120)
            assert process.returncode == -signal.SIGKILL
        journal = tmp_path / "part.building" / "journal.json"
        record = json.loads(journal.read_bytes())
        assert record["state"]["shares"] == 18
        written(journal, json.dumps({**record, "plan": {**record["plan"], **changed}}))
        if changed:  # what it has so far would be another corpus's
            with (journal.parent / "ids").open("r+b") as file:
                file.write(bytes(10))
        build_corpus(tokenizer, [text], tmp_path / "whole")
        monkeypatch.setattr("hub_core.corpus.building.SHARE", share)
        build_corpus(tokenizer, [text], tmp_path / "part")
        for ending in ("_ids.npy", "_words.npy", "_idx.npz"):
            assert (tmp_path / f"whole{ending}").read_bytes() == (tmp_path / f"part{ending}").read_bytes()

    def test_memory_stays_flat(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        """Of eight times the text the most that is held is the same: a share, and what is known of sentences."""
        peaks = []
        for copies in (1, 8):
            text = written(tmp_path / "text.txt", ("新华社北京电国务院总理" * 20 + "。\n\n") * 2000 * copies)
            tracemalloc.start()
            built = build_corpus(tokenizer, [text], tmp_path / f"{copies}", encode=EncodeOptions("none"))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert built.ids.nbytes + built.joined.nbytes > 10_000_000
        assert peaks[1] - peaks[0] < 1_500_000

    @pytest.mark.parametrize("workers", [1, 2])
    def test_a_tokenizer_that_a_module_brings(self, tmp_path: Path, workers: int) -> None:
        (spec,) = bundled_registry().versions("ernie_tiny")
        hub.install(small_module_folder(spec, tmp_path / "ernie_tiny"))
        tokenizer = hub.Module("ernie_tiny").get_tokenizer()
        text = written(tmp_path / "text.txt", "新华社北京电\n我们在上海\n")
        built = build_corpus(tokenizer, [text], tmp_path / "c", workers=workers, encode=EncodeOptions("none"))
        expected = [tokenizer.encode_text(line) for line in ("新华社北京电", "我们在上海")]
        assert built.ids.tolist() == [number for ids in expected for number in ids]

    def test_a_build_that_has_just_begun(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        """Killed before its first share is done, too, it is not taken for the beginning of another one."""
        text = written(tmp_path / "text.txt")

        def killed(encoder: Encoder, shares: Iterator[list[Document]]) -> Iterator[Encoded]:
            # A process that is killed writes no more: what is there now is all there is.
            shutil.copytree(tmp_path / "c.building", tmp_path / "left")
            return map(encoder, shares)

        build_corpus(tokenizer, [text], tmp_path / "c", mapper=killed)
        for ending in (".json", "_ids.npy", "_words.npy", "_idx.npz"):
            (tmp_path / f"c{ending}").unlink()
        (tmp_path / "left").rename(tmp_path / "c.building")
        other = build_corpus(tokenizer, [text], tmp_path / "c", encode=EncodeOptions("none"))
        assert not other.joined.any()

    def test_a_command_that_was_mended(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        """What failed before anything was done does not stand in the way of what was meant."""
        text = written(tmp_path / "text.txt")
        with pytest.raises(NotFoundError, match="did you mean 'jieba'"):
            build_corpus(tokenizer, [text], tmp_path / "c", encode=EncodeOptions("jeiba"))
        text.write_bytes("好\n".encode("gb18030"))
        with pytest.raises(DataError, match="not UTF-8"):
            build_corpus(tokenizer, [text], tmp_path / "c")
        assert len(build_corpus(tokenizer, [written(text)], tmp_path / "c").ids)

    def test_one_build_at_a_time(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        text = written(tmp_path / "text.txt")

        def another(encoder: Encoder, shares: Iterator[list[Document]]) -> Iterator[Encoded]:
            with pytest.raises(ResumeError, match="another process is building"):
                build_corpus(tokenizer, [text], tmp_path / "c")
            return map(encoder, shares)

        built = build_corpus(tokenizer, [text], tmp_path / "c", mapper=another)
        assert built.documents.tolist() == [0, 4, 5]
        assert sorted(path.name for path in tmp_path.glob("c*")) == ["c.json", "c_ids.npy", "c_idx.npz", "c_words.npy"]

    def test_a_file_of_the_users(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        """What stands where the record would is never taken for one, nor is it said to be removed."""
        one = written(tmp_path / "one.json", json.dumps({"text": TEXT}))
        with pytest.raises(SettingsError, match=r"one\.json is among what is read; name an --output outside"):
            build_corpus(tokenizer, [one], tmp_path / "one")
        text = written(tmp_path / "text.txt")
        for content in ("[]", '{"a": 1}\n{"b": 2}\n'):
            written(one, content)
            with pytest.raises(DataError, match=r"one\.json"):
                build_corpus(tokenizer, [text], tmp_path / "one")
            assert one.read_text(encoding="utf-8") == content
        for folder in (".", tmp_path):
            made: list[Callable[[], object]] = [
                partial(build_corpus, tokenizer, [text], folder),
                partial(import_paddlenlp, "c", folder, tokenizer),
                partial(Corpus.open, folder),
            ]
            for one in made:
                with pytest.raises(SettingsError, match="is a folder, no prefix of file names such as corpus/all"):
                    one()

    def test_within_what_is_read(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        """The same command would read what it has written, and never go on."""
        written(tmp_path / "texts" / "text.txt")
        with pytest.raises(SettingsError, match=r"corpus\.json lies in .*texts, which is read; name an --out"):
            build_corpus(tokenizer, tmp_path / "texts", tmp_path / "texts" / "more" / "corpus")
        assert not (tmp_path / "texts" / "more").exists()
        beside = build_corpus(tokenizer, tmp_path / "texts", tmp_path / "corpus")
        (tmp_path / "corpus").mkdir()
        assert build_corpus(tokenizer, tmp_path / "texts", tmp_path / "corpus").about == beside.about

    def test_a_damaged_journal(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        written(tmp_path / "c.building" / "journal.json", "{")
        with pytest.raises(ResumeError, match=r"journal\.json cannot be read.*remove .*c\.building to build anew"):
            build_corpus(tokenizer, [written(tmp_path / "text.txt")], tmp_path / "c")

    def test_a_part_that_is_gone(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        """What is missing of an interrupted build is not made up for with padding."""
        text = written(tmp_path / "text.txt")

        def interrupted(encoder: Encoder, shares: Iterator[list[Document]]) -> Iterator[Encoded]:
            yield encoder(next(shares))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            build_corpus(tokenizer, [text], tmp_path / "c", mapper=interrupted)
        (tmp_path / "c.building" / "ids").unlink()
        with pytest.raises(ResumeError, match=r"c\.building.ids is shorter .*; remove .*c\.building to build anew"):
            build_corpus(tokenizer, [text], tmp_path / "c")

    def test_errors_of_other_processes(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        """They say the same there and here."""
        with pytest.raises(SettingsError, match=r"rjieba needs its package|finds no entities"):
            build_corpus(
                *(tokenizer, [written(tmp_path / "text.txt")], tmp_path / "c"),
                encode=EncodeOptions(entities="bilstm-sentiment-zh"),
                workers=2,
            )
        for error in (DataError(["a:1: no", "a:2: no"], more=3), ManifestError("module.json", ["no name"])):
            again = pickle.loads(pickle.dumps(error))
            assert (str(again), again.problems) == (str(error), error.problems)

    def test_a_file_counts_once(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        text = written(tmp_path / "text" / "a.txt")
        once = build_corpus(tokenizer, [text], tmp_path / "once")
        twice = build_corpus(
            tokenizer, [text, tmp_path / "text", tmp_path / "text" / ".." / "text"], tmp_path / "twice"
        )
        assert twice.ids.tolist() == once.ids.tolist()
        target = tmp_path / "text" / "all.jsonl"
        with pytest.raises(SettingsError, match="all.jsonl lies in .*text, which is read; name an --output outside"):
            convert_corpus([tmp_path / "text"], target)
        convert_corpus([text], target)
        with pytest.raises(SettingsError, match="all.jsonl is among what is read"):
            convert_corpus([target], target)

    def test_another_text_is_another_corpus(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        text = written(tmp_path / "text.txt")
        build_corpus(tokenizer, [text], tmp_path / "c")
        written(text, TEXT + "更多\n")
        with pytest.raises(ResumeError, match=r"sources: .*text\.txt \(sha256 \w+\.\.\.\) there, not now"):
            build_corpus(tokenizer, [text], tmp_path / "c")

    def test_another_tokenizer_is_refused(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        build_corpus(tokenizer, [written(tmp_path / "text.txt")], tmp_path / "c")
        other = tokenizer_from_files("wordpiece", vocab=tmp_path / "vocab.txt", lowercase=False)
        with pytest.raises(SettingsError, match=r"lowercase=True \(the module's: False\)"):
            Corpus.open(tmp_path / "c", other)
        written(tmp_path / "more.txt", (tmp_path / "vocab.txt").read_text(encoding="utf-8") + "更\n")
        with pytest.raises(SettingsError, match="was built with another vocabulary"):
            Corpus.open(tmp_path / "c", tokenizer_from_files("wordpiece", vocab=tmp_path / "more.txt"))
        longer = tokenizer_from_files("wordpiece", vocab=tmp_path / "vocab.txt", max_length=512)
        assert len(Corpus.open(tmp_path / "c", longer).ids)

    def test_damaged_files(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        text = written(tmp_path / "text.txt")
        built = build_corpus(tokenizer, [text], tmp_path / "c")
        built.verify()
        whole = np.array(built.ids)
        np.save(tmp_path / "c_ids.npy", np.zeros(3, dtype=np.uint16))
        with pytest.raises(DataError, match="3 tokens, but"):
            Corpus.open(tmp_path / "c")
        np.save(tmp_path / "c_ids.npy", np.zeros_like(whole))
        for look in (
            lambda: Corpus.open(tmp_path / "c").verify(),
            partial(build_corpus, tokenizer, [text], tmp_path / "c"),
        ):
            with pytest.raises(DataError, match=r"c_ids\.npy has changed since it was written; remove .*c\.json, and"):
                look()
        (tmp_path / "c_ids.npy").write_bytes(b"damaged")
        with pytest.raises(DataError, match=r"remove .*c\.json, and build the corpus again"):
            Corpus.open(tmp_path / "c")
        (tmp_path / "c.json").unlink()
        assert build_corpus(tokenizer, [text], tmp_path / "c").ids.tolist() == whole.tolist()

    def test_on_ray(self, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same files from a local Ray."""
        pytest.importorskip("ray")
        monkeypatch.setattr("hub_core.corpus.building.SHARE", 40)
        text = written(tmp_path / "text.txt", TEXT * 20)
        build_corpus(tokenizer, [text], tmp_path / "here")
        out, err = python("-c", RAY, str(tmp_path)).communicate(timeout=120)
        said = json.loads(out.splitlines()[-1] if out else err)
        for ending in ("_ids.npy", "_words.npy", "_idx.npz"):
            assert (tmp_path / f"here{ending}").read_bytes() == (tmp_path / f"ray{ending}").read_bytes()
        assert said["documents"] == 21


#: In a process of its own: Ray leaves threads behind.
RAY = """
import json, sys
from pathlib import Path
from hub_core.cluster import encode_on_ray
from hub_core.corpus import building
from hub_core.text.files import tokenizer_from_files
building.SHARE = 40
folder = Path(sys.argv[1])
tokenizer = tokenizer_from_files("wordpiece", vocab=folder / "vocab.txt")
built = building.build_corpus(tokenizer, [folder / "text.txt"], folder / "ray", mapper=encode_on_ray(workers=2))
print(json.dumps(built.about["counts"]))
"""


#: A build that kills itself after seven shares, of which the last are not noted yet.
KILLED = """
import os, signal, sys
from pathlib import Path
from hub_core.corpus import building
from hub_core.text.files import tokenizer_from_files
building.SHARE, building._JOURNAL_SHARES = 40, 3
folder = Path(sys.argv[1])
done = 0
def progress(characters):
    global done
    done += 1
    if done == 7:
        os.kill(os.getpid(), signal.SIGKILL)
tokenizer = tokenizer_from_files("wordpiece", vocab=folder / "vocab.txt")
building.build_corpus(tokenizer, [folder / "text.txt"], folder / "part", progress=progress)
"""


class TestWhatItIs:
    def test_wherever_its_text_lies(
        self, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same text by another path is the same corpus; in another order it is another."""
        first, second = written(tmp_path / "a" / "text.txt"), written(tmp_path / "a" / "more.txt", "我们在上海。\n")
        built = build_corpus(tokenizer, [first, second], tmp_path / "c")
        (tmp_path / "a").rename(tmp_path / "b")
        monkeypatch.chdir(tmp_path / "b")
        again = build_corpus(tokenizer, ["text.txt", "more.txt"], tmp_path / "c")
        assert again.fingerprint() == built.fingerprint()
        anew = build_corpus(tokenizer, ["text.txt", "more.txt"], tmp_path / "d")
        assert anew.fingerprint() == built.fingerprint()
        (tmp_path / "b" / "same.txt").write_bytes((tmp_path / "b" / "more.txt").read_bytes())
        with pytest.raises(ResumeError, match=r"sources: same\.txt \(sha256 \w+\.\.\.\) now, not there"):
            build_corpus(tokenizer, ["text.txt", "more.txt", "same.txt"], tmp_path / "c")
        (tmp_path / "b" / "more.txt").rename(tmp_path / "b" / "more.2026.txt")
        assert build_corpus(tokenizer, ["text.txt", "more.2026.txt"], tmp_path / "c").about == built.about
        (tmp_path / "b" / "more.2026.txt").rename(tmp_path / "b" / "more.txt")
        with pytest.raises(ResumeError, match=r"sources: the same, in another order"):
            build_corpus(tokenizer, ["more.txt", "text.txt"], tmp_path / "c")

    def test_it_travels_as_its_name(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        built = build_corpus(tokenizer, [written(tmp_path / "text.txt", TEXT * 50)], tmp_path / "c")
        packed = pickle.dumps(built)
        assert len(packed) < 500 < built.ids.nbytes
        assert np.array_equal(pickle.loads(packed).ids, built.ids)


class TestUnits:
    @given(
        st.text(alphabet="新华社北京日报", max_size=30),
        st.sets(st.text(alphabet="新华社北京日", min_size=1, max_size=4)),
        st.integers(min_value=0),
    )
    def test_phrases(self, text: str, phrases: set[str], seed: int) -> None:
        """From left to right the longest of words: what a search over all pairs of places finds."""
        ends = np.random.default_rng(seed).random(len(text) + 1) < 0.7
        expected, place = [], 0
        while place < len(text):
            sizes = [n for n in range(2, len(text) - place + 1) if text[place : place + n] in phrases]
            size = max((n for n in sizes if ends[place] and ends[place + n]), default=0)
            if size:
                expected.append((place, place + size))
            place += size or 1
        assert Lexicon(phrases).spans(text, ends) == expected

    def test_phrases_are_made_of_words(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        """One that ends within a word leaves the words as they are, and one may have spaces in it."""
        (tmp_path / "words.txt").write_text(
            "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"发展中国家新加坡和平安我在", "hong", "kong"]),
            encoding="utf-8",
        )
        tokenizer = tokenizer_from_files("wordpiece", vocab=tmp_path / "words.txt")
        text = written(tmp_path / "text.txt", "发展中国家和新加坡和平安，我在hong kong\n")
        encode = EncodeOptions(lexicon=("中国", "和平", "发展中国家和新加坡", "hong kong"))
        units = units_of(build_corpus(tokenizer, [text], tmp_path / "c", encode=encode), tokenizer)
        assert units == ["发展中国家和新加坡", "和", "平安", "[UNK]", "我", "在", "hongkong"]
        plain = units_of(build_corpus(tokenizer, [text], tmp_path / "plain"), tokenizer)
        assert plain == ["发展中国家", "和", "新加坡", "和", "平安", "[UNK]", "我", "在", "hong", "kong"]

    @pytest.mark.parametrize("whole_word", ["jieba", "none"])
    def test_a_phrase_is_one_unit(self, tokenizer: Tokenizer, tmp_path: Path, whole_word: str) -> None:
        encode = EncodeOptions(whole_word, lexicon=("新华社北京5月7日电", "今天会见"))
        built = build_corpus(tokenizer, [written(tmp_path / "text.txt")], tmp_path / "c", encode=encode)
        units = units_of(built, tokenizer)
        assert units[0] == "新华社北京5月7日电"
        assert "今天会见" in units
        assert ("我们" in units) == (whole_word == "jieba")
        with pytest.raises(ResumeError, match=r"options\.lexicon"):
            build_corpus(tokenizer, [tmp_path / "text.txt"], tmp_path / "c", encode=EncodeOptions(whole_word))

    def test_entities_of_a_module(self, tmp_path: Path) -> None:
        module = hub.Module("bilstm-ner-zh")
        text = "前商务部长芭芭拉·弗兰克林到了北京。"
        names = [entity["text"] for entity in module.predict([text])[0]["entities"]]
        write_vocabulary(tmp_path)
        words = tmp_path / "words.txt"
        words.write_text((tmp_path / "vocab.txt").read_text(encoding="utf-8") + "·\n", encoding="utf-8")
        tokenizer = tokenizer_from_files("wordpiece", vocab=words)
        built = build_corpus(
            tokenizer,
            [written(tmp_path / "t.txt", text)],
            tmp_path / "c",
            encode=EncodeOptions(entities="bilstm-ner-zh"),
        )
        assert "芭芭拉·弗兰克林" in names
        assert set(names) <= set(units_of(built, tokenizer))

    def test_mistakes(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="unknown way to end sentences 'line'; did you mean 'lines'"):
            EncodeOptions(sentences="line")
        with pytest.raises(SettingsError, match="word_separator='' parts no words"):
            EncodeOptions("given", word_separator="")
        with pytest.raises(SettingsError, match="lexicon is a tuple of phrases"):
            EncodeOptions(lexicon="中华人民")  # type: ignore[arg-type]
        (tmp_path / "gbk.txt").write_bytes("中国".encode("gbk"))
        with pytest.raises(DataError, match=r"gbk\.txt: not UTF-8 .*save the file as UTF-8"):
            read_lexicon(tmp_path / "gbk.txt")
        with pytest.raises(DataError, match="no phrase of two characters"):
            read_lexicon(written(tmp_path / "lexicon.txt", "一\n\n"))
        with pytest.raises(SettingsError, match="finds no entities"):
            build_corpus(
                *(tokenizer, [written(tmp_path / "t.txt")], tmp_path / "c"),
                encode=EncodeOptions(entities="bilstm-sentiment-zh"),
            )


class TestPaddleNLP:
    def test_there_and_back(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        built = build_corpus(tokenizer, [written(tmp_path / "text.txt")], tmp_path / "c")
        export_paddlenlp(built, tmp_path / "paddle", tokenizer)
        assert built.about["files"].keys() == {"_ids.npy", "_words.npy", "_idx.npz"}
        ids = np.load(tmp_path / "paddle_ids.npy")
        # 社 of 新华社: its second id stands behind the vocabulary, in the vocabulary's order.
        characters = [token for token in tokenizer.get_vocab() if len(token) == 1 and "一" <= token <= "龥"]
        assert ids[2] == tokenizer.vocab_size + sorted(characters, key=tokenizer.convert_tokens_to_ids).index("社")
        again = import_paddlenlp(tmp_path / "paddle", tmp_path / "again", tokenizer)
        assert again.ids.tolist() == built.ids.tolist()
        chinese = [len(one) == 1 and "一" <= one <= "龥" for one in tokenizer.convert_ids_to_tokens(built.ids.tolist())]
        assert again.joined.tolist() == (built.joined & np.array(chinese)).tolist()
        assert again.documents.tolist() == built.documents.tolist()

    def test_a_corpus_that_is_there(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        """The files of both have the same names; neither is written over the other."""
        built = build_corpus(tokenizer, [written(tmp_path / "text.txt")], tmp_path / "c")
        export_paddlenlp(built, tmp_path / "paddle", tokenizer)
        with pytest.raises(SettingsError, match=r"there is a corpus .*c; name another --output, or remove it"):
            export_paddlenlp(built, tmp_path / "c", tokenizer)
        with pytest.raises(SettingsError, match=r"there is a corpus .*c; name another --output, or remove it"):
            import_paddlenlp(tmp_path / "paddle", tmp_path / "c", tokenizer)
        with pytest.raises(SettingsError, match="paddle is what is read; name another --output"):
            import_paddlenlp(tmp_path / "paddle", tmp_path / "x" / ".." / "paddle", tokenizer)
        built.verify()

    def test_more_marked_ids_than_sixteen_bits_hold(self, tmp_path: Path) -> None:
        """A vocabulary below 65,535 with its marked characters above it: the ids come back as they were."""
        characters = [chr(code) for code in range(0x4E00, 0x9FA6)]
        others = [f"x{number}" for number in range(60_000 - len(characters) - 5)]
        specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        vocabulary = written(tmp_path / "many.txt", "".join(f"{one}\n" for one in (*specials, *others, *characters)))
        tokenizer = tokenizer_from_files("wordpiece", vocab=vocabulary)
        built = build_corpus(
            tokenizer,
            [written(tmp_path / "text.txt", "龥龤\n")],
            tmp_path / "c",
            encode=EncodeOptions(lexicon=("龥龤",)),
        )
        assert built.joined.tolist() == [False, True]
        export_paddlenlp(built, tmp_path / "paddle", tokenizer)
        assert np.load(tmp_path / "paddle_ids.npy")[1] > 65_535
        again = import_paddlenlp(tmp_path / "paddle", tmp_path / "again", tokenizer)
        assert (again.ids.tolist(), again.joined.tolist()) == (built.ids.tolist(), built.joined.tolist())

    def test_what_is_no_such_corpus(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="a corpus of PaddleNLP has _ids.npy and _idx.npz"):
            import_paddlenlp(tmp_path / "none", tmp_path / "c", tokenizer)
        np.save(tmp_path / "p_ids.npy", np.array([1, 9999], dtype=np.uint16))
        np.savez(tmp_path / "p_idx.npz", lens=np.array([2], dtype=np.int32), docs=np.array([0, 1]))
        with pytest.raises(SettingsError, match="id 9999 is none of this tokenizer's"):
            import_paddlenlp(tmp_path / "p", tmp_path / "c", tokenizer)
        for lengths, documents in (([3], [0, 1]), ([2], []), ([2], [1]), ([1, 1], [0, 3, 2])):
            np.savez(tmp_path / "p_idx.npz", lens=np.array(lengths, dtype=np.int32), docs=np.array(documents))
            with pytest.raises(DataError, match="its two files are not of one corpus"):
                import_paddlenlp(tmp_path / "p", tmp_path / "c", tokenizer)

    def test_sentences_without_a_token(self, tokenizer: Tokenizer, tmp_path: Path) -> None:
        np.save(tmp_path / "p_ids.npy", np.array([7, 8], dtype=np.uint16))
        np.savez(tmp_path / "p_idx.npz", lens=np.array([0, 1, 0, 1], dtype=np.int32), docs=np.array([0, 2, 3, 4]))
        read = import_paddlenlp(tmp_path / "p", tmp_path / "c", tokenizer)
        assert (read.ids.tolist(), read.lengths.tolist(), read.documents.tolist()) == ([7, 8], [1, 1], [0, 1, 1, 2])
        assert not read.has_units
        np.save(tmp_path / "p_ids.npy", np.zeros(0, dtype=np.uint16))
        np.savez(tmp_path / "p_idx.npz", lens=np.zeros(0, dtype=np.int32), docs=np.array([0]))
        with pytest.raises(DataError, match="a corpus without a token"):
            import_paddlenlp(tmp_path / "p", tmp_path / "d", tokenizer)


def test_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shell, text = Hub(capsys), written(tmp_path / "text.txt", TEXT * 3)
    made = shell("corpus", "convert", "--input", text, "--output", tmp_path / "text.jsonl.gz", "--json").json
    assert made["documents"] == 4
    found = shell(
        *("corpus", "vocabulary", "--input", text, "--output", tmp_path / "v.txt", "--size", 60, "--json")
    ).json
    assert found["tokens"] == len((tmp_path / "v.txt").read_text(encoding="utf-8").split()) <= 60
    within = shell("corpus", "vocabulary", "--input", text, "--output", text)
    assert (within.code, text.read_text(encoding="utf-8")) == (1, TEXT * 3)
    assert "is among what is read; name an --output outside of the inputs" in within.err
    built = shell(
        *("corpus", "build", "--tokenizer", tmp_path / "v.txt", "--input", tmp_path / "text.jsonl.gz"),
        *("--output", tmp_path / "c", "--json"),
    ).json
    assert built["documents"] == 4
    assert built["tokens"] == len(np.load(tmp_path / "c_ids.npy"))
    for name, objective in (("c", "mlm+sop"), ("lines", "mlm")):
        said = shell(
            *("corpus", "build", "--tokenizer", tmp_path / "v.txt", "--input", tmp_path / "text.jsonl.gz"),
            *("--output", tmp_path / name, "--objective", objective, "--json"),
        )
        assert said.json == {**built, "corpus": str(tmp_path / name)}
    one = written(tmp_path / "one" / "line.txt", "新华社\n\n北京\n")
    written(tmp_path / "one" / "wiki_00")
    refused = shell(
        *("corpus", "build", "--tokenizer", tmp_path / "v.txt", "--input", tmp_path / "one", "--objective", "mlm+nsp"),
        *("--output", tmp_path / "flat"),
    )
    assert one.is_file()
    assert refused.code == 1
    assert "no document has two sentences" in refused.err
    assert "passed over 1 file(s) of no known kind" in refused.err
    paddle = ("--tokenizer", tmp_path / "v.txt", "--input")
    shell("corpus", "to-paddlenlp", *paddle, tmp_path / "c", "--output", tmp_path / "p")
    again = shell("corpus", "from-paddlenlp", *paddle, tmp_path / "p", "--output", tmp_path / "again", "--json").json
    assert {**again, "characters": built["characters"], "corpus": built["corpus"]} == built
    lexicon = written(tmp_path / "lexicon.txt", "国务院副总理\n")
    more = ("--lexicon", lexicon, "--entities", "bilstm-ner-zh", "--whole-word", "jieba-dictionary")
    shell(
        *("corpus", "build", *paddle, text, "--output", tmp_path / "units", *more, "--word-separator", "/"),
        *("--sentences", "lines", "--separator", "==="),
    )
    options = json.loads((tmp_path / "units.json").read_text(encoding="utf-8"))["options"]
    assert options["whole_word"] == "jieba-dictionary"
    assert options["segmenter"].startswith("jieba 0.")
    assert options["entities"].startswith("bilstm-ner-zh 1.0.0 ")
    assert (options["sentences"], options["separator"]) == ("lines", "===")
    tokenizer = tokenizer_from_files("wordpiece", vocab=tmp_path / "v.txt")
    assert "国务院副总理" in "|".join(units_of(Corpus.open(tmp_path / "units"), tokenizer)).replace("[UNK]", "")
    assert "must end in .jsonl" in shell.fails("corpus", "convert", "--input", text, "--output", tmp_path / "a.txt")
