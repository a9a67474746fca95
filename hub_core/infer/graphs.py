"""Engines that compute an exported graph: ONNX Runtime, OpenVINO, or torch's own format; only the last needs torch.

A folder with a graph holds ``graph.json`` beside the module's manifest and tokenizer; `hub export` makes it.
"""

from __future__ import annotations

import importlib.util
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hub_core.errors import CheckpointError, SettingsError, unknown
from hub_core.examples import Array, Batch
from hub_core.infer.predictor import Engine, Logits
from hub_core.spec import GRAPH


@dataclass(frozen=True)
class Graph:
    """What ``graph.json`` says.

    `format` is one of `FORMATS`, `file` the graph's file, `precision` ``float32`` or ``int8``; `inputs` are the names
    of its int64 arrays ``(batch, length)``, `outputs` those of its logits (one, or one per head of the manifest, in
    order), `max_length` the most tokens of a row. `constants` are the arrays that decoding needs (a CRF's transitions).
    `report` is what was measured when it was made.
    """

    format: str
    file: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...] = ("logits",)
    precision: str = "float32"
    max_length: int | None = None
    constants: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)

    def dumps(self) -> str:
        """The text of graph.json."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"

    def of_head(self, head: str) -> Graph:
        """What computes one head of a graph that has several."""
        return replace(self, outputs=(output_of(head),))


def output_of(head: str) -> str:
    """The name of a head's logits in a graph of several heads."""
    return f"logits.{head}"


def read_graph(folder: Path) -> Graph | None:
    """The graph of a module folder, None where it has none. Raises CheckpointError where it cannot be understood."""
    path = folder / GRAPH
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        graph = Graph(**{**record, **{key: tuple(record[key]) for key in ("inputs", "outputs") if key in record}})
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; export the module again") from error
    if graph.format not in FORMATS:
        raise CheckpointError(f"{path}: " + unknown("format", graph.format, FORMATS))
    if not (folder / graph.file).is_file():
        raise CheckpointError(f"{folder} lacks {graph.file}, which its {GRAPH} names; export the module again")
    return graph


def can_run(graph: Graph) -> bool:
    """Whether the package that computes a graph is installed."""
    return importlib.util.find_spec(_PACKAGES[graph.format][0]) is not None


def open_graph(graph: Graph, folder: Path, *, dtype: str = "auto") -> Engine:
    """The engine that computes a graph. Raises SettingsError for a package that is missing or an unusable dtype,
    CheckpointError for a damaged file."""
    package, remedy = _PACKAGES[graph.format]
    if not can_run(graph):
        raise SettingsError(f"an exported {graph.format} graph needs {package}; {remedy}")
    try:
        return FORMATS[graph.format](graph, folder / graph.file, dtype)
    except (SettingsError, CheckpointError):
        raise
    except Exception as error:  # each runtime has exceptions of its own
        raise CheckpointError(f"{folder / graph.file} cannot be loaded by {package}: {error}") from error


class _GraphEngine(ABC):
    """What the engines share; see `hub_core.infer.predictor.Engine`."""

    #: Measured (docs/performance.md): smaller batches than torch's, since nothing is lost between operators.
    tokens_per_batch = 512

    def __init__(self, graph: Graph) -> None:
        self._inputs, self._outputs = graph.inputs, graph.outputs
        self._constants = {name: np.asarray(array, dtype=np.float64) for name, array in graph.constants.items()}

    def constants(self) -> Mapping[str, Array]:
        """Arrays that decoding needs beside the logits."""
        return self._constants

    def run(self, batch: Batch) -> Logits:
        """The float32 logits of a batch."""
        found = self._run({name: batch.inputs[name] for name in self._inputs})
        return found[0] if len(found) == 1 else tuple(found)

    @abstractmethod
    def _run(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        """The graph's outputs, float32, in order."""

    def stream(self, batches: Iterable[Batch]) -> Iterator[Logits]:
        """The logits of each batch in turn."""
        return map(self.run, batches)


class OnnxEngine(_GraphEngine):
    """ONNX Runtime on the CPU."""

    def __init__(self, graph: Graph, path: Path, dtype: str) -> None:
        import onnxruntime

        super().__init__(graph)
        _refuse_dtype(dtype, "onnx")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # its warnings are about shapes that it does not know beforehand
        options.intra_op_num_threads = _threads()
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def _run(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        found: list[Array] = self._session.run(list(self._outputs), dict(inputs))
        return found


class OpenVinoEngine(_GraphEngine):
    """OpenVINO on the CPU; ``auto`` lets it compute in bfloat16 where the processor does."""

    def __init__(self, graph: Graph, path: Path, dtype: str) -> None:
        super().__init__(graph)
        hints = {"auto": {}, "float32": {"INFERENCE_PRECISION_HINT": "f32"}}
        hints["bfloat16"] = {"INFERENCE_PRECISION_HINT": "bf16"}
        if dtype not in hints:
            raise SettingsError(unknown("dtype", dtype, hints, where="of an openvino graph"))
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": _threads(), **hints[dtype]}
        self._model = _openvino_core().compile_model(str(path), "CPU", settings)

    def _run(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        # A request of its own for each call: several threads may share the engine.
        found = self._model.create_infer_request().infer(dict(inputs))
        return [np.array(found[name], dtype=np.float32) for name in self._outputs]


class ProgramEngine(_GraphEngine):
    """A program of `torch.export`: needs torch, and neither `transformers` nor the network's own code."""

    tokens_per_batch = 1024

    def __init__(self, graph: Graph, path: Path, dtype: str) -> None:
        import torch

        super().__init__(graph)
        _refuse_dtype(dtype, "torch")
        # Its guards would refuse a single pair, which the tracer took for another case; what it has traced answers
        # that too, and `hub export` compares such a row. The range of lengths is checked all the same.
        self._program = torch.export.load(str(path)).module(check_guards=False)

    def _run(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        import torch

        with torch.inference_mode():
            found = self._program(*(torch.from_numpy(array) for array in inputs.values()))
        return [found[name].numpy() for name in self._outputs]


#: The formats and their engines.
FORMATS: Mapping[str, Callable[[Graph, Path, str], Engine]] = {
    "onnx": OnnxEngine,
    "openvino": OpenVinoEngine,
    "torch": ProgramEngine,
}
#: The package that computes a format, and how it comes.
_PACKAGES: Mapping[str, tuple[str, str]] = {
    "onnx": ("onnxruntime", "`pip install onnxruntime` brings it"),
    "openvino": ("openvino", "`pip install 'hub_core[openvino]'` brings it"),
    "torch": ("torch", "`pip install torch` brings it"),
}


@cache
def _openvino_core() -> Any:
    """One for all graphs, which stays.

    With its first graph OpenVINO gives the thread a stack for signals, and frees that with the last, in whatever thread
    this happens: the next signal (Ctrl-C) would have nowhere to go, and end the process.
    """
    import openvino

    return openvino.Core()


def _threads() -> int:
    """How many threads compute: what ``OMP_NUM_THREADS`` says, as torch reads it; 0: what the runtime thinks best."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdecimal() else 0


def _refuse_dtype(dtype: str, format: str) -> None:
    if dtype not in ("auto", "float32"):
        raise SettingsError(
            f"dtype={dtype!r}: an exported {format} graph has the precision it was made in; engine torch has others"
        )
