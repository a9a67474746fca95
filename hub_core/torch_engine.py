"""How torch computes answers: on which device, in which precision, how many tokens together."""

from __future__ import annotations

import copy
import functools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hub_core.errors import DeviceError, SettingsError, unknown
from hub_core.examples import Array, Batch
from hub_core.infer.predictor import Logits
from hub_core.nn.outputs import logits_of

if TYPE_CHECKING:
    from hub_core.torch_module import TorchModule

#: The names of precisions; ``auto`` is bfloat16 where the device computes it natively, else float32.
DTYPES: Mapping[str, torch.dtype | None] = {
    "auto": None,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
#: Tokens per batch by kind of device, measured (docs/performance.md): on a CPU what a layer needs stays in its cache,
#: on a GPU a batch must be large to keep it busy.
_TOKENS = {"cpu": 1024, "cuda": 32768}


class TorchEngine:
    """Runs batches through a module on its device, in inference mode; see `hub_core.infer.predictor.Engine`."""

    def __init__(self, module: TorchModule, *, dtype: str = "auto") -> None:
        self._module = module
        self._dtype = chosen_dtype(dtype, module.device, lowers=module.family.lowers)
        self.tokens_per_batch = _TOKENS.get(module.device.type, 4096)

    def run(self, batch: Batch) -> Logits:
        """The float32 logits of a batch."""
        return next(self.stream([batch]))

    def stream(self, batches: Iterable[Batch]) -> Iterator[Logits]:
        """The float32 logits of each batch in turn; a GPU has begun with the next one before they are waited for."""
        waiting: Callable[[], Logits] | None = None
        for batch in batches:
            begun = self._begin(batch)
            if waiting is not None:
                yield waiting()
            waiting = begun
        if waiting is not None:
            yield waiting()

    def _begin(self, batch: Batch) -> Callable[[], Logits]:
        """Start with a batch; the logits when they are called for."""
        module = self._module
        inputs = {name: to_device(array, module.device) for name, array in batch.inputs.items()}
        with module.answering():
            if self._dtype is torch.float32:
                logits = module(inputs).logits
            else:
                logits = logits_of(module.lowered.network(module.network, self._dtype)(**inputs))
            several = isinstance(logits, tuple)
            found = [part.float().to("cpu", non_blocking=True) for part in (logits if several else (logits,))]

        def arrays() -> Logits:
            parts = tuple(part.numpy() for part in found)
            return parts if several else parts[0]

        if module.device.type != "cuda":
            return arrays
        copied: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record()

        def wait() -> Logits:
            copied.synchronize()
            return arrays()

        return wait

    def constants(self) -> Mapping[str, Array]:
        """Arrays that decoding needs beside the logits, in float64."""
        arrays = self._module.family.constants(self._module.network)
        return {name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()}


def to_device(array: Any, device: torch.device) -> torch.Tensor:
    """An array as a tensor on a device. A GPU copies it out of pinned memory while it computes what came before."""
    tensor = torch.as_tensor(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


class Lowered:
    """Keeps a copy of a network in a lower precision for as long as the network's weights stay what they are.

    A change is seen by torch's version counters, which writes through ``parameter.data`` pass by. So do fused
    optimizers; their steps are counted for them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: object = None
        self._copy: nn.Module | None = None

    def network(self, network: nn.Module, dtype: torch.dtype) -> nn.Module:
        """The network's copy in `dtype`, in evaluation mode."""
        tensors = [*network.parameters(), *network.buffers()]
        state = (dtype, tuple((tensor.data_ptr(), tensor._version) for tensor in tensors))
        with self._lock:
            if self._copy is None or self._state != state:
                _count_fused_steps()
                with torch.inference_mode(False), torch.no_grad():
                    self._copy = copy.deepcopy(network).to(dtype).eval().requires_grad_(requires_grad=False)
                self._state = state
            return self._copy


@functools.cache
def _count_fused_steps() -> None:
    """Let every fused step raise the version counters of what it changed, as the steps of other optimizers do."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    register_optimizer_step_post_hook(_count_step)


def _count_step(optimizer: torch.optim.Optimizer, *_: object) -> None:
    changed = [
        parameter
        for group in optimizer.param_groups
        if group.get("fused")
        for parameter in group["params"]
        if parameter.grad is not None
    ]
    torch.autograd.graph.increment_version(changed)


def chosen_dtype(name: str, device: torch.device, *, lowers: bool) -> torch.dtype:
    """The precision to compute in. `lowers`: whether the network gains from a lower one (then ``auto`` takes it).

    Raises SettingsError for an unknown name, and for float16 on a CPU, which computes it slowly.
    """
    if name not in DTYPES:
        raise SettingsError(unknown("dtype", name, DTYPES))
    if name == "float16" and device.type == "cpu":
        raise SettingsError("dtype='float16' is for GPUs; a CPU computes in bfloat16 (where it has it) or float32")
    if name == "auto":
        return torch.bfloat16 if lowers and has_bfloat16(device) else torch.float32
    return DTYPES[name] or torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 numbers by itself (AVX-512 BF16, AMX; NVIDIA since Ampere).

    ``$HUB_BFLOAT16`` (0 or 1) says otherwise, so that ``auto`` means the same on different machines.
    """
    if (said := os.environ.get("HUB_BFLOAT16", "")) in ("0", "1"):
        return said == "1"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def pick_device(use_gpu: bool) -> torch.device:
    """The device for PaddleHub's `use_gpu`. Raises DeviceError where a GPU is asked for and there is none."""
    if not use_gpu:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceError(
            "a GPU is asked for (use_gpu=True), but torch finds no CUDA device here; without it the CPU computes"
        )
    return torch.device("cuda", torch.cuda.current_device())
