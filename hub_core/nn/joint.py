"""Several networks of `transformers` over one encoder, which runs once for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

from torch import Tensor, nn

#: What the encoder of the running joint network gave; of each thread its own.
_GIVEN: ContextVar[Any] = ContextVar("given")


class JointOutput(NamedTuple):
    """`logits` has one tensor per head, in the order of the heads."""

    logits: tuple[Tensor, ...]
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    pooler_output: Tensor | None = None


class _Given(nn.Module):
    """Stands where a network has its encoder, and gives what the shared one gave."""

    def forward(self, *_: Any, **__: Any) -> Any:
        """What the encoder gave in this call of the joint network."""
        return _GIVEN.get()


class JointNetwork(nn.Module):
    """The heads of several networks on one encoder.

    Files name the encoder's tensors as those of a single network do (``bert....``), and the others
    ``heads.<name>....``.
    """

    def __init__(self, networks: Mapping[str, Any]) -> None:
        super().__init__()
        self.base_model_prefix = str(next(iter(networks.values())).base_model_prefix)
        encoders = [getattr(network, self.base_model_prefix) for network in networks.values()]
        # The one with the most parts: a classifier of tokens comes without the pooler that one of texts needs.
        shared = max(encoders, key=lambda encoder: len(encoder.state_dict()))
        for network in networks.values():
            setattr(network, self.base_model_prefix, _Given())
        self.add_module(self.base_model_prefix, shared)
        self.heads = nn.ModuleDict(networks)

    def forward(self, **inputs: Any) -> JointOutput:
        """Run the encoder once, and each head on what it gives."""
        result = self.get_submodule(self.base_model_prefix)(**inputs)
        token = _GIVEN.set(result)
        try:
            logits = tuple(head(**inputs).logits for head in self.heads.values())
        finally:
            _GIVEN.reset(token)
        return JointOutput(
            logits,
            getattr(result, "hidden_states", None),
            getattr(result, "attentions", None),
            getattr(result, "pooler_output", None),
        )
