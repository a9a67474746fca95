"""Small computations that show whether an engine works here: ``python -m hub_core.probes onnx`` prints what it found.

Each runs in a process of its own (`hub_core.doctor` starts them), since a library that does not fit the machine may
take the process down with it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

#: One product of matrices as an ONNX graph: ``y = x @ [[1, 2], [3, 4]]``, x and y of shape (1, 2).
GRAPH = (
    b'\x08\x08\x12\x00:]\n\x11\n\x01x\n\x01w\x12\x01y"\x06MatMul\x12\x01g*\x1b\x08\x02\x08\x02\x10\x01"\x10'
    b"\x00\x00\x80?\x00\x00\x00@\x00\x00@@\x00\x00\x80@B\x01wZ\x13\n\x01x\x12\x0e\n\x0c\x08\x01\x12\x08\n\x02"
    b"\x08\x01\n\x02\x08\x02b\x13\n\x01y\x12\x0e\n\x0c\x08\x01\x12\x08\n\x02\x08\x01\n\x02\x08\x02B\x04\n\x00\x10\r"
)
_INPUT, _WEIGHT, _PRODUCT = [[1.0, 1.0]], [[1.0, 2.0], [3.0, 4.0]], [[4.0, 6.0]]


def probe_onnx() -> dict[str, Any]:
    """ONNX Runtime on the CPU, as modules use it."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(GRAPH, providers=["CPUExecutionProvider"])
    _check(session.run(["y"], {"x": np.array(_INPUT, np.float32)})[0].tolist())
    return {"found": "computes on the CPU"}


def probe_openvino() -> dict[str, Any]:
    """OpenVINO on the CPU."""
    import numpy as np
    import openvino

    core = openvino.Core()
    model = core.compile_model(core.read_model(GRAPH), "CPU")
    _check(model([np.array(_INPUT, np.float32)])[0].tolist())
    return {"found": "computes on the CPU"}


def probe_torch() -> dict[str, Any]:
    """torch on every device that it sees."""
    import torch

    gpus = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    devices = [_device(device) for device in (torch.device("cpu"), *gpus)]
    build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for CPUs alone"
    return {"found": f"computes on {', '.join(row['name'] for row in devices)}; {build}", "devices": devices}


def probe_transformers() -> dict[str, Any]:
    """A network of `transformers`, such as most modules are."""
    import torch
    from transformers import AutoConfig, AutoModel

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    auto: Any = AutoModel
    network = auto.from_config(AutoConfig.for_model("bert", vocab_size=8, **sizes)).eval()
    with torch.inference_mode():
        states = network(torch.tensor([[1, 2, 3]])).last_hidden_state
    if tuple(states.shape) != (1, 3, 8) or not bool(torch.isfinite(states).all()):
        raise ArithmeticError(f"a small BERT gives {states.tolist()}")
    return {"found": "a small BERT computes"}


#: The engines and what tries them.
PROBES: Mapping[str, Callable[[], dict[str, Any]]] = MappingProxyType(
    {"torch": probe_torch, "transformers": probe_transformers, "onnx": probe_onnx, "openvino": probe_openvino}
)


def _device(device: Any) -> dict[str, Any]:
    """What torch says of a device, after a computation on it."""
    import torch

    from hub_core.torch_engine import has_bfloat16

    _check((torch.tensor(_INPUT, device=device) @ torch.tensor(_WEIGHT, device=device)).tolist())
    if device.type == "cpu":
        about = f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    else:
        found = torch.cuda.get_device_properties(device)
        about = f"{found.name}, {found.total_memory / 2**30:.0f} GiB"
    return {"name": str(device), "about": about, "bfloat16": has_bfloat16(device)}


def _check(product: list[list[float]]) -> None:
    if product != _PRODUCT:
        raise ArithmeticError(f"a product of two matrices is {product}, and should be {_PRODUCT}")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(PROBES[sys.argv[1]]()) + "\n")
