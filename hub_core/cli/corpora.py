"""Commands about text for pre-training."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub_core.cli.command import Command, Group, debug_option
from hub_core.cli.options import PATH, json_flag
from hub_core.cli.output import note, print_record, progress_bar
from hub_core.pretrain import OBJECTIVES

if TYPE_CHECKING:
    from hub_core.corpus.reading import ReadOptions

#: A share of unknown tokens from which on a vocabulary does not fit the text.
_MANY_UNKNOWN = 0.05
#: Sentences of a document from which on several may stand in it.
_MANY_SENTENCES = 50
_SYMBOLS = click.Choice(("isolate", "keep"))


@click.group("corpus", cls=Group, params=[debug_option()])
def corpus() -> None:
    """Make text into what pre-training reads."""


_inputs = click.option(
    "--input",
    "inputs",
    type=PATH,
    multiple=True,
    required=True,
    help="A file, a folder or a zip: .txt, .md, .jsonl, .parquet, also packed (.gz, .xz, .zst). Several times.",
)


def _reading(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say how files are cut into documents, as `read`."""

    @wraps(function)
    def collected(*args: Any, separator: str, key: str, max_document_chars: int, **others: Any) -> None:
        from hub_core.corpus.reading import ReadOptions

        function(*args, read=ReadOptions(separator, key, max_document_chars), **others)

    for option in (
        click.option(
            "--max-document-chars",
            type=click.IntRange(min=1),
            default=5_000_000,
            help="A longer document is an error: one is held in memory, some 120 bytes a character.",
        ),
        click.option("--key", default="text", help="Where JSON lines, and Parquet, have the text."),
        click.option("--separator", default="", show_default="a blank line", help="The line that ends a document."),
    ):
        collected = option(collected)
    return collected


@corpus.command(
    "convert", cls=Command, examples=["hub corpus convert --input books --output books.jsonl.gz --min-chars 10"]
)
@_inputs
@click.option("--output", type=PATH, required=True, help="A .jsonl, also packed: .jsonl.gz, .jsonl.xz, .jsonl.zst.")
@click.option("--min-chars", type=click.IntRange(min=1), default=1, help="Shorter documents are left out.")
@_reading
@json_flag
def convert(inputs: tuple[Path, ...], output: Path, min_chars: int, read: ReadOptions, as_json: bool) -> None:
    """Put documents together in one file of JSON lines."""
    from hub_core.corpus.converting import convert_corpus

    _note_passed_over(inputs)
    done = convert_corpus(inputs, output, read=read, min_chars=min_chars)
    print_record({"file": str(output), **done}, as_json=as_json)


@corpus.command(
    "vocabulary", cls=Command, examples=["hub corpus vocabulary --input books --size 8000 --output vocab.txt"]
)
@_inputs
@click.option("--output", type=PATH, required=True, help="The vocab.txt.")
@click.option("--size", type=click.IntRange(min=6), default=8000, help="Tokens in all, special ones included.")
@click.option(
    "--characters",
    type=click.IntRange(min=1),
    show_default="four fifths of the size",
    help="Single characters among them, at most.",
)
@click.option("--min-count", type=click.IntRange(min=1), default=2, help="Rarer pieces are left out.")
@click.option("--lowercase/--no-lowercase", default=True, help="As the tokenizer's option of this name.")
@click.option("--symbols", type=_SYMBOLS, default="isolate", help="As the tokenizer's option of this name.")
@_reading
@json_flag
def vocabulary(inputs: tuple[Path, ...], output: Path, read: ReadOptions, as_json: bool, **options: Any) -> None:
    """Count a WordPiece vocabulary: characters, and pieces of other words."""
    from hub_core.corpus.reading import check_outside
    from hub_core.corpus.vocabulary import train_vocabulary
    from hub_core.paths import write_text

    _note_passed_over(inputs)
    check_outside(output, inputs)
    tokens = train_vocabulary(inputs, read=read, **options)
    write_text(output, "".join(f"{token}\n" for token in tokens))
    print_record({"file": str(output), "tokens": len(tokens)}, as_json=as_json)


@corpus.command(
    "build",
    cls=Command,
    examples=[
        "hub corpus build --tokenizer ernie --input books.jsonl.gz --whole-word jieba --workers 8 --output c/books",
        "hub corpus build --tokenizer vocab.txt --input laws.txt.xz --input news --output corpus/zh",
    ],
)
@click.option(
    "--tokenizer",
    required=True,
    help="A module's name or folder, or a vocab.txt: the tokenizer of what will be trained.",
)
@click.option("--lowercase/--no-lowercase", default=None, help="Of a vocab.txt.  [default: lowercase]")
@click.option("--symbols", type=_SYMBOLS, help="Of a vocab.txt.  [default: isolate]")
@_inputs
@click.option("--output", type=PATH, required=True, metavar="PREFIX", help="What the names of the files begin with.")
@click.option(
    "--whole-word",
    default="jieba",
    help="Whose words stay whole: jieba, jieba-dictionary (without its model), rjieba (extra: corpus), a plugin's; "
    "given: cut by --word-separator; none.",
)
@click.option(
    "--word-separator", default=" ", show_default="a space", help="Between words of text that is cut already."
)
@click.option("--lexicon", type=PATH, help="Phrases that are hidden as a whole too, one per line.")
@click.option("--entities", metavar="MODULE", help="A module for token-cls: what it finds is hidden as a whole too.")
@click.option(
    "--objective",
    type=click.Choice(OBJECTIVES),
    default="mlm",
    help="What it is for: mlm+sop and mlm+nsp need documents of several sentences. What is built is the same.",
)
@click.option("--sentences", type=click.Choice(("split", "lines")), default="split", help="Where sentences end.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; what comes out is the same.  [default: 1]")
@click.option("--engine-cluster", type=click.Choice(("ray",)), help="Encode on many machines (extra: ray).")
@click.option("--cluster-address", help="A running cluster's address (default: $RAY_ADDRESS, else this machine).")
@_reading
@json_flag
def build(
    tokenizer: str,
    lowercase: bool | None,
    symbols: str | None,
    inputs: tuple[Path, ...],
    output: Path,
    workers: int | None,
    lexicon: Path | None,
    objective: str,
    engine_cluster: str | None,
    cluster_address: str | None,
    read: ReadOptions,
    as_json: bool,
    **options: Any,
) -> None:
    """Tokenise text for pre-training, with the words that stay whole.

    An interrupted build goes on where it was when the same command runs again.
    """
    from hub_core.cli.loading import load_tokenizer
    from hub_core.corpus.building import build_corpus
    from hub_core.corpus.encoding import EncodeOptions
    from hub_core.corpus.reading import reading
    from hub_core.corpus.units import read_lexicon

    if engine_cluster is None and cluster_address:
        raise click.UsageError("--cluster-address belongs to --engine-cluster ray")
    mapper = None
    if engine_cluster:
        from hub_core.cluster import encode_on_ray

        mapper = encode_on_ray(workers=workers, address=cluster_address)
    _note_passed_over(inputs)
    given = {"lowercase": lowercase, "symbols": symbols}
    loaded = load_tokenizer(tokenizer, **{name: value for name, value in given.items() if value is not None})
    try:
        with progress_bar(None, " characters") as advance:
            built = build_corpus(
                loaded,
                inputs,
                output,
                encode=EncodeOptions(**options, lexicon=() if lexicon is None else read_lexicon(lexicon)),
                read=read,
                workers=workers or 1,
                mapper=mapper,
                progress=advance,
            )
    except KeyboardInterrupt:
        note("stopped; the same command goes on where it was")
        raise
    counts = built.about["counts"]
    if (share := counts["unknown"] / counts["tokens"]) > _MANY_UNKNOWN:
        note(f"warning: {share:.0%} of the tokens are unknown to the tokenizer; a larger vocabulary knows more of them")
    if (
        all(reading(name)[0] == "text" for name in built.about["sources"])
        and counts["documents"] <= len(built.about["sources"])
        and counts["sentences"] > _MANY_SENTENCES * counts["documents"]
    ):
        note("warning: every file is one document; a blank line, or the one that --separator names, ends a document")
    if "+" in objective:
        built.check_order()
    print_record({"corpus": str(output), **counts}, as_json=as_json)


_tokenizer = click.option(
    "--tokenizer", required=True, help="A module's name or folder, or a vocab.txt: the one that it was built with."
)
_from = click.option("--input", "source", type=PATH, required=True, metavar="PREFIX", help="What is read.")
_to = click.option("--output", type=PATH, required=True, metavar="PREFIX", help="What is written.")


@corpus.command(
    "from-paddlenlp",
    cls=Command,
    examples=["hub corpus from-paddlenlp --tokenizer ernie --input clue_corpus --output corpus/clue"],
)
@_tokenizer
@_from
@_to
@json_flag
def from_paddlenlp(tokenizer: str, source: Path, output: Path, as_json: bool) -> None:
    """Make a corpus of PREFIX_ids.npy and PREFIX_idx.npz, which PaddleNLP's data tools write."""
    from hub_core.cli.loading import load_tokenizer
    from hub_core.corpus.paddlenlp import import_paddlenlp

    made = import_paddlenlp(source, output, load_tokenizer(tokenizer))
    print_record({"corpus": str(output), **made.about["counts"]}, as_json=as_json)


@corpus.command(
    "to-paddlenlp",
    cls=Command,
    examples=["hub corpus to-paddlenlp --tokenizer ernie --input corpus/clue --output for_paddlenlp"],
)
@_tokenizer
@_from
@_to
@json_flag
def to_paddlenlp(tokenizer: str, source: Path, output: Path, as_json: bool) -> None:
    """Write a corpus as PREFIX_ids.npy and PREFIX_idx.npz, for PaddleNLP."""
    from hub_core.cli.loading import load_tokenizer
    from hub_core.corpus.paddlenlp import export_paddlenlp
    from hub_core.corpus.store import Corpus

    loaded = load_tokenizer(tokenizer)
    export_paddlenlp(Corpus.open(source, loaded), output, loaded)
    print_record({"corpus": str(output)}, as_json=as_json)


def _note_passed_over(inputs: tuple[Path, ...]) -> None:
    """Say which files lie in what was named and are not read."""
    from hub_core.corpus.reading import passed_over

    if names := passed_over(inputs):
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        note(f"passed over {len(names):,} file(s) of no known kind: {shown}")
