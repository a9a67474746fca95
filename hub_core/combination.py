"""`hub combine`: modules that share their encoder as one module, which reads a text once and answers for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from hub_core.errors import SettingsError
from hub_core.tasks.joint import Joint
from hub_core.torch_module import TorchModule


def combine(parts: Mapping[str, TorchModule]) -> TorchModule:
    """One module with the heads of several, each under the name it is given here.

    Their encoders must be the same, number by number: train the first as you like, and the others from it with
    ``freeze='encoder'`` and a new head. ``predict`` then answers ``{name: answer}``, and
    ``hub_core.Module(directory=..., head=name)`` loads one head alone.

    Raises SettingsError for fewer than two modules, other networks or vocabularies, encoders that differ (naming the
    first tensor that does), and tasks whose networks read their rows in another way than seq-cls and token-cls.
    """
    if len(parts) < 2:
        raise SettingsError("combining takes at least two modules")
    (first_name, first), *others = parts.items()
    for name, module in others:
        _check_alike(first_name, first, name, module)
    task = Joint({name: module.known_task() for name, module in parts.items()})
    tensors = _tensors(parts)
    heads = task.head_specs()
    network = first.family.load(tensors, first.spec.config, heads=heads, new_head=False, where="the combined weights")
    base = first.spec.base or f"{first.spec.name}=={first.spec.version}"
    spec = replace(
        first.spec,
        name=f"{base.partition('==')[0]}-{'-'.join(parts)}",
        version="0.1.0",
        summary=f"{', '.join(parts)} on one encoder, from {base}",
        base=base,
        heads=heads,
        also_versions=(),
        loads_in={},
        files=(),
        metrics={},
    )
    return TorchModule(spec, first.family, network, first.tokenizer, task)


def _check_alike(first_name: str, first: TorchModule, name: str, module: TorchModule) -> None:
    pairs = {
        "families": (first.spec.family, module.spec.family),
        "sizes (config)": (dict(first.spec.config), dict(module.spec.config)),
        "vocabularies": (first.tokenizer.get_vocab(), module.tokenizer.get_vocab()),
    }
    for what, (one, other) in pairs.items():
        if one != other:
            raise SettingsError(f"{first_name} and {name} have different {what}; they cannot share an encoder")


def _tensors(parts: Mapping[str, TorchModule]) -> dict[str, torch.Tensor]:
    """The encoder's tensors once, and each head's under its name. Raises SettingsError where encoders differ."""
    found: dict[str, torch.Tensor] = {}
    for name, module in parts.items():
        prefix = f"{getattr(module.network, 'base_model_prefix', '')}."
        for key, tensor in module.network.state_dict().items():
            if not key.startswith(prefix):
                found[f"heads.{name}.{key}"] = tensor
            elif key not in found:
                found[key] = tensor
            elif not torch.equal(found[key].cpu(), tensor.cpu()):
                raise SettingsError(
                    f"the encoder of {name} differs from that of {next(iter(parts))} (in {key}); train it from that "
                    "module with freeze='encoder' and a new head"
                )
    return found
