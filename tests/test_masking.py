"""What is hidden: as much as asked for, whole words, never a special token, the same for the same seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import write_vocabulary

from hub_core.corpus.building import build_corpus
from hub_core.corpus.store import Corpus
from hub_core.errors import DataError, NotFoundError, SettingsError
from hub_core.examples import IGNORE, Array, Features
from hub_core.pretrain.masking import Masker, MaskOptions, by_ngram
from hub_core.pretrain.samples import cut
from hub_core.pretrain.stream import RowOptions, Rows, split_documents
from hub_core.text.files import tokenizer_from_files
from hub_core.text.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Tokenizer]:
    """A corpus of real text, cut by jieba; skipped where the data is absent."""
    import os

    home = Path(os.environ.get("HUB_DATA_HOME", Path(__file__).parents[2] / "shared" / "data"))
    if not (home / "lm").is_dir():
        pytest.skip("no HUB_DATA_HOME with a folder lm")
    tokenizer = tokenizer_from_files("wordpiece", vocab=home / "vocab" / "bert-base-chinese.vocab.txt")
    prefix = tmp_path_factory.mktemp("real") / "c"
    return build_corpus(tokenizer, [home / "lm" / "CLUECorpusSmall_bert_sampled.txt.xz"], prefix), tokenizer


def rows_of(real: tuple[Corpus, Tokenizer], count: int = 1500, **mask: object) -> list[Features]:
    corpus, tokenizer = real
    documents = range(len(corpus.documents) - 1)
    rows = Rows(corpus, documents, tokenizer, RowOptions(128, mask=MaskOptions(**mask)), seed=5)
    return rows.epoch(0)[:count]


class TestOnRealText:
    @pytest.mark.parametrize("masking", ["word", "ngram", "span", "token"])
    def test_shares(self, real: tuple[Corpus, Tokenizer], masking: str) -> None:
        """15% of the tokens; of these 80% masks, 10% others, 10% as they were."""
        tokenizer = real[1]
        hidden = total = 0
        kinds: Counter[str] = Counter()
        for row in rows_of(real, masking=masking):
            shown, target = row.inputs["input_ids"], np.asarray(row.target)
            places = np.flatnonzero(target != IGNORE)
            total += len(shown)
            hidden += len(places)
            for one, true in zip(shown[places].tolist(), target[places].tolist(), strict=True):
                kind = "mask" if one == tokenizer.mask_id else "kept" if one == true else "random"
                kinds[kind] += 1
                assert kind != "random" or one not in tokenizer.special_ids
                assert true not in (tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id)
        assert hidden / total == pytest.approx(0.15, abs=0.005)
        assert {kind: count / hidden for kind, count in kinds.items()} == {
            "mask": pytest.approx(0.8, abs=0.01),
            "random": pytest.approx(0.1, abs=0.01),
            "kept": pytest.approx(0.1, abs=0.01),
        }

    def test_words_stay_whole(self, real: tuple[Corpus, Tokenizer]) -> None:
        corpus, tokenizer = real
        rows = Rows(corpus, range(200), tokenizer, RowOptions(128), seed=5)
        pieces, split = cut(corpus, range(200), room=126, pack=False), 0
        for number, row in enumerate(rows.epoch(3)):
            begin, end = pieces.spans[number].tolist()
            hidden = np.asarray(row.target)[1:-1] != IGNORE
            joined = corpus.joined[begin + 1 : end]
            split += int((joined & (hidden[1:] != hidden[:-1])).sum())
        assert split == 0
        assert corpus.joined.mean() > 0.3

    def test_a_word_is_replaced_as_one(self, real: tuple[Corpus, Tokenizer]) -> None:
        corpus, tokenizer = real
        masker = Masker(tokenizer, MaskOptions(replace="word"))
        mixed = 0
        for start in range(0, 30_000, 100):
            ids = corpus.ids[start : start + 100].astype(np.int64)
            joined = np.array(corpus.joined[start : start + 100])
            shown, places = masker(ids, joined, np.random.default_rng(start))
            same = shown[places] == tokenizer.mask_id
            together = joined[places[1:]] & (np.diff(places) == 1)
            mixed += int((together & (same[1:] != same[:-1])).sum())
        assert mixed == 0

    def test_ngrams_that_are_hidden(self, real: tuple[Corpus, Tokenizer], monkeypatch: pytest.MonkeyPatch) -> None:
        """Of runs of one to three words: near what is drawn. Long ones are fewer: they meet with others, and the last
        of a row loses what there is no room for."""
        corpus, tokenizer = real
        masker, hidden = Masker(tokenizer, MaskOptions("ngram")), Counter[int]()
        drawn: list[tuple[int, int]] = []

        def recorded(units: int, rng: np.random.Generator, options: MaskOptions) -> Iterator[tuple[int, int]]:
            drawn[:] = by_ngram(units, rng, options)
            return iter(drawn)

        monkeypatch.setattr(masker, "_order", recorded)
        for start in range(0, 120_000, 126):
            ids, joined = corpus.ids[start : start + 126].astype(np.int64), np.array(corpus.joined[start : start + 126])
            joined[0] = False
            if set(ids.tolist()) & tokenizer.special_ids:  # an unknown character is no word to hide
                continue
            _, places = masker(ids, joined, np.random.default_rng(start))
            words_hidden = set((np.cumsum(~joined) - 1)[places].tolist())
            # In the order of their being tried, the runs whose words are all hidden, and none of them twice.
            for first, stop in drawn:
                if words_hidden >= (run := set(range(first, stop))):
                    hidden[stop - first] += 1
                    words_hidden -= run
        total = sum(hidden.values())
        assert total > 4000
        assert {size: count / total for size, count in hidden.items()} == {
            size: pytest.approx((1 / size) / (1 + 1 / 2 + 1 / 3), abs=0.08) for size in (1, 2, 3)
        }

    def test_lengths_of_ngrams(self) -> None:
        """In proportion to 1/n."""
        drawn: Counter[int] = Counter()
        for seed in range(200):
            runs = by_ngram(100, np.random.default_rng(seed), MaskOptions(max_ngram=3))
            drawn.update(stop - first for first, stop in runs if stop < 100)
        total = sum(drawn.values())
        assert {size: count / total for size, count in drawn.items()} == {
            size: pytest.approx((1 / size) / (1 + 1 / 2 + 1 / 3), abs=0.01) for size in (1, 2, 3)
        }

    def test_epochs_differ_and_return(self, real: tuple[Corpus, Tokenizer]) -> None:
        corpus, tokenizer = real
        first, again = (Rows(corpus, range(50), tokenizer, RowOptions(64), seed=1) for _ in range(2))
        same = [
            first.epoch(2)[i].inputs["input_ids"].tolist() == again.epoch(2)[i].inputs["input_ids"].tolist()
            for i in range(40)
        ]
        other = [
            first.epoch(1)[i].inputs["input_ids"].tolist() == first.epoch(2)[i].inputs["input_ids"].tolist()
            for i in range(40)
        ]
        assert all(same)
        assert sum(other) < 4


@given(
    ids=st.lists(st.integers(min_value=0, max_value=140), min_size=1, max_size=60),
    seed=st.integers(min_value=0, max_value=99),
    share=st.floats(min_value=0.01, max_value=0.9),
    masking=st.sampled_from(["word", "ngram", "span", "token"]),
    data=st.data(),
)
def test_any_row(
    tmp_path_factory: pytest.TempPathFactory, ids: list[int], seed: int, share: float, masking: str, data: st.DataObject
) -> None:
    tokenizer = tokenizer_from_files("wordpiece", vocab=write_vocabulary(tmp_path_factory.mktemp("v")))
    row = np.array(ids) % len(tokenizer)
    joined = np.array([False, *data.draw(st.lists(st.booleans(), min_size=len(row) - 1, max_size=len(row) - 1))])
    masker = Masker(tokenizer, MaskOptions(masking, share))
    shown, places = masker(row, joined, np.random.default_rng(seed))
    special = np.isin(row, sorted(tokenizer.special_ids))
    apart = special & (row != tokenizer.unk_id)
    assert not special[places].any()
    assert (np.diff(places) > 0).all()
    untouched = np.setdiff1d(np.arange(len(row)), places)
    assert (shown[untouched] == row[untouched]).all()
    assert bool(len(places)) == bool((~special).any())
    if masking != "token":
        # An unknown token parts nothing: what stands on its two sides is hidden together, or not at all.
        hidden = np.isin(np.arange(len(row)), places)
        units = np.cumsum(~joined | apart | np.append(True, apart[:-1]))
        known = [hidden[(units == unit) & ~special] for unit in np.unique(units)]
        assert all(one.all() or not one.any() for one in known)
        smallest = min((len(one) for one in known if len(one)), default=0)
        assert len(places) <= max(round(share * len(row)), 1, smallest)


@pytest.mark.parametrize("masking", ["ngram", "span"])
def test_no_run_goes_beyond_a_special_token(tmp_path: Path, masking: str) -> None:
    """Words on its two sides are hidden together no more often than any two that do not stand together."""
    tokenizer = tokenizer_from_files("wordpiece", vocab=write_vocabulary(tmp_path))
    words = [number for number in range(len(tokenizer)) if number not in tokenizer.special_ids][:40]
    row = np.array([tokenizer.cls_id, *words[:20], tokenizer.sep_id, *words[20:], tokenizer.sep_id])
    joined = np.zeros(len(row), dtype=np.bool_)
    masker = Masker(tokenizer, MaskOptions(masking))
    across = beside = apart = 0
    for seed in range(3000):
        hidden = np.isin(np.arange(len(row)), masker(row, joined, np.random.default_rng(seed))[1])
        across += int(hidden[20] and hidden[22])
        beside += int(hidden[10] and hidden[11])
        apart += int(hidden[10] and hidden[18])
    assert beside > 1.5 * apart
    assert across < 1.3 * apart


class TestRows:
    def corpus(self, tmp_path: Path, text: str) -> tuple[Corpus, Tokenizer]:
        tokenizer = tokenizer_from_files("wordpiece", vocab=write_vocabulary(tmp_path))
        (tmp_path / "text.txt").write_text(text, encoding="utf-8")
        return build_corpus(tokenizer, [tmp_path / "text.txt"], tmp_path / "c"), tokenizer

    def test_every_token_is_in_one_row(self, tmp_path: Path) -> None:
        corpus, _ = self.corpus(
            tmp_path, "新华社北京月日电。国务院总理。\n" * 9 + "\n" + "我们在上海了" * 30 + "\n\n大为和国地到\n"
        )
        pieces = cut(corpus, range(3), room=20, pack=False, least=1)
        seen = np.concatenate([np.arange(*span) for span in pieces.spans])
        assert sorted(seen.tolist()) == list(range(len(corpus.ids)))
        assert int((pieces.spans[:, 1] - pieces.spans[:, 0]).max()) <= 20
        bounds = corpus.starts[corpus.documents]
        assert (
            np.searchsorted(bounds, pieces.spans[:, 0], "right") == np.searchsorted(bounds, pieces.spans[:, 1], "left")
        ).all()

    def test_packed_rows(self, tmp_path: Path) -> None:
        corpus, tokenizer = self.corpus(tmp_path, "我们在上海\n\n" * 20)
        rows = Rows(corpus, range(20), tokenizer, RowOptions(32, pack=True), seed=1)
        assert rows.lengths.tolist() == [2 + 5 * 5 + 4, 31, 31, 31]
        row = rows.epoch(0)[0]
        assert row.length == 31
        ids = np.where(np.asarray(row.target) == IGNORE, row.inputs["input_ids"], row.target)
        assert tokenizer.decode(ids.tolist()).count("[SEP]") == 5

    @pytest.mark.parametrize("order", ["sop", "nsp"])
    def test_halves(self, tmp_path: Path, order: str) -> None:
        corpus, tokenizer = self.corpus(
            tmp_path, "".join(f"新华社北京{i}月。国务院{i}总理今天了。\n\n" for i in range(9))
        )
        rows = Rows(corpus, range(9), tokenizer, RowOptions(40, order=order), seed=1)
        found = [rows.row(epoch, number) for epoch in range(20) for number in range(9)]
        wrong = [row.meta for row in found]
        assert 60 < sum(wrong) < 120
        for row in found:
            ids = np.where(np.asarray(row.target) == IGNORE, row.inputs["input_ids"], row.target)
            text = tokenizer.decode(ids.tolist()).replace(" ", "")
            first, second = text.removeprefix("[CLS]").split("[SEP]")[:2]
            assert row.inputs["token_type_ids"].tolist() == [0] * (len(first) + 2) + [1] * (len(second) + 1)
            ordered = first.startswith("新华社") and second.startswith("国务院") and first[5] == second[3]
            assert ordered == (row.meta == 0), text
            if order == "sop":
                assert {first[:3], second[:3]} == {"新华社", "国务院"}
            elif row.meta:
                assert second.startswith("国务院")
                assert second[3] != first[5]

    @pytest.mark.parametrize("length", [64, 128])
    def test_second_halves_look_alike(self, real: tuple[Corpus, Tokenizer], length: int) -> None:
        """Of real text, right ones and wrong ones: both begin within a document, end where a unit does, as many of
        them where a sentence does, and are about as long, so that they cannot be told apart without being read."""
        corpus, tokenizer = real
        rows = Rows(corpus, range(400), tokenizer, RowOptions(length, order="nsp"), seed=1)
        openings = {tuple(corpus.ids[start : start + 8].tolist()) for start in corpus.starts[corpus.documents[:-1]]}
        sizes: dict[int, list[int]] = {0: [], 1: []}
        sentences: dict[int, list[bool]] = {0: [], 1: []}
        opening = cut_short = 0
        for row in rows.epoch(0):
            if row.meta is None:
                continue
            ids = np.where(np.asarray(row.target) == IGNORE, row.inputs["input_ids"], row.target)
            second = ids[row.inputs["token_type_ids"] == 1][:-1]
            sizes[row.meta].append(len(second))
            opening += tuple(second[:8].tolist()) in openings
            ends = [at for at in _places_of(corpus.ids, second) if at == len(corpus.ids) or not corpus.joined[at]]
            cut_short += not ends
            sentences[row.meta].append(bool(np.isin(ends, corpus.starts).any()))
        assert min(map(len, sizes.values())) > 300
        assert opening < 0.01 * sum(map(len, sizes.values()))
        assert cut_short == 0
        assert np.mean(sizes[1]) == pytest.approx(np.mean(sizes[0]), rel=0.1)
        assert np.mean(sentences[1]) == pytest.approx(np.mean(sentences[0]), abs=0.07)

    def test_one_document_has_no_other(self, tmp_path: Path) -> None:
        corpus, tokenizer = self.corpus(tmp_path, "新华社北京月。国务院总理。\n\n我们在上海。今天了。\n")
        with pytest.raises(DataError, match="wants two of several sentences.*--held-out"):
            Rows(corpus, [0], tokenizer, RowOptions(40, order="nsp"), seed=1)
        wrong = {
            row.meta
            for epoch in range(20)
            for row in Rows(corpus, [0, 1], tokenizer, RowOptions(40, order="nsp"), seed=1).epoch(epoch)
        }
        assert wrong == {0, 1}

    def test_a_single_sentence_has_no_order(self, tmp_path: Path) -> None:
        corpus, tokenizer = self.corpus(tmp_path, "新华社北京月日电\n")
        row = Rows(corpus, range(1), tokenizer, RowOptions(40, order="sop"), seed=1).row(0, 0)
        assert row.meta is None
        assert not row.inputs["token_type_ids"].any()

    def test_held_out_documents(self, tmp_path: Path) -> None:
        corpus, _ = self.corpus(tmp_path, "我们在上海\n\n" * 40)
        learnt, measured = split_documents(corpus, held_out=0.1)
        assert len(measured) == 4
        assert sorted([*learnt.tolist(), *measured.tolist()]) == list(range(40))


def _places_of(ids: Array, run: Array) -> list[int]:
    """Where a run of tokens ends in others, wherever it stands."""
    starts = np.flatnonzero(np.asarray(ids[: len(ids) - len(run) + 1]) == run[0])
    return [int(at) + len(run) for at in starts if np.array_equal(ids[at : at + len(run)], run)]


class TestMistakes:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"share": 0.0}, "share=0.0 must be between 0 and 1"),
            ({"random": 0.7, "kept": 0.6}, "random=0.7 and kept=0.6 must be shares of one whole"),
            ({"max_ngram": 0, "replace": "row"}, "max_ngram=0 must be at least 1; replace='row' must be token or word"),
        ],
    )
    def test_options(self, options: dict[str, object], message: str) -> None:
        with pytest.raises(SettingsError, match=message):
            MaskOptions(**options)

    def test_an_unknown_masking(self, tmp_path: Path) -> None:
        tokenizer = tokenizer_from_files("wordpiece", vocab=write_vocabulary(tmp_path))
        with pytest.raises(NotFoundError, match="unknown masking 'words'; did you mean 'word'"):
            Masker(tokenizer, MaskOptions("words"))

    def test_a_tokenizer_without_a_mask(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="has no token for a hidden place"):
            Masker(tokenizer_from_files("char", vocab=write_vocabulary(tmp_path)), MaskOptions())
