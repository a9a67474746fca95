"""A vocabulary out of text: the pieces of `tokenizers`' own trainer, and the same ones every time."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from command_line import Hub
from tokenizers import trainers

from hub_core.corpus.reading import ReadOptions, find_sources, read_documents
from hub_core.corpus.vocabulary import train_vocabulary
from hub_core.errors import DataError, SettingsError
from hub_core.text.fast import BERT_SPECIALS
from hub_core.text.files import tokenizer_from_files
from hub_core.text.wordpiece import wordpiece_backend

SPECIALS = list(BERT_SPECIALS.values())


def sample(folder: Path, seed: int = 1) -> Path:
    """Words of Latin letters, digits, accents and ideographs; many pairs of letters are equally frequent."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdeéñß12", k=rng.randint(1, 7))) for _ in range(60)]
    lines = [
        " ".join(rng.choices([*words, "新华社", "T恤", "５Ｇ网络", "aa aa", "￥8999", "don't"], k=9)) for _ in range(80)
    ]
    path = folder / "text.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def of_the_library(path: Path, begin: list[str], size: int, **options: object) -> list[str]:
    """What `WordPieceTrainer` makes of a text, where it does not draw lots for the numbers of the first tokens."""
    backend = wordpiece_backend({token: number for number, token in enumerate(SPECIALS)}, options)
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=2, special_tokens=begin, continuing_subword_prefix="##", show_progress=False
    )
    (source,) = find_sources([path])
    texts = [line for document in read_documents(source, ReadOptions()) for line in document.lines]
    backend.train_from_iterator(texts, trainer)
    found = backend.get_vocab(with_added_tokens=True)
    return sorted(found, key=found.__getitem__)


@pytest.mark.parametrize("options", [{}, {"lowercase": False}, {"symbols": "keep"}])
@pytest.mark.parametrize("size", [60, 120, 4000])
def test_the_librarys_pieces(tmp_path: Path, size: int, options: dict[str, object]) -> None:
    path = sample(tmp_path)
    found = train_vocabulary([path], size=size, characters=50, **options)  # type: ignore[arg-type]
    letters = [token for token in found[len(SPECIALS) :] if len(token.removeprefix("##")) == 1]
    asked = {"lowercase": True, "symbols": "isolate", **options}
    assert found == of_the_library(path, [*SPECIALS, *letters], size, **asked)
    assert len(found) <= size


def test_the_same_text_gives_the_same_tokens(tmp_path: Path) -> None:
    path = sample(tmp_path)
    first = train_vocabulary([path], size=70)
    assert all(train_vocabulary([path], size=70) == first for _ in range(3))
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(reversed(lines)) + "\n", encoding="utf-8")
    assert train_vocabulary([path], size=70) == first


def test_few_tokens_are_the_most_frequent_characters(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("中中中国国人 bbba\n" * 3, encoding="utf-8")
    assert train_vocabulary([tmp_path / "text.txt"], size=9, characters=3) == [*SPECIALS, "b", "中", "国", "##b"]


def test_no_text_and_no_room(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text(" \n", encoding="utf-8")
    with pytest.raises(DataError, match="no text to count"):
        train_vocabulary([tmp_path / "empty.txt"], size=100)
    with pytest.raises(SettingsError, match="holds nothing but the 5 special ones"):
        train_vocabulary([sample(tmp_path)], size=5)


def test_cased_words_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the vocabulary distinguishes, the corpus does too; a module's tokenizer has its own options."""
    shell, path = Hub(capsys), tmp_path / "text.txt"
    path.write_text("ABBA 和 IPHONE，还有 ABBA\n" * 3, encoding="utf-8")
    shell("corpus", "vocabulary", "--input", path, "--size", 60, "--output", tmp_path / "v.txt", "--no-lowercase")
    build = ("corpus", "build", "--tokenizer", tmp_path / "v.txt", "--input", path, "--json")
    cased = shell(*build, "--no-lowercase", "--output", tmp_path / "cased")
    assert cased.json["unknown"] == 0
    plain = shell(*build, "--output", tmp_path / "plain")
    assert plain.json["unknown"] > 0
    assert "% of the tokens are unknown to the tokenizer" in plain.err
    assert "% of the tokens" not in cased.err
    tokenizer = tokenizer_from_files("wordpiece", vocab=tmp_path / "v.txt", lowercase=False)
    assert {"ABBA", "IPHONE"} <= set(tokenizer.get_vocab())
    wrong = ("corpus", "build", "--input", path, "--output", tmp_path / "c", "--no-lowercase", "--tokenizer")
    assert "has its own lowercase; these are options for a vocab.txt" in shell.fails(*wrong, "bert-base-chinese")
    assert "no file nosuch.txt" in shell.fails(*wrong, "nosuch.txt")
