"""A network from below: embeddings, blocks, head. What layer-wise learning rates and freezing go by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import nn

from hub_core.errors import SettingsError

if TYPE_CHECKING:
    from hub_core.torch_module import TorchModule
    from hub_core.train.settings import TrainSettings


class Layers:
    """The layers of a network, by depth: 0 is what stands before its first block (the embeddings), 1 the first block.

    `top` is everything that follows the last block: final norms, the pooler, the task's head. What counts is the
    order in which a network's parts were registered. Raises SettingsError for a network without blocks.
    """

    def __init__(self, module: TorchModule) -> None:
        network = module.network
        self._blocks = list(dict.fromkeys(module.family.blocks(network)))
        if not self._blocks:
            raise SettingsError(
                f"layer_decay and freeze are for networks of repeated layers; {module.spec.title} "
                f"(family {module.spec.family}) has none"
            )
        self.top = len(self._blocks) + 1
        self._network = network
        self._depths: dict[nn.Parameter, int] = {}
        for number, block in enumerate(self._blocks, start=1):
            for parameter in block.parameters():
                self._depths.setdefault(parameter, number)
        below = True
        for name, parameter in network.named_parameters():
            below = below and parameter not in self._depths
            # A parameter of the outermost module itself (a CRF's transitions) belongs to the head.
            self._depths.setdefault(parameter, 0 if below and "." in name else self.top)

    def depth(self, parameter: nn.Parameter) -> int:
        """Where a parameter stands; what is not the network's (an objective's own) stands with the head."""
        return self._depths.get(parameter, self.top)

    def parameters(self, *, below: int) -> list[nn.Parameter]:
        """The parameters of all layers under a depth."""
        return [parameter for parameter, depth in self._depths.items() if depth < below]

    def parts(self, *, below: int) -> list[nn.Module]:
        """The modules of all layers under a depth, those without parameters (dropout) included."""
        parts = list(self._blocks[: below - 1]) if below > 1 else []
        return [*self._before_blocks(), *parts] if below > 0 else []

    def _before_blocks(self) -> list[nn.Module]:
        """The modules registered before the first block, without those that it stands in."""
        first = self._blocks[0]
        found = []
        for part in self._network.modules():
            if part is first:
                break
            if first not in part.modules():
                found.append(part)
        return found


def frozen_below(layers: Layers, settings: TrainSettings) -> int:
    """The depth under which nothing is trained. Raises SettingsError where there are fewer blocks than that."""
    blocks = layers.top - 1
    if settings.freeze_blocks > blocks:
        raise SettingsError(f"freeze_blocks={settings.freeze_blocks}, but there are only {blocks} blocks")
    if settings.freeze == "encoder":
        return layers.top
    return settings.freeze_blocks + 1 if settings.freeze == "embeddings" or settings.freeze_blocks else 0


def freezes(settings: TrainSettings) -> bool:
    """Whether any part of the network is not to be trained."""
    return settings.freeze != "none" or settings.freeze_blocks > 0


def frozen_parameters(module: TorchModule, settings: TrainSettings) -> list[nn.Parameter]:
    """The parameters that `freeze` and `freeze_blocks` take out of training."""
    if not freezes(settings):
        return []
    layers = Layers(module)
    return layers.parameters(below=frozen_below(layers, settings))


def frozen_parts(module: TorchModule, settings: TrainSettings) -> list[nn.Module]:
    """The modules that stay in evaluation mode: a part that does not learn computes what it will when it answers."""
    if not freezes(settings):
        return []
    layers = Layers(module)
    return layers.parts(below=frozen_below(layers, settings))


@contextmanager
def without_gradients(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """For the length of the block these parameters have no gradient; afterwards they are as they were."""
    were = [parameter.requires_grad for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, wanted in zip(parameters, were, strict=True):
            parameter.requires_grad_(wanted)
