"""Families whose networks are the hub's own: how they are built, loaded and saved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from hub_core.errors import SettingsError, unknown
from hub_core.examples import Array, Batch
from hub_core.nn.families import task_of
from hub_core.nn.weights import check_fit, write_weights
from hub_core.spec import WEIGHTS, HeadSpec

if TYPE_CHECKING:
    from hub_core.tasks.task import Task

#: Where a network around an encoder (`hub_core.nn.sentence`) has it; files name the encoder's tensors without it.
_ENCODER = "encoder"


class OwnFamily(ABC):
    """A family of networks that `transformers` does not have.

    A network with a head is a subclass of its encoder, so that the encoder's tensors have the same names in every file;
    tensors of a head start with one of `head_prefixes`.
    """

    name: ClassVar[str]
    supports: ClassVar[tuple[str, ...]]
    lowers: ClassVar[bool] = False
    head_prefixes: ClassVar[tuple[str, ...]] = ("head.", "classifier.")

    @abstractmethod
    def make(self, config: Mapping[str, Any], task: Task | None) -> nn.Module:
        """A network with random weights, for a task whose `auto_class` is one that the family has, or without a head.

        Raises SettingsError for an unusable config.
        """

    @abstractmethod
    def described(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The config, complete."""

    def build(self, config: Mapping[str, Any], *, heads: Sequence[HeadSpec]) -> nn.Module:
        """A network with random weights. Raises SettingsError for a task that the family has not, or several heads."""
        if not heads:
            return self.make(config, None).eval()
        if len(heads) > 1:
            raise SettingsError(f"networks of family {self.name} have one head, not {len(heads)}")
        if heads[0].task not in self.supports:
            raise SettingsError(unknown("task", heads[0].task, self.supports, where=f"of family {self.name}"))
        task = task_of(heads[0])
        if task.auto_class is None:
            return task.network(self.make(config, None), _ENCODER).eval()
        return self.make(config, task).eval()

    def load(
        self,
        tensors: Mapping[str, Tensor],
        config: Mapping[str, Any],
        *,
        heads: Sequence[HeadSpec],
        new_head: bool,
        where: str,
    ) -> nn.Module:
        """A network with these weights, as float32 whatever they are stored as.

        With `new_head` (or without a head) a given head is passed over, and a new one is random. Otherwise strict:
        raises CheckpointError that names `where` and every tensor that is missing, unknown, or of another shape.
        """
        network = self.build(config, heads=heads)
        found, own = dict(tensors), network.state_dict()
        wanted = {name.removeprefix(f"{_ENCODER}."): name for name in own}
        if new_head or not heads:
            found = {name: tensor for name, tensor in found.items() if not self._of_head(name)}
            wanted = {name: at for name, at in wanted.items() if not self._of_head(name)}
        check_fit(where, found, {name: own[at] for name, at in wanted.items()})
        network.load_state_dict({**own, **{at: found[name] for name, at in wanted.items()}})
        return network

    def holds(self, tensors: Collection[str], config: Mapping[str, Any], head: HeadSpec) -> bool:
        """Whether tensors of these names make up the whole of a head."""
        names = {name.removeprefix(f"{_ENCODER}.") for name in self.build(config, heads=[head]).state_dict()}
        return all(name in tensors for name in names if self._of_head(name))

    def save(self, network: nn.Module, folder: Path, *, dtype: str = "float32") -> None:
        """Write ``folder/model.safetensors``; `dtype` is ``float32``, ``float16`` or ``bfloat16``."""
        tensors = {name.removeprefix(f"{_ENCODER}."): tensor for name, tensor in network.state_dict().items()}
        write_weights(tensors, folder / WEIGHTS, dtype=dtype)

    def config_json(self, config: Mapping[str, Any], *, heads: Sequence[HeadSpec]) -> dict[str, Any]:
        """The content of the generated ``config.json``: every size, and the labels as `transformers` names them."""
        record: dict[str, Any] = {"model_type": self.name, **self.described(config)}
        record["architectures"] = [type(self.build(config, heads=heads)).__name__]
        for head in heads:
            record |= {
                key: {str(number): label for number, label in value.items()} if key == "id2label" else value
                for key, value in task_of(head).network_config().items()
            }
        return record

    def encoder(self, network: nn.Module) -> nn.Module:
        """The bare encoder of a network: one with a head gives what its encoder gives beside its logits."""
        found: nn.Module = getattr(network, _ENCODER, network)
        return found

    def loss(self, network: nn.Module, logits: Tensor, batch: Batch, task: Task) -> Tensor:  # noqa: ARG002
        """The summed, weighted loss of a batch of tensors, a scalar: the task's own."""
        return task.loss(logits, batch)

    def loss_weight(self, network: nn.Module, batch: Batch, task: Task) -> float:  # noqa: ARG002
        """What `loss` adds up, as the task counts."""
        return task.loss_weight(batch)

    def constants(self, network: nn.Module) -> dict[str, Array]:  # noqa: ARG002
        """What decoding needs beside logits: nothing."""
        return {}

    def max_length(self, config: Mapping[str, Any]) -> int | None:  # noqa: ARG002
        """The longest input the network can read: None, there is no limit."""
        return None

    def blocks(self, network: nn.Module) -> list[nn.Module]:  # noqa: ARG002
        """None: the networks are small, and a loss may read weights outside of the forward pass (a CRF's)."""
        return []

    def _of_head(self, name: str) -> bool:
        return name.startswith(self.head_prefixes)
