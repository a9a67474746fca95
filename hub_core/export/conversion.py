"""A network as a graph: through `transformers.exporters` where it is one of transformers', else `torch.export`."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hub_core.errors import ExportError
from hub_core.nn.outputs import logits_of

#: Files above this go beside the graph: protobuf ends at 2 GiB.
_LARGEST_MESSAGE = 1 << 30
#: Smaller weights stay float32: a cast costs more than they take.
_WORTH_HALVING = 256


class Answer(nn.Module):
    """A network whose answer is its logits alone, by the names of a graph's `outputs`: one, or one per head."""

    def __init__(self, network: nn.Module, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.inputs, self.outputs = inputs, outputs

    def forward(self, *arrays: torch.Tensor, **named: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits of int64 arrays ``(batch, length)``: in the order of the inputs or by name, as a tracer calls it."""
        logits = logits_of(self.network(**dict(zip(self.inputs, arrays, strict=False)), **named))
        parts = logits if isinstance(logits, tuple) else (logits,)
        return dict(zip(self.outputs, parts, strict=True))


def to_program(
    network: nn.Module,
    sample: Mapping[str, torch.Tensor],
    *,
    outputs: tuple[str, ...],
    texts: int,
    max_length: int | None,
) -> torch.export.ExportedProgram:
    """A network as torch's own graph, of any number of rows, `texts` of them for each answer, and of any length up to
    `max_length`.

    Raises ExportError where torch cannot trace it so.
    """
    wrapped = Answer(network, tuple(sample), outputs).eval()
    answers: Any = torch.export.Dim("answers")  # Dims can be multiplied, which their type does not say
    free = {0: answers if texts == 1 else texts * answers, 1: torch.export.Dim("length", max=max_length)}
    shapes = {"arrays": (free,) * len(sample)}
    with tracing(network), _loops_over_time():
        return torch.export.export(wrapped, tuple(sample.values()), dynamic_shapes=shapes)


def to_onnx(network: nn.Module, sample: Mapping[str, torch.Tensor], *, outputs: tuple[str, ...], fused: bool) -> Any:
    """A network as an `onnx_ir.Model` with these outputs.

    `fused` puts ONNX Runtime's own operators in (attention, layer norm with its residual): other runtimes do not
    know them. Raises ExportError where the network cannot be traced.
    """
    from transformers import PreTrainedModel

    # Its own networks or ours around its encoders: its exporter knows what stands in the encoder.
    theirs = any(isinstance(part, PreTrainedModel) for part in network.modules())
    wrapped = Answer(network, tuple(sample), outputs).eval()
    with tracing(network):
        model = _transformers_graph(wrapped, sample, fused) if theirs else _own_graph(wrapped, sample)
    _name_axes(model, tuple(sample), outputs)
    return model


def _transformers_graph(wrapped: Answer, sample: Mapping[str, torch.Tensor], fused: bool) -> Any:
    from transformers.exporters.configs import OnnxConfig
    from transformers.exporters.exporter_onnx import OnnxExporter

    shapes = {name: dict.fromkeys(range(2), torch.export.Dim.AUTO) for name in sample}
    config = OnnxConfig(dynamic_shapes=shapes, ort_fusions="cpu" if fused else None)
    exporter: Any = OnnxExporter  # its constructor has no types, and it takes more than its type says
    return exporter().export(wrapped, dict(sample), config).program


def _own_graph(wrapped: Answer, sample: Mapping[str, torch.Tensor]) -> Any:
    shapes = {"arrays": tuple(dict.fromkeys(range(2), torch.export.Dim.AUTO) for _ in sample)}
    program = torch.onnx.export(
        wrapped,
        tuple(sample.values()),
        dynamo=True,
        dynamic_shapes=shapes,
        input_names=list(wrapped.inputs),
        output_names=list(wrapped.outputs),
        verbose=False,
    )
    if program is None:
        raise ExportError("torch.onnx.export gave no program")
    return program.model


def _name_axes(model: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    """Say of inputs and outputs which axes are of any size; the tracer may have left the sample's sizes in."""
    import onnx_ir

    names = [value.name for value in model.graph.inputs]
    if sorted(names) != sorted(inputs):
        raise ExportError(f"the graph takes {', '.join(names)}, the tokenizer gives {', '.join(inputs)}")
    for value in model.graph.inputs:
        value.shape = onnx_ir.Shape(("batch", "length"))
    found = {value.name: value for value in model.graph.outputs}
    missing = [name for name in outputs if name not in found or found[name].shape is None]
    if missing:
        raise ExportError(f"the graph gives {', '.join(found)}, and no {', '.join(missing)}")
    for name in outputs:
        *before, labels = found[name].shape
        found[name].shape = onnx_ir.Shape((*("answers", "length")[: len(before)], labels))
    del model.graph.outputs[:]
    model.graph.outputs.extend(found[name] for name in outputs)


def halve(model: Any) -> None:
    """Store weights in float16 where that loses nothing (they were read from float16), with a cast behind each."""
    import onnx_ir

    for value in list(model.graph.initializers.values()):
        tensor = value.const_value
        if tensor is None or tensor.dtype != onnx_ir.DataType.FLOAT or tensor.size < _WORTH_HALVING:
            continue
        array = tensor.numpy()
        with np.errstate(over="ignore"):
            halved = array.astype(np.float16)
        if not np.array_equal(halved.astype(np.float32), array):
            continue
        name = f"{value.name}.half"
        small = onnx_ir.Value(name=name, const_value=onnx_ir.Tensor(halved, name=name))
        small.shape, small.type = value.shape, onnx_ir.TensorType(onnx_ir.DataType.FLOAT16)
        cast = onnx_ir.node("Cast", [small], {"to": int(onnx_ir.DataType.FLOAT)})
        whole = cast.outputs[0]
        whole.shape, whole.type = value.shape, value.type
        value.replace_all_uses_with(whole)
        del model.graph.initializers[value.name]
        model.graph.initializers[name] = small
        model.graph.insert_before(model.graph[0], cast)


def save_onnx(model: Any, path: Path) -> None:
    """Write a graph, large weights in a file beside it."""
    import onnx_ir

    size = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None)
    onnx_ir.save(model, str(path), external_data=f"{path.name}.data" if size > _LARGEST_MESSAGE else None)


@contextmanager
def _loops_over_time() -> Iterator[None]:
    """Let `torch.export` trace an LSTM as a loop; it would unroll it to the sample's length."""
    from torch.export._patches import register_lstm_while_loop_decomposition

    lstm = torch.ops.aten.lstm.input
    try:
        with register_lstm_while_loop_decomposition():
            lstm._dispatch_cache.clear()  # which may remember the kernel of an earlier trace
            yield
    finally:
        lstm._dispatch_cache.clear()


@contextmanager
def tracing(network: nn.Module) -> Iterator[None]:
    """Keep the tracers' progress and their advice to their own authors out of the user's terminal; name failures."""
    loggers = [logging.getLogger(name) for name in ("torch", "transformers", "onnxscript", "root")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), torch.no_grad(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except ExportError:
        raise
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ExportError(f"{type(network).__name__} cannot be exported: {first}") from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
