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
_AXES = ("batch", "length")


class LogitsOnly(nn.Module):
    """A network whose answer is its logits alone, with its inputs by position."""

    def __init__(self, network: nn.Module, inputs: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.inputs = inputs

    def forward(self, *arrays: torch.Tensor) -> torch.Tensor:
        """Logits of int64 arrays ``(batch, length)``."""
        logits: torch.Tensor = logits_of(self.network(**dict(zip(self.inputs, arrays, strict=True))))
        return logits


def to_program(
    network: nn.Module, sample: Mapping[str, torch.Tensor], *, max_length: int | None
) -> torch.export.ExportedProgram:
    """A network as torch's own graph, of any batch and of any length up to `max_length`.

    Raises ExportError where torch cannot trace it so.
    """
    wrapped = LogitsOnly(network, tuple(sample)).eval()
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=max_length)}
    shapes = {"arrays": (free,) * len(sample)}
    with tracing(network), _loops_over_time():
        return torch.export.export(wrapped, tuple(sample.values()), dynamic_shapes=shapes)


def to_onnx(network: nn.Module, sample: Mapping[str, torch.Tensor], *, fused: bool) -> Any:
    """A network as an `onnx_ir.Model` with one output ``logits``.

    `fused` puts ONNX Runtime's own operators in (attention, layer norm with its residual): other runtimes do not
    know them. Raises ExportError where the network cannot be traced.
    """
    from transformers import PreTrainedModel

    with tracing(network):
        plain = isinstance(network, PreTrainedModel) and not hasattr(network, "qa_outputs")
        model = _pretrained(network, sample, fused) if plain else _own(network, sample)
    _name_axes(model, tuple(sample))
    return model


def _pretrained(network: Any, sample: Mapping[str, torch.Tensor], fused: bool) -> Any:
    from transformers.exporters.configs import OnnxConfig
    from transformers.exporters.exporter_onnx import OnnxExporter

    shapes = {name: dict.fromkeys(range(2), torch.export.Dim.AUTO) for name in sample}
    config = OnnxConfig(dynamic_shapes=shapes, ort_fusions="cpu" if fused else None)
    exporter: Any = OnnxExporter  # its constructor has no types
    return exporter().export(network, dict(sample), config).program


def _own(network: nn.Module, sample: Mapping[str, torch.Tensor]) -> Any:
    shapes = {"arrays": tuple(dict.fromkeys(range(2), torch.export.Dim.AUTO) for _ in sample)}
    program = torch.onnx.export(
        LogitsOnly(network, tuple(sample)).eval(),
        tuple(sample.values()),
        dynamo=True,
        dynamic_shapes=shapes,
        input_names=list(sample),
        output_names=["logits"],
        verbose=False,
    )
    if program is None:
        raise ExportError("torch.onnx.export gave no program")
    return program.model


def _name_axes(model: Any, inputs: tuple[str, ...]) -> None:
    """Say of inputs and output which axes are of any size; the tracer may have left the sample's sizes in."""
    import onnx_ir

    names = [value.name for value in model.graph.inputs]
    if sorted(names) != sorted(inputs):
        raise ExportError(f"the graph takes {', '.join(names)}, the tokenizer gives {', '.join(inputs)}")
    for value in model.graph.inputs:
        value.shape = onnx_ir.Shape(_AXES)
    logits = next((value for value in model.graph.outputs if value.name == "logits"), None)
    if logits is None or logits.shape is None:
        raise ExportError(f"the graph gives {', '.join(value.name for value in model.graph.outputs)}, and no logits")
    *_, labels = logits.shape
    logits.shape = onnx_ir.Shape((*_AXES[: len(logits.shape) - 1], labels))
    del model.graph.outputs[:]
    model.graph.outputs.append(logits)


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
