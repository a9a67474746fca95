"""Which of `transformers`' classes a state dict is for, and the module's head where that class has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from hub_core.convert.names import NAME_MAPS
from hub_core.convert.tensors import listed
from hub_core.errors import ConvertError, unknown
from hub_core.hf_layout import ANSWERS, PROBLEMS, TASKS
from hub_core.spec import HeadSpec

#: The last layer of a classifier; its rows are the labels.
_OUTPUTS = ("classifier.out_proj.weight", "classifier.weight", "score.weight")


@dataclass(frozen=True)
class Head:
    """`architecture` is the class; `spec` the module's head, None where the class has none that is a task here, and
    then `config` holds what config.json has to say of its labels."""

    architecture: str
    spec: HeadSpec | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


def architecture_for(family: str, named: str | None, task: str | None, *, where: str) -> str | None:
    """The class that a configuration (`where`) names, or that of the task that the caller names.

    Raises ConvertError for an unknown task, or where the two are different heads.
    """
    if task is None:
        return named
    endings = {known: ending for ending, known in TASKS.items()}
    if task not in endings:
        raise ConvertError(unknown("task", task, endings))
    if named is not None and named.endswith(tuple(endings.values())) and not named.endswith(endings[task]):
        raise ConvertError(f"task={task!r} was asked for, and {where} names {named}")
    if named is not None and named.endswith(endings[task]):
        return named
    return _class_name(family, endings[task], where)


def head_of(
    architecture: str,
    tensors: Mapping[str, torch.Tensor],
    *,
    stated: Sequence[str] | int | None,
    asked: Sequence[str] | None,
    problem_type: str | None,
    where: str,
) -> Head:
    """The head of a class with these weights.

    `stated` are the labels of the configuration, or only their number; `asked` those of the caller, which win.
    Without either they are ``LABEL_0`` and so on, as `transformers` names them.

    Raises ConvertError where their number is not that of the weights' outputs, or labels are asked for without a
    classifier.
    """
    task = next((task for ending, task in TASKS.items() if architecture.endswith(ending)), None)
    if architecture.endswith(ANSWERS) and asked is None:
        return Head(architecture, HeadSpec("question-answering", ()))
    if task is None:
        if asked is not None:
            raise ConvertError(f"{where}: labels were given, and {architecture} is no classifier; pass task= as well")
        return Head(architecture)
    output = next((name for name in _OUTPUTS if name in tensors), None)
    if output is None:
        raise ConvertError(f"{where} says {architecture}, and the weights have no classifier ({' or '.join(_OUTPUTS)})")
    count = int(tensors[output].shape[0])
    number = stated if isinstance(stated, int) else count
    given = asked if asked is not None else stated if isinstance(stated, Sequence) else None
    labels = tuple(given) if given is not None else tuple(f"LABEL_{target}" for target in range(number))
    if len(labels) != count:
        raise ConvertError(f"{where}: {len(labels)} labels for a classifier of {count} outputs ({output})")
    if len(set(labels)) != len(labels) or not all(isinstance(label, str) and label for label in labels):
        raise ConvertError(f"{where}: labels must be different strings, none of them empty: {listed(map(str, labels))}")
    problem = "regression" if count == 1 else PROBLEMS.get(str(problem_type))
    if problem == "regression" and count > 1:  # several numbers at once are no task here
        return Head(architecture, None, {"problem_type": problem_type})
    if task == "seq-cls" and problem is not None:
        spelt = {name: word for word, name in PROBLEMS.items()}[problem]
        return Head(architecture, HeadSpec(task, labels, options={"problem": problem}), {"problem_type": spelt})
    return Head(architecture, HeadSpec(task, labels))


def default_class(family: str, *, where: str) -> str:
    """The class of the bare encoder, for a ``config.json`` (`where`) that names none."""
    return _class_name(family, "Model", where)


def check_fits(record: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], *, where: str) -> None:
    """Build the class that a ``config.json`` names, without memory for its weights, and compare.

    Raises ConvertError naming every tensor that it needs and the file does not have, or has in another shape.
    """
    network = _empty_network(record, where)
    tied: Mapping[str, str] = getattr(network, "all_tied_weights_keys", None) or {}
    prefix = f"{network.base_model_prefix}."
    missing, shapes = [], []
    for name, wanted in network.state_dict().items():
        forms = (name, f"{prefix}{name}", name.removeprefix(prefix))
        found = next((tensors[form] for form in forms if form in tensors), None)
        if found is None and name not in tied:
            missing.append(name)
        elif found is not None and found.shape != wanted.shape:
            shapes.append(f"{name} {tuple(found.shape)} instead of {tuple(wanted.shape)}")
    parts = [f"without {listed(missing)}"] if missing else []
    parts += [f"with other shapes: {listed(shapes)}"] if shapes else []
    if parts:
        raise ConvertError(f"{where} is not a whole {record['architectures'][0]}: {'; '.join(parts)}")


def _class_name(family: str, ending: str, where: str) -> str:
    """`transformers`' class of a family: ``bert`` and ``ForTokenClassification`` are BertForTokenClassification."""
    if family in NAME_MAPS:
        return family.capitalize() + ending
    from transformers import (
        CONFIG_MAPPING,
        AutoModel,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
    )

    autos = (AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification)
    auto = next(a for a in autos if a.__name__.endswith(ending))
    if family not in CONFIG_MAPPING or CONFIG_MAPPING[family] not in auto._model_mapping:
        raise ConvertError(f"{where}: " + unknown("model_type", family, CONFIG_MAPPING, where=f"with a class {ending}"))
    return str(getattr(auto._model_mapping[CONFIG_MAPPING[family]], "__name__", family))


def _empty_network(record: Mapping[str, Any], where: str) -> Any:
    import transformers

    family, architecture = record.get("model_type"), record["architectures"][0]
    cls = getattr(transformers, str(architecture), None)
    if not (isinstance(cls, type) and issubclass(cls, transformers.PreTrainedModel)):
        raise ConvertError(f"{where}: transformers has no class {architecture!r}")
    if cls.config_class is None or cls.config_class.model_type != family:
        raise ConvertError(f"{where}: {architecture} is not of model_type {family!r}")
    try:
        config = cls.config_class.from_dict(dict(record))
        with torch.device("meta"):
            return cls(config)
    except Exception as error:  # what a class does with numbers that are none of its own is its affair
        raise ConvertError(f"{where}: no {architecture} can be built from its configuration: {error}") from error
