"""`hub export`: a trained module as a folder with a graph, its tokenizer and labels, and a report on the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hub_core.errors import CheckpointError, DataError, ExportError, LabelError, SettingsError, unknown
from hub_core.examples import Array, Batch, Example
from hub_core.export.conversion import halve, save_onnx, to_onnx, to_program, tracing
from hub_core.infer.graphs import FORMATS, Graph, open_graph, output_of
from hub_core.infer.predictor import Engine, Logits, Predictor
from hub_core.paths import atomic_folder
from hub_core.spec import GRAPH, MANIFEST
from hub_core.tasks.joint import Joint
from hub_core.tasks.task import Task
from hub_core.torch_engine import TorchEngine
from hub_core.torch_module import TorchModule, check_strangers, check_target, default_card

_FILES = {"onnx": "graph.onnx", "openvino": "graph.xml", "torch": "graph.pt2"}
#: The packages that make a graph, beyond those that the hub stands on.
_NEEDS = {"onnx": ("onnx", "onnxscript"), "openvino": ("onnx", "onnxscript", "openvino"), "torch": ()}
#: The most that float32 logits of a graph may differ from torch's: rounding in another order moves them by 1e-5.
_CLOSE = 1e-3
#: Rows and lengths of the batches on which graph and network are compared.
_SHAPES = ((1, 3), (3, 17), (2, 64), (1, 200))


@dataclass(frozen=True)
class Gate:
    """What an int8 graph has to pass: labelled rows, and how much of the task's main metric it may lose on them."""

    examples: Sequence[Example]
    max_loss: float = 0.01


def export_module(
    module: TorchModule, folder: str | Path, *, format: str = "onnx", int8: bool = False, gate: Gate | None = None
) -> Graph:
    """Write a module with a trained head as a folder that answers without its network's code.

    `format` is ``onnx`` (for ONNX Runtime), ``openvino``, or ``torch`` (`torch.export`). With `int8` (onnx only)
    weights and activations are 8-bit integers, which processors with VNNI multiply four at a time; a `gate` decides
    whether the loss of accuracy is small enough. ``hub_core.Module(directory=folder)`` loads what comes out.

    A module of several heads becomes one graph, which answers for all of them in one pass; to measure it
    (`gate`), pick a head.

    Raises SettingsError (no task, unknown format, int8 without a gate), DataError (a gate's rows without labels, up to
    20 of them named), ExportError (a network that cannot be traced,
    a graph whose answers differ, an int8 graph that loses too much), CheckpointError (a folder that holds other
    things, or cannot be written). In all these cases nothing is written.
    """
    _check(module, format, int8, gate)
    target = Path(folder)
    check_target(target)
    graph = Graph(
        format,
        _FILES[format],
        tuple(module.tokenizer.input_names),
        _outputs(module.known_task()),
        "int8" if int8 else "float32",
        module.max_length,
        {name: array.tolist() for name, array in TorchEngine(module).constants().items()},
    )
    device = module.device
    module.to("cpu")
    try:
        with atomic_folder(target) as staged:
            graph = _written(module, graph, gate, staged)
            check_strangers(target, staged)
    except OSError as error:
        raise CheckpointError(f"{target} could not be written: {error.strerror or error}") from error
    finally:
        module.to(device)
    return graph


def _written(module: TorchModule, graph: Graph, gate: Gate | None, folder: Path) -> Graph:
    """Write and measure a graph; with its report. Raises ExportError where it is not equal enough."""
    _write_graph(module, graph, folder)
    engine = open_graph(graph, folder, dtype="float32")
    report: dict[str, Any] = {"largest_difference": _difference(module, engine, exact=graph.precision == "float32")}
    if gate is not None:
        report["accuracy"] = _accuracy(module, engine, gate, graph.precision)
    graph = replace(graph, report=report)
    _write_rest(module, graph, folder)
    return graph


def _check(module: TorchModule, format: str, int8: bool, gate: Gate | None) -> None:
    module.known_task()
    if not isinstance(module, TorchModule):  # `hub_core.Module` gives what the folder has
        raise SettingsError(f"{module.spec.title} is a graph already; export the module that it was made from")
    if format not in FORMATS:
        raise SettingsError(unknown("format", format, FORMATS, where="to export to"))
    if int8 and format != "onnx":
        raise SettingsError(f"int8 graphs are made for ONNX Runtime (format='onnx'), not for {format!r}")
    if int8 or gate is not None:
        check_measurable(module)
    if int8 and gate is None:
        raise SettingsError("an int8 graph needs labelled rows to be measured on: --data FOLDER, or gate=Gate(examples)")
    if gate is not None:
        _check_rows(module.known_task(), gate.examples)
    for package in _NEEDS[format]:
        if find_spec(package) is None:
            extra = "openvino" if package == "openvino" else "export"
            raise SettingsError(f"exporting to {format} needs {package}; `pip install 'hub_core[{extra}]'` brings it")


def check_measurable(module: TorchModule) -> None:
    """Raise SettingsError for a module of several heads: rows carry the labels of one task."""
    task = module.known_task()
    if isinstance(task, Joint):
        raise SettingsError(
            f"a graph is measured for one task, and {module.spec.title} answers for {', '.join(task.parts)} together; "
            "pick one with task= (or head=)"
        )


def _check_rows(task: Task, examples: Sequence[Example]) -> None:
    if not examples:
        raise SettingsError("the data to measure the graph on has no rows")
    problems = []
    for number, example in enumerate(examples, start=1):
        try:
            task.check_labelled(example)
        except LabelError as error:
            problems.append(f"{example.key or f'row {number}'}: {error}")
    if problems:
        raise DataError(problems[:20], more=max(0, len(problems) - 20))


def _outputs(task: Task) -> tuple[str, ...]:
    """What a graph's logits are called."""
    return tuple(map(output_of, task.parts)) if isinstance(task, Joint) else ("logits",)


def _write_graph(module: TorchModule, graph: Graph, folder: Path) -> None:
    path = folder / graph.file
    network = module.network
    modes = [(part, part.training) for part in network.modules()]
    network.eval()
    try:
        if graph.format == "torch":
            program = to_program(
                network,
                _sample(module),
                outputs=graph.outputs,
                texts=module.known_task().texts,
                max_length=graph.max_length,
            )
            torch.export.save(program, str(path))
            return
        model = to_onnx(network, _sample(module), outputs=graph.outputs, fused=graph.format == "onnx")
        if graph.precision == "int8":
            model = _quantized(module, model)
        if graph.format == "onnx":
            halve(model)
            save_onnx(model, path)
        else:
            _save_openvino(model, path)
    finally:
        for part, training in modes:
            part.training = training


def _quantized(module: TorchModule, model: Any) -> Any:
    """Weights to int8 by column; activations are quantised as they come, so nothing has to be calibrated."""
    from transformers.exporters.configs import ExportFormat
    from transformers.exporters.quantizers.quantizer_onnxruntime import OnnxRuntimeDynamicConfig, OnnxRuntimeQuantizer

    quantizer = OnnxRuntimeQuantizer(OnnxRuntimeDynamicConfig(per_channel=True))
    with tracing(module.network):
        return quantizer.quantize(model, _sample(module), ExportFormat.ONNX)


def _save_openvino(model: Any, path: Path) -> None:
    """Through ONNX: OpenVINO's own converter for torch tells its makers that it was used."""
    import openvino

    onnx_path = path.with_suffix(".onnx")
    save_onnx(model, onnx_path)
    openvino.save_model(openvino.Core().read_model(str(onnx_path)), str(path), compress_to_fp16=False)
    for left in path.parent.glob(f"{onnx_path.name}*"):
        left.unlink()


def _sample(module: TorchModule) -> dict[str, torch.Tensor]:
    """Two rows of unlike length: with rows all of one length a tracer would leave the mask out."""
    return {name: torch.from_numpy(array) for name, array in _rows(module, 2, 7, np.random.default_rng(0)).items()}


def _rows(module: TorchModule, rows: int, length: int, generator: np.random.Generator) -> dict[str, Array]:
    """Random token ids as the module's tokenizer would give them, every second row shorter and padded."""
    rows *= module.known_task().texts
    lengths = np.array([length if row % 2 == 0 else max(1, length - 2) for row in range(rows)])
    mask = (np.arange(length) < lengths[:, None]).astype(np.int64)
    ids = generator.integers(0, module.tokenizer.vocab_size, (rows, length))
    arrays = {
        "input_ids": np.where(mask, ids, module.tokenizer.pad_id),
        "token_type_ids": np.zeros_like(ids),
        "attention_mask": mask,
    }
    return {name: arrays[name] for name in module.tokenizer.input_names}


def _difference(module: TorchModule, engine: Engine, *, exact: bool) -> float:
    """The largest difference of logits between network and graph over several shapes, padding left out."""
    reference, generator, largest = TorchEngine(module, dtype="float32"), np.random.default_rng(1), 0.0
    limit = module.max_length
    for rows, length in _SHAPES:
        inputs = _rows(module, rows, length if limit is None else min(length, limit), generator)
        batch = Batch({"main": inputs})
        mask = inputs.get("attention_mask", np.ones_like(inputs["input_ids"])).astype(bool)
        try:
            answered = _each(engine.run(batch))
        except Exception as error:  # each runtime has exceptions of its own
            raise ExportError(
                f"the graph of {module.spec.title} cannot read {rows} row(s) of {length} tokens: {error}"
            ) from error
        for wanted, found in zip(_each(reference.run(batch)), answered, strict=True):
            apart = np.abs(wanted - found)
            largest = max(largest, float((apart[mask] if apart.ndim == 3 else apart).max()))
    if exact and not largest <= _CLOSE:
        raise ExportError(f"the graph of {module.spec.title} differs from the network by {largest:.2g} in its logits")
    return largest


def _each(logits: Logits) -> tuple[Array, ...]:
    """The logits of each head."""
    return logits if isinstance(logits, tuple) else (logits,)


def _accuracy(module: TorchModule, engine: Engine, gate: Gate, precision: str) -> dict[str, Any]:
    """The main metric of network and graph on the gate's rows. Raises ExportError where the graph loses too much."""
    before, after = module.predictor(), _predictor(module, engine)
    task = before.task
    scores = [task.metrics(gate.examples, list(p.predict(gate.examples))) for p in (before, after)]
    metric = task.compared(scores[0])
    wanted, found = (one[metric] for one in scores)
    if not wanted - found <= gate.max_loss:
        raise ExportError(
            f"the {precision} graph of {module.spec.title} was not written: on {len(gate.examples)} rows its {metric} "
            f"is {found:.4f} where the network's is {wanted:.4f}, and it may lose {gate.max_loss:g} at most"
        )
    return {"metric": metric, "rows": len(gate.examples), "network": wanted, "graph": found, "max_loss": gate.max_loss}


def _predictor(module: TorchModule, engine: Engine) -> Predictor:
    whole = module.predictor()
    return Predictor(whole.task, whole.tokenizer, engine, max_length=whole.max_length)


def _write_rest(module: TorchModule, graph: Graph, folder: Path) -> None:
    """What belongs to a module beside the graph: manifest, tokenizer, labels, card."""
    task = module.known_task()
    spec = replace(module.spec, tokenizer=module.tokenizer.save(folder), heads=task.head_specs(), files=(), loads_in={})
    (folder / GRAPH).write_text(graph.dumps(), encoding="utf-8")
    (folder / MANIFEST).write_text(spec.dumps(), encoding="utf-8")
    lines = [f"- graph: {graph.format}, {graph.precision}", *(f"- {line}" for line in _told(graph.report))]
    (folder / "README.md").write_text(default_card(spec) + "\n".join(lines) + "\n", encoding="utf-8")


def _told(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"largest difference of logits from torch: {report['largest_difference']:.2g}"
    if "accuracy" in report:
        found = report["accuracy"]
        yield f"{found['metric']} on {found['rows']} rows: {found['graph']:.4f} (torch: {found['network']:.4f})"
