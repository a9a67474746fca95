"""A WordPiece vocabulary out of text: the characters that it has, and the pieces that its other words are made of."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from pathlib import Path

from hub_core.corpus.reading import ReadOptions, find_sources, read_documents
from hub_core.errors import DataError, SettingsError
from hub_core.text.fast import BERT_SPECIALS
from hub_core.text.wordpiece import IDEOGRAPHS, wordpiece_backend

_PREFIX = "##"
#: What BERT's rules never cut a word across: a space or an ideograph. They read each of these pieces only once.
_PIECE = re.compile("[{0}]|[^ \u3000{0}]+".format("".join(f"{chr(low)}-{chr(high)}" for low, high in IDEOGRAPHS)))


def train_vocabulary(
    inputs: Sequence[str | Path],
    *,
    size: int = 8000,
    characters: int | None = None,
    min_count: int = 2,
    lowercase: bool = True,
    symbols: str = "isolate",
    read: ReadOptions | None = None,
) -> list[str]:
    """The tokens of a vocabulary for ``wordpiece``, special ones first; one per line is a vocab.txt.

    `characters` of the `size` tokens at most are single characters, the most frequent ones (default: four fifths);
    larger pieces are merged from smaller ones while a pair of them stands side by side `min_count` times. `lowercase`
    and `symbols` are the tokenizer's options. The same text gives the same tokens: `WordPieceTrainer` of `tokenizers`
    has the same rules, but draws lots among equally frequent pairs. Raises DataError where there is no text,
    SettingsError for a size that cannot be.
    """
    specials = list(BERT_SPECIALS.values())
    if size <= len(specials):
        raise SettingsError(f"a vocabulary of {size} tokens holds nothing but the {len(specials)} special ones")
    words = _count_words(_texts(inputs, read or ReadOptions()), {"lowercase": lowercase, "symbols": symbols})
    if not words:
        raise DataError([f"{', '.join(map(str, inputs))}: no text to count"])
    room = size - len(specials)
    letters = _most_frequent(words, min(room, characters or size * 4 // 5), lambda word: word)
    room -= len(letters)
    inner = _most_frequent(words, room, lambda word: word[1:], among=letters)
    first = [*specials, *letters, *(_PREFIX + letter for letter in inner)]
    return [*first, *_merged(words, first, most=size, min_count=min_count)]


def _texts(inputs: Sequence[str | Path], options: ReadOptions) -> Iterator[str]:
    for source in find_sources(inputs):
        for document in read_documents(source, options):
            yield from document.lines


def _count_words(texts: Iterable[str], options: Mapping[str, object]) -> dict[str, int]:
    """How often each word of BERT's rules stands in the texts, in the order of the words."""
    backend = wordpiece_backend({token: number for number, token in enumerate(BERT_SPECIALS.values())}, options)
    pieces: Counter[str] = Counter()
    for text in texts:
        pieces.update(_PIECE.findall(text))
    words: Counter[str] = Counter()
    for piece, count in pieces.items():
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(piece)):
            words[word] += count
    return dict(sorted(words.items()))


def _most_frequent(
    words: Mapping[str, int], most: int, part: Callable[[str], str], among: Collection[str] | None = None
) -> list[str]:
    """At most so many characters of a part of every word, in their order; `among`: others do not count."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in part(word):
            if among is None or character in among:
                counts[character] += count
    return sorted(sorted(counts, key=lambda character: (-counts[character], character))[:most])


def _merged(words: Mapping[str, int], tokens: Sequence[str], *, most: int, min_count: int) -> list[str]:
    """Tokens that are two smaller ones side by side, the most frequent pair first; of equals, the one that is older.

    Byte-pair encoding (Sennrich et al. 2016) on words; what of a word is not in `tokens` is passed over.
    """
    names, numbers = list(tokens), {token: number for number, token in enumerate(tokens)}
    counts = list(words.values())
    spelt = [
        [numbers[token] for token in (word[0], *(_PREFIX + character for character in word[1:])) if token in numbers]
        for word in words
    ]
    pairs: Counter[tuple[int, int]] = Counter()
    homes: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for home, word in enumerate(spelt):
        for pair in pairwise(word):
            pairs[pair] += counts[home]
            homes[pair].add(home)
    queue = [(-count, pair) for pair, count in pairs.items()]
    heapify(queue)
    while queue and len(names) < most:
        negative, pair = heappop(queue)
        if pairs[pair] != -negative:  # it has become rarer since it was queued
            if pairs[pair]:
                heappush(queue, (-pairs[pair], pair))
            continue
        if pairs[pair] < max(1, min_count):
            break
        piece = names[pair[0]] + names[pair[1]].removeprefix(_PREFIX)
        number = numbers.setdefault(piece, len(names))
        if number == len(names):
            names.append(piece)
        new: set[tuple[int, int]] = set()
        for home in homes.pop(pair):
            for old in pairwise(spelt[home]):
                pairs[old] -= counts[home]
            spelt[home] = _joined(spelt[home], pair, number)
            for beside in pairwise(spelt[home]):
                pairs[beside] += counts[home]
                if number in beside:
                    homes[beside].add(home)
                    new.add(beside)
        for beside in new:
            heappush(queue, (-pairs[beside], beside))
    return names[len(tokens) :]


def _joined(word: Sequence[int], pair: tuple[int, int], number: int) -> list[int]:
    """A word in which `number` stands where the pair stood."""
    found: list[int] = []
    for token in word:
        if found and (found[-1], token) == pair:
            found[-1] = number
        else:
            found.append(token)
    return found
