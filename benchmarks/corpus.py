"""How fast text becomes a corpus: ``HUB_DATA_HOME=... python -m benchmarks.corpus --megabytes 4``.

One core, with each segmenter, on text of ``lm``; the share of the segmenter is its own time on the same text, in the
portions in which a build gives it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.measure import Contender, best_seconds, print_table
from hub_core.corpus.building import SHARE, build_corpus
from hub_core.corpus.encoding import EncodeOptions
from hub_core.corpus.reading import ReadOptions, find_sources, read_documents
from hub_core.corpus.sentences import split_sentences
from hub_core.paths import data_home
from hub_core.plugins import catalog
from hub_core.text.files import tokenizer_from_files
from hub_core.text.tokenizer import Tokenizer

FILES = ("laws", "lctt_published", "xinwenlianbo", "gold_miner")


def sample(folder: Path, megabytes: float) -> Path:
    """The beginning of several sources, in UTF-8, in one file."""
    home, target = data_home(), folder / "text.txt"
    if home is None:
        raise SystemExit("HUB_DATA_HOME must name the folder with lm/")
    with target.open("w", encoding="utf-8") as stream:
        for name in FILES:
            left = megabytes * 1e6 / len(FILES)
            (source,) = find_sources([home / "lm" / f"{name}.txt.xz"])
            for document in read_documents(source, ReadOptions()):
                text = "\n".join(document.lines) + "\n\n"
                left -= stream.write(text) and len(text.encode())
                if left < 0:
                    break
    return target


def building(tokenizer: Tokenizer, text: Path, folder: Path, segmenter: str) -> Contender:
    """Building the whole corpus, files and all."""

    def work() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            build_corpus(tokenizer, [text], Path(place) / "c", encode=EncodeOptions(segmenter))

    return Contender(f"build, {segmenter}", work)


def segmenting(text: Path, segmenter: str) -> Contender:
    """The segmenter alone, on the same sentences, as many of them at once as a share of a build has."""
    cut = catalog().get("segmenter", segmenter)().cut
    (source,) = find_sources([text])
    lines = [line for document in read_documents(source, ReadOptions()) for line in document.lines]
    portions, size = [[""]], 0
    for sentence in (sentence for line in lines for sentence in split_sentences(line)):
        portions[-1].append(sentence)
        size += len(sentence)
        if size >= SHARE:
            portions.append([])
            size = 0
    texts = ["\n".join(portion) for portion in portions]
    cut(texts[0])  # loads the dictionary
    return Contender(f"cut, {segmenter}", lambda: [cut(one) for one in texts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=16.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = sample(folder, options.megabytes)
        size = text.stat().st_size / 1e6
        home = data_home() or folder
        tokenizer = tokenizer_from_files("wordpiece", vocab=home / "vocab" / "bert-base-chinese.vocab.txt")
        segmenters = ("jieba", "rjieba")
        contenders = [building(tokenizer, text, folder, one) for one in ("none", *segmenters)]
        contenders += [segmenting(text, one) for one in segmenters]
        seconds = best_seconds(contenders, rounds=options.rounds)
        rows = []
        for one in ("none", *segmenters):
            took, alone = seconds[f"build, {one}"], seconds.get(f"cut, {one}", 0.0)
            share = f"{alone / took:.0%}" if alone else ""
            rows.append([one, f"{took:.2f}", f"{size / took:.2f}", f"{size / alone:.1f}" if alone else "", share])
        columns = ("segmenter", "build, s", "MB/s per core", "the segmenter alone, MB/s", "its share")
        print_table(f"A corpus of {size:.1f} MB", columns, rows)


if __name__ == "__main__":
    main()
