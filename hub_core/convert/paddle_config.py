"""PaddleNLP's ``model_config.json`` in its two styles, brought to `transformers`' keys.

New style (PaddleNLP 2.5 and later): flat, with ``model_type`` and ``architecture`` or ``architectures``. Legacy: the
arguments of the constructors, nested in ``init_args`` with an ``init_class`` at each level. A key that is neither
translated nor known to change no number is an error: a silent default would.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hub_core.convert.names import NAME_MAPS
from hub_core.convert.tensors import listed
from hub_core.errors import ConvertError, unknown

#: Numbers of the network that have the same name and meaning on both sides.
_SAME = frozenset(
    {
        "vocab_size",
        "hidden_size",
        "embedding_size",
        "num_hidden_layers",
        "num_hidden_groups",
        "inner_group_num",
        "num_attention_heads",
        "intermediate_size",
        "hidden_act",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "max_position_embeddings",
        "type_vocab_size",
        "task_type_vocab_size",
        "initializer_range",
        "pad_token_id",
        "layer_norm_eps",
        "classifier_dropout",
        "classifier_dropout_prob",
    }
)
#: PaddleNLP's own alternative names (`attribute_map` in its configuration classes).
_ALIASES = {"num_classes": "num_labels", "dropout": "classifier_dropout"}
#: What `transformers`' networks do in one way only: any other value would be another network.
_ONLY = {
    "position_embedding_type": "absolute",
    "pool_act": "tanh",
    "normalize_before": False,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "pruned_heads": {},
    "task_id": 0,
}
#: Read for what they say of the class and its labels.
_READ = frozenset(
    ("model_type", "architecture", "architectures", "init_class", "init_args", "num_labels", "id2label", "label2id")
) | {"label_map", "problem_type", "use_task_id"}
_WITHOUT_EFFECT_TEXT = """
    return_dict output_attentions output_hidden_states use_cache dtype torch_dtype enable_recompute use_recompute
    recompute_granularity no_recompute_layers fuse fuse_attention_qkv fuse_attention_ffn fuse_linear fuse_rope
    use_flash_attention tensor_parallel_degree tensor_parallel_rank tensor_parallel_output sequence_parallel
    quantization_config chunk_size_feed_forward paddlenlp_version transformers_version name_or_path tokenizer_class
    prefix finetuning_task task_specific_params num_choices tie_word_embeddings tie_encoder_decoder add_pooling_layer
    cross_attention_hidden_size bos_token_id eos_token_id cls_token_id sep_token_id mask_token_id
    decoder_start_token_id gen_weight disc_weight untied_generator_embeddings use_softmax_sample
    max_length min_length do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p
    typical_p repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids
    num_return_sequences output_scores return_dict_in_generate forced_bos_token_id forced_eos_token_id
    remove_invalid_values exponential_decay_length_penalty
"""
#: How the network is run, trained, spread over machines or decoded, and where it came from. The ids of special tokens
#: are the vocabulary's; whether weights are tied and whether there is a pooler is seen from the tensors.
_WITHOUT_EFFECT = frozenset(_WITHOUT_EFFECT_TEXT.split())
#: The constructors' defaults (`paddlenlp/transformers/*/configuration.py`), written out because `transformers` has
#: others. Sizes that a configuration leaves out are those of the tensors.
_DEFAULTS: Mapping[str, Any] = {
    "num_attention_heads": 12,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "initializer_range": 0.02,
    "pad_token_id": 0,
}
_ALBERT_DEFAULTS: Mapping[str, Any] = {
    "num_hidden_layers": 12,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "classifier_dropout_prob": 0.1,
}
#: Of all layer norms: `_init_weights` of PaddleNLP's ERNIE and BERT sets it whatever the configuration says, and it is
#: the default of the others.
_EPSILON = 1e-12
_FORCED_EPSILON = ("bert", "ernie")
#: Exact GELU is ``gelu`` on both sides.
_ACTIVATIONS = ("gelu", "gelu_new", "relu", "tanh", "sigmoid", "silu", "swish", "mish", "linear")

_LEGACY = frozenset(("init_class", "init_args"))
_CLASS = re.compile(r"(Bert|Ernie|Roberta|Electra|Albert)(\w+)")
_CLASS_ENDINGS = {
    "Model": "Model",
    "ForSequenceClassification": "ForSequenceClassification",
    "ForTokenClassification": "ForTokenClassification",
    "ForQuestionAnswering": "ForQuestionAnswering",
    "ForMultipleChoice": "ForMultipleChoice",
    "ForMaskedLM": "ForMaskedLM",
    "ForPretraining": "ForPreTraining",
    "ForPreTraining": "ForPreTraining",
    "Discriminator": "ForPreTraining",
    "Generator": "ForMaskedLM",
}


@dataclass(frozen=True)
class Described:
    """What a configuration says: family and `config` in `transformers`' words, the class (None where not named),
    the number of labels and their names as far as they are stated."""

    family: str
    config: Mapping[str, Any]
    architecture: str | None
    num_labels: int | None
    labels: tuple[str, ...] | None
    problem_type: str | None


def describe(record: Mapping[str, Any], *, where: str) -> Described:
    """Translate a configuration of PaddleNLP.

    RoBERTa comes in two conventions. A legacy configuration, as all of hfl's, is a BERT under another name: family
    ``bert``. In a new-style one positions begin at the padding id + 1, as in `transformers`' RoBERTa.

    Raises ConvertError for an architecture or a key that is not understood; `where` names the file.
    """
    flat = {_ALIASES.get(key, key): value for key, value in _flattened(record).items()}
    family, architecture = _architecture(flat, legacy=not _LEGACY.isdisjoint(record), where=where)
    _check_keys(flat, where)
    config = {key: flat[key] for key in sorted(_SAME & flat.keys()) if flat[key] is not None}
    if family in _FORCED_EPSILON or "layer_norm_eps" not in config:
        config["layer_norm_eps"] = _EPSILON
    config = {**_DEFAULTS, **(_ALBERT_DEFAULTS if family == "albert" else {}), **config}
    if config["hidden_act"] not in _ACTIVATIONS:
        raise ConvertError(f"{where}: " + unknown("hidden_act", config["hidden_act"], _ACTIVATIONS))
    labels = labels_of(flat, where)
    return Described(family, config, architecture, flat.get("num_labels"), labels, flat.get("problem_type"))


def _flattened(record: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """A legacy configuration without its nesting; what stands further out wins (a head's class, its dropout)."""
    flat: dict[str, Any] = {}
    if depth > 8:
        raise ConvertError("the configuration is nested too deeply")
    inner = record.get("init_args", [])
    nested = list(inner) if isinstance(inner, (list, tuple)) else [inner]
    nested += [value for value in record.values() if isinstance(value, dict) and "init_class" in value]
    for value in nested:
        if isinstance(value, dict):
            flat.update(_flattened(value, depth + 1))
        elif value is not None:
            raise ConvertError(f"the configuration's init_args has a value without a name: {value!r}; give it its key")
    own = {k: v for k, v in record.items() if k != "init_args" and not (isinstance(v, dict) and "init_class" in v)}
    return {**flat, **own}


def _architecture(flat: Mapping[str, Any], *, legacy: bool, where: str) -> tuple[str, str | None]:
    """The family, and `transformers`' class where one is named."""
    named = flat.get("init_class") or flat.get("architecture") or flat.get("architectures")
    if isinstance(named, list):
        named = named[0] if named else None
    match = _CLASS.fullmatch(str(named or ""))
    if named and (match is None or match[2] not in _CLASS_ENDINGS):
        known = f"{', '.join(sorted(NAME_MAPS))} with one of {', '.join(_CLASS_ENDINGS)}"
        raise ConvertError(f"{where}: class {named!r} cannot be converted; known: {known}")
    family = match[1].lower() if match else flat.get("model_type")
    if not isinstance(family, str) or family not in NAME_MAPS:
        raise ConvertError(f"{where}: " + unknown("model_type", family, NAME_MAPS))
    if family == "roberta" and legacy:
        family = "bert"
    return family, family.capitalize() + _CLASS_ENDINGS[match[2]] if match else None


def _check_keys(flat: Mapping[str, Any], where: str) -> None:
    strange = [
        key
        for key in flat.keys() - _SAME - _READ - _WITHOUT_EFFECT - _ONLY.keys()
        if not key.startswith("_") and flat[key] is not None
    ]
    other = [
        f"{key}={flat[key]!r} (only {_ONLY[key]!r} is)"
        for key in _ONLY.keys() & flat.keys()
        if flat[key] is not None and flat[key] != _ONLY[key]
    ]
    if strange:
        raise ConvertError(
            f"{where}: keys that are not understood: {listed(sorted(strange))}; "
            "remove those that change no number of the network"
        )
    if other:
        raise ConvertError(f"{where}: values that transformers' networks do not have: {'; '.join(sorted(other))}")


def labels_of(flat: Mapping[str, Any], where: str) -> tuple[str, ...] | None:
    """Labels in the order of their ids from ``id2label`` or ``label_map``, None where neither is there.

    Raises ConvertError where they do not number the labels from 0 without gaps.
    """
    named = flat.get("id2label") or flat.get("label_map")
    if not named:
        return None
    try:
        rows = sorted((int(target), label) for target, label in named.items())
    except (AttributeError, TypeError, ValueError) as error:
        raise ConvertError(f"{where}: id2label must map numbers to labels, not {named!r}") from error
    if [target for target, _ in rows] != list(range(len(rows))) or not all(isinstance(label, str) for _, label in rows):
        raise ConvertError(f"{where}: id2label must give each number from 0 to {len(rows) - 1} a label")
    return tuple(label for _, label in rows)
