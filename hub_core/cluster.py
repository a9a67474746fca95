"""Bulk prediction and corpora on many machines: Ray deals rows, or documents, out to processes.

Ray restarts a worker that dies and repeats what it had; answers come back in the order of the rows.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import logging
import math
import os
import socket
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hub_core.errors import SettingsError
from hub_core.examples import Example
from hub_core.tasks.task import positive

if TYPE_CHECKING:
    from hub_core.corpus.building import Mapper
    from hub_core.corpus.encoding import Encoded, Encoder
    from hub_core.corpus.reading import Document
    from hub_core.infer.predictor import Predictor, Progress

#: Rows that travel to a worker together: enough to batch by length, few enough that a lost worker costs little.
_FEWEST, _MOST = 64, 4096
#: Portions per worker at least, so that none is left waiting for the last.
_PORTIONS = 8


@dataclass(frozen=True)
class Request:
    """Which module answers, and how; every worker loads it by itself.

    `directory` (a folder that every machine sees) or `name` (a module that is, or can be, installed on each);
    `task`, `task_options`, `engine`, `dtype`, `max_seq_len` and `batch_size` are those of `hub_core.Module` and
    ``predict``. With `use_gpu` every worker takes one GPU, else one processor.
    """

    name: str | None = None
    directory: str | None = None
    task: str | None = None
    engine: str = "auto"
    dtype: str = "auto"
    max_seq_len: int | None = None
    batch_size: int | None = None
    use_gpu: bool = False
    task_options: Mapping[str, Any] | None = None

    def predictor(self) -> Predictor:
        """The predict path over the module, loaded here. Raises what `hub_core.Module` raises."""
        from hub_core.module import Module

        engine = "torch" if self.use_gpu and self.engine == "auto" else self.engine
        module = Module(
            self.name, directory=self.directory, task=self.task, engine=engine, task_options=self.task_options
        )
        if self.use_gpu:
            module.place(use_gpu=True)
        return module.predictor(dtype=self.dtype)


def predict_on_ray(
    request: Request,
    examples: Sequence[Example],
    *,
    workers: int | None = None,
    address: str | None = None,
    progress: Progress | None = None,
) -> Iterator[dict[str, Any]]:
    """Answer rows with Ray Data; yields what ``predict`` answers (plain form), in order.

    `workers` processes hold the module (default: one per processor of the cluster, or per GPU). `address` is a running
    cluster's (``ray://host:10001``, ``auto``); None: that of ``$RAY_ADDRESS``, else a Ray on this machine for the time
    of the call. `progress` is told how many more rows are done.

    Raises SettingsError without the package ray, for a cluster that cannot be reached, and for a GPU that it lacks;
    what a worker raises comes as ray's own exception with the worker's message in it.
    """
    if not examples:
        return
    with _connected(address) as ray:
        count = _capacity(ray, "GPU" if request.use_gpu else "CPU") if workers is None else positive("workers", workers)
        portion = min(_MOST, max(_FEWEST, math.ceil(len(examples) / (_PORTIONS * count))))
        rows = [{"row": json.dumps([row.text, row.pair, row.units])} for row in examples]
        answers = ray.data.from_items(rows, override_num_blocks=math.ceil(len(rows) / portion)).map_batches(
            _Worker,
            fn_constructor_args=(request,),
            batch_size=portion,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=count),
            num_cpus=None if request.use_gpu else 1,
            num_gpus=1 if request.use_gpu else None,
        )
        for row in answers.iter_rows():
            yield json.loads(row["answer"])
            if progress is not None:
                progress(1)


def encode_on_ray(*, workers: int | None = None, address: str | None = None) -> Mapper:
    """What encodes a corpus with Ray, for `hub_core.corpus.building.build_corpus`: the same corpus, whatever computes.

    `workers` and `address` are those of `predict_on_ray`. Documents are read here, and travel to the workers.
    """

    def encoded(encoder: Encoder, shares: Iterator[list[Document]]) -> Iterator[Encoded]:
        with _connected(address) as ray:
            count = _capacity(ray, "CPU") if workers is None else positive("workers", workers)
            remote = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)(_EncodeWorker)
            crew = itertools.cycle([remote.remote(encoder) for _ in range(count)])
            waiting: deque[Any] = deque()
            for share in shares:
                waiting.append(next(crew).encode.remote(share))
                if len(waiting) > 2 * count:
                    yield ray.get(waiting.popleft())
            while waiting:
                yield ray.get(waiting.popleft())

    return encoded


class _EncodeWorker:
    """What each of Ray's processes holds: the tokenizer and the segmenter, once."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def encode(self, share: list[Document]) -> Encoded:
        """Encode a share of documents."""
        return self._encoder(share)


class _Worker:
    """What each of Ray's processes holds: the module, once."""

    def __init__(self, request: Request) -> None:
        self._request, self._predictor = request, request.predictor()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Rows as JSON in, answers as JSON out: Arrow keeps them as they are, lone surrogates too."""
        examples = [_example(json.loads(row)) for row in batch["row"]]
        found = self._predictor.predict(
            examples, max_seq_len=self._request.max_seq_len, batch_size=self._request.batch_size
        )
        as_data = self._predictor.task.as_data
        return {"answer": [json.dumps(as_data(answer)) for answer in found]}


def _example(row: Sequence[Any]) -> Example:
    text, pair, units = row
    return Example(text, pair=pair, units=None if units is None else tuple(units))


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Ray, connected; a connection that was not there before is ended again."""
    if importlib.util.find_spec("ray") is None:
        raise SettingsError("engine cluster 'ray' needs the package ray; `pip install 'hub_core[ray]'` brings it")
    import ray
    import ray.data

    with _quiet("ray", "ray.data"):
        ours = not ray.is_initialized()
        if ours:
            _check_reachable(address or os.environ.get("RAY_ADDRESS", ""))
            try:
                # A dashboard is started with a Ray of our own only, and nobody would look at it.
                dashboard = None if address else False
                ray.init(address=address, include_dashboard=dashboard, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise SettingsError(f"Ray cannot be used (address {address or '$RAY_ADDRESS'}): {error}") from error
        context = ray.data.DataContext.get_current()
        before = context.execution_options.preserve_order, context.enable_progress_bars
        context.execution_options.preserve_order, context.enable_progress_bars = True, False
        try:
            yield ray
        finally:
            context.execution_options.preserve_order, context.enable_progress_bars = before
            if ours:
                ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise SettingsError where nothing listens at ``host:port`` or ``ray://host:port``: Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # "auto", "local", or none: Ray finds out by itself
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise SettingsError(f"no Ray answers at {address}: {error.strerror or error}") from error


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Only errors from these loggers for the block: Ray tells its plan and its progress at every step."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _capacity(ray: Any, kind: str) -> int:
    """How many processors, or GPUs, the cluster has. Raises SettingsError where it has none."""
    count = int(ray.cluster_resources().get(kind, 0))
    if count < 1:
        raise SettingsError(f"the Ray cluster has no {kind}; --use-gpu needs machines that have one")
    return count
