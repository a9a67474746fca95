"""`build_corpus`: files with text to a corpus on disk, by several processes, in bounded memory, to be continued.

Documents are cut into shares of equal size whatever the number of workers; the shares are encoded anywhere and written
in their order. After some shares the parts on disk are flushed and a journal says how long each is: a build that was
killed cuts them to that length and goes on from there.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from hub_core.corpus.encoding import Encoded, EncodeOptions, Encoder
from hub_core.corpus.reading import (
    Document,
    ReadOptions,
    Source,
    check_outside,
    digests,
    find_sources,
    read_documents,
    reading,
)
from hub_core.corpus.store import (
    FORMAT,
    IDS,
    WORDS,
    Corpus,
    about_path,
    beside,
    check_prefix,
    describe_tokenizer,
    read_about,
    token_type,
    write_about,
    write_index,
)
from hub_core.errors import DataError, ResumeError, SettingsError
from hub_core.paths import atomic_file, locked, read_json_object, write_text
from hub_core.text.tokenizer import Tokenizer

#: Characters that travel to a worker together.
SHARE = 1 << 18
#: Lines at most about texts that are others.
_MOST_LINES = 10
#: Shares between two entries of the journal: some seconds of the slowest segmenter.
_JOURNAL_SHARES = 8
_BUILDING, _JOURNAL, _LOCK = ".building", "journal.json", ".lock"
#: The parts while they grow, and their types; that of the ids is the tokenizer's.
_PARTS = {"ids": None, "joined": np.dtype(np.bool_), "lengths": np.dtype(np.int32), "sentences": np.dtype(np.int64)}

Progress = Callable[[int], object]
#: Applies an encoder to shares and gives the results in order.
Mapper = Callable[[Encoder, Iterator[list[Document]]], Iterator[Encoded]]


@dataclass
class _State:
    """How far a build has come: shares done, bytes of every part, and what was counted."""

    shares: int
    sizes: dict[str, int]
    counts: dict[str, int]


def build_corpus(
    tokenizer: Tokenizer,
    inputs: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    encode: EncodeOptions | None = None,
    read: ReadOptions | None = None,
    workers: int = 1,
    mapper: Mapper | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Tokenise text and write it as a corpus with the prefix `output`.

    `inputs` are files, folders and zip archives. `workers` processes encode; what comes out does not depend on how
    many. `mapper` encodes in another way (`hub_core.cluster.encode_on_ray`). `progress` is told the characters done.
    A build that was interrupted goes on; a finished one of the same is read over and left as it is.

    Raises SettingsError, NotFoundError and DataError (``file:line``; a finished corpus whose files have changed),
    ResumeError where the output belongs to another build, or parts of an interrupted one are gone.
    """
    if workers < 1:
        raise SettingsError(f"workers must be at least 1, not {workers}")
    prefix = Path(output)
    check_prefix(prefix)
    sources = find_sources(inputs)
    check_outside(about_path(prefix), inputs)
    encode, read = encode or EncodeOptions(), read or ReadOptions()
    plan = {
        "format": FORMAT,
        "tokenizer": describe_tokenizer(tokenizer),
        "options": {**encode.record, **asdict(read)},
        "sources": digests(sources),
    }
    plan = json.loads(json.dumps(plan))
    if about_path(prefix).exists():
        _check_same(read_about(prefix), plan, prefix)
        finished = Corpus.open(prefix, tokenizer)
        finished.verify()
        return finished
    with _alone(prefix), _Parts(prefix, plan, token_type(tokenizer.vocab_size)) as parts:
        encoder = Encoder.of(tokenizer, encode)
        shares = _shares(sources, read, skip=parts.state.shares)
        for done in (mapper or _in_processes(workers))(encoder, shares):
            parts.add(done)
            if progress is not None:
                progress(done.characters)
        parts.finish()
    return Corpus.open(prefix, tokenizer)


def _shares(sources: Sequence[Source], options: ReadOptions, *, skip: int) -> Iterator[list[Document]]:
    """Documents in shares of about equal size, without the first `skip` shares."""
    share: list[Document] = []
    size = number = 0
    for document in (document for source in sources for document in read_documents(source, options)):
        share.append(document)
        size += sum(map(len, document.lines))
        if size >= SHARE:
            if number >= skip:
                yield share
            share, size, number = [], 0, number + 1
    if share and number >= skip:
        yield share


def _in_processes(workers: int) -> Mapper:
    """Encode in this process, or in several others: a few shares more than workers are on their way at any time."""

    def here(encoder: Encoder, shares: Iterator[list[Document]]) -> Iterator[Encoded]:
        return map(encoder, shares)

    def elsewhere(encoder: Encoder, shares: Iterator[list[Document]]) -> Iterator[Encoded]:
        context = multiprocessing.get_context("spawn")
        waiting: deque[Future[Encoded]] = deque()
        others = multiprocessing.active_children()
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_hold, initargs=(encoder,)) as pool:
            try:
                for share in shares:
                    waiting.append(pool.submit(_encode, share))
                    if len(waiting) > 2 * workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            except BaseException:
                # What they have begun is encoded again, so nobody waits for it.
                for process in set(multiprocessing.active_children()).difference(others):
                    process.terminate()
                raise

    return here if workers == 1 else elsewhere


#: The encoder of a worker process.
_held: list[Encoder] = []


def _hold(encoder: Encoder) -> None:
    # Ctrl-C is for the process that hands out the work: it ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _held[:] = [encoder]


def _encode(share: list[Document]) -> Encoded:
    return _held[0](share)


def _check_same(before: dict[str, Any], now: dict[str, Any], prefix: Path) -> None:
    """Raise ResumeError, listing the differences, where what is there was made from something else."""
    differences = [
        f"  {name}.{key}: {before.get(name, {}).get(key)!r} there, {now[name].get(key)!r} now"
        for name in ("tokenizer", "options")
        for key in sorted(before.get(name, {}).keys() | now[name].keys())
        if before.get(name, {}).get(key) != now[name].get(key)
    ]
    differences += _other_texts(before.get("sources", {}), now["sources"])
    if differences:
        raise ResumeError(
            f"{prefix} is another corpus, or the beginning of one:\n" + "\n".join(differences) + "\n"
            f"name another --output, or remove {prefix}.*, {prefix}_* and {prefix}{_BUILDING}"
        )


def _other_texts(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Lines that say where the texts differ: in what is in the files, how they are read, and their order. Where they
    lie is the same to a corpus."""
    there, here = ([(digest, reading(path)) for path, digest in sources.items()] for sources in (before, now))
    if there == here:
        return []
    lines = []
    for sources, own, others, when in ((before, there, here, "there, not now"), (now, here, there, "now, not there")):
        left = Counter(others)
        for path, one in zip(sources, own, strict=True):
            left[one] -= 1
            if left[one] < 0:
                lines.append(f"  sources: {path} (sha256 {one[0][:12]}...) {when}")
    more = [f"  sources: {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
    return [*lines[:_MOST_LINES], *more] or ["  sources: the same, in another order"]


def _alone(prefix: Path) -> AbstractContextManager[None]:
    """Keep other builds of the same corpus out of the block. Raises ResumeError where one is on its way."""
    busy = ResumeError(f"another process is building {prefix}; wait for it, or name another --output")
    return locked(beside(prefix, _LOCK), busy=busy)


class _Parts:
    """The files of a corpus while they grow, in ``PREFIX.building/``."""

    def __init__(self, prefix: Path, plan: dict[str, Any], ids: np.dtype[Any]) -> None:
        self._prefix, self._plan = prefix, plan
        self._types = {name: kind or ids for name, kind in _PARTS.items()}
        self._folder = beside(prefix, _BUILDING)
        self._files: dict[str, IO[bytes]] = {}
        self._unsaved = 0
        self.state = _State(0, dict.fromkeys(_PARTS, 0), dict.fromkeys(("characters", "unknown"), 0))

    def __enter__(self) -> _Parts:
        self._folder.mkdir(parents=True, exist_ok=True)
        remedy = f"remove {self._folder} to build anew"
        record = read_json_object(self._folder / _JOURNAL, error=ResumeError, remedy=remedy)
        # Of nothing that is done yet any corpus may become; shares of another size, or form, say nothing of these.
        current = record.get("share") == SHARE and record["plan"].get("format") == FORMAT
        if current and record["state"]["shares"]:
            _check_same(record["plan"], self._plan, self._prefix)
            self.state = _State(**record["state"])
        with ExitStack() as stack:
            for name, size in self.state.sizes.items():
                file = stack.enter_context((self._folder / name).open("ab"))
                if file.tell() < size:
                    raise ResumeError(f"{self._folder / name} is shorter than what was written to it; {remedy}")
                file.truncate(size)
                self._files[name] = file
            self._save()
            self._open = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        # On a full disk nothing can be noted; what is not is encoded again.
        with suppress(OSError), self._open:
            if kind is not None and self._folder.is_dir():
                self._save()

    def add(self, part: Encoded) -> None:
        """Write a share."""
        sizes, counts = dict(self.state.sizes), dict(self.state.counts)
        try:
            for name, file in self._files.items():
                array = np.ascontiguousarray(getattr(part, name), dtype=self._types[name])
                file.write(array.data)
                sizes[name] += array.nbytes
            counts["characters"] += part.characters
            counts["unknown"] += part.unknown
            # All at once: an interruption while a part grows leaves the state of the share before.
            self.state = _State(self.state.shares + 1, sizes, counts)
            self._unsaved += 1
            if self._unsaved >= _JOURNAL_SHARES:
                self._save()
        except OSError as error:
            raise DataError(
                [f"{self._folder}: {error.strerror or error}; the same command goes on from here"]
            ) from error

    def _save(self) -> None:
        """Put all on disk, and note how much that is."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        record = {"plan": self._plan, "share": SHARE, "state": asdict(self.state)}
        write_text(self._folder / _JOURNAL, json.dumps(record, ensure_ascii=False, indent=1))
        self._unsaved = 0

    def finish(self) -> None:
        """Make the files of the corpus out of the parts. Raises DataError where there is not one token."""
        self._save()
        arrays = {name: self._array(name) for name in _PARTS}
        if not len(arrays["ids"]):
            self._remove()
            raise DataError([f"{', '.join(self._plan['sources'])}: no text in it; nothing was built"])
        for name, ending in (("ids", IDS), ("joined", WORDS)):
            with atomic_file(beside(self._prefix, ending)) as staged:
                _write_npy(arrays[name], staged)
        documents = np.concatenate([[0], np.cumsum(arrays["sentences"], dtype=np.int64)])
        write_index(self._prefix, arrays["lengths"], documents)
        counts = {
            "tokens": len(arrays["ids"]),
            "sentences": len(arrays["lengths"]),
            "documents": len(arrays["sentences"]),
            **self.state.counts,
        }
        write_about(self._prefix, {**self._plan, "counts": counts})
        self._remove()

    def _remove(self) -> None:
        self._open.close()
        shutil.rmtree(self._folder)

    def _array(self, name: str) -> Any:
        """A part as it is on disk."""
        path, kind = self._folder / name, self._types[name]
        return np.memmap(path, dtype=kind, mode="r") if path.stat().st_size else np.zeros(0, dtype=kind)


def _write_npy(array: Any, path: Path) -> None:
    """Write an array piece by piece, so that no more than a piece of it is in memory."""
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
        )
        for start in range(0, len(array), 1 << 22):
            stream.write(np.ascontiguousarray(array[start : start + (1 << 22)]).data)
