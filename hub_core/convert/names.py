"""From PaddlePaddle's tensor names to `transformers`': one table per architecture, and what has to be turned.

Sources: PaddleNLP's modelling files (`paddlenlp/transformers/{bert,ernie,roberta,electra,albert}/modeling.py`) for
the names on the left, `transformers` 5 for those on the right. Paddle keeps linear weights as ``(inputs, outputs)``,
torch as ``(outputs, inputs)``: a square one that is not transposed goes unnoticed until the numbers are compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

#: How a row's tensors are turned: a linear layer (weight transposed, bias), a layer norm (weight, bias), an embedding
#: (weight), an output matrix that lies as the word embeddings do whichever way the file has it, a bare parameter.
Kind = Literal["linear", "norm", "embedding", "output", "bare"]
Turn = Literal["keep", "transpose", "like words"]
#: Paddle's name, `transformers`' name (``#`` stands for a number), kind.
Row = tuple[str, str, Kind]


@dataclass(frozen=True)
class NameMap:
    """The names of one architecture.

    `prefixes` are what Paddle puts before the encoder's names, `prefix` what `transformers` does; a file of the bare
    encoder has neither. `tied` are tensors of the output that repeat another one, with that one.
    """

    prefix: str
    prefixes: tuple[str, ...]
    encoder: Mapping[str, tuple[str, Turn]]
    heads: Mapping[str, tuple[str, Turn]]
    tied: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The name of the word embeddings, without prefix."""
        return "embeddings.word_embeddings.weight"


def _expand(rows: Iterable[Row]) -> dict[str, tuple[str, Turn]]:
    """One entry per tensor."""
    table: dict[str, tuple[str, Turn]] = {}
    for source, target, kind in rows:
        if kind == "bare":
            table[source] = (target, "keep")
            continue
        turns: dict[Kind, Turn] = {"linear": "transpose", "output": "like words"}
        table[f"{source}.weight"] = (f"{target}.weight", turns.get(kind, "keep"))
        if kind in ("linear", "norm"):
            table[f"{source}.bias"] = (f"{target}.bias", "keep")
    return table


_EMBEDDINGS: tuple[Row, ...] = (
    ("embeddings.word_embeddings", "embeddings.word_embeddings", "embedding"),
    ("embeddings.position_embeddings", "embeddings.position_embeddings", "embedding"),
    ("embeddings.token_type_embeddings", "embeddings.token_type_embeddings", "embedding"),
    ("embeddings.task_type_embeddings", "embeddings.task_type_embeddings", "embedding"),
    ("embeddings.layer_norm", "embeddings.LayerNorm", "norm"),
)
_ENCODER: tuple[Row, ...] = (
    *_EMBEDDINGS,
    ("embeddings_project", "embeddings_project", "linear"),
    ("encoder.layers.#.self_attn.q_proj", "encoder.layer.#.attention.self.query", "linear"),
    ("encoder.layers.#.self_attn.k_proj", "encoder.layer.#.attention.self.key", "linear"),
    ("encoder.layers.#.self_attn.v_proj", "encoder.layer.#.attention.self.value", "linear"),
    ("encoder.layers.#.self_attn.out_proj", "encoder.layer.#.attention.output.dense", "linear"),
    ("encoder.layers.#.norm1", "encoder.layer.#.attention.output.LayerNorm", "norm"),
    ("encoder.layers.#.linear1", "encoder.layer.#.intermediate.dense", "linear"),
    ("encoder.layers.#.linear2", "encoder.layer.#.output.dense", "linear"),
    ("encoder.layers.#.norm2", "encoder.layer.#.output.LayerNorm", "norm"),
    ("pooler.dense", "pooler.dense", "linear"),
)
_ALBERT_LAYER = "encoder.albert_layer_groups.#.albert_layers.#"
_ALBERT: tuple[Row, ...] = (
    *_EMBEDDINGS,
    ("encoder.embedding_hidden_mapping_in", "encoder.embedding_hidden_mapping_in", "linear"),
    (f"{_ALBERT_LAYER}.full_layer_layer_norm", f"{_ALBERT_LAYER}.full_layer_layer_norm", "norm"),
    (f"{_ALBERT_LAYER}.attention.query", f"{_ALBERT_LAYER}.attention.query", "linear"),
    (f"{_ALBERT_LAYER}.attention.key", f"{_ALBERT_LAYER}.attention.key", "linear"),
    (f"{_ALBERT_LAYER}.attention.value", f"{_ALBERT_LAYER}.attention.value", "linear"),
    (f"{_ALBERT_LAYER}.attention.dense", f"{_ALBERT_LAYER}.attention.dense", "linear"),
    (f"{_ALBERT_LAYER}.attention.layer_norm", f"{_ALBERT_LAYER}.attention.LayerNorm", "norm"),
    (f"{_ALBERT_LAYER}.ffn", f"{_ALBERT_LAYER}.ffn", "linear"),
    (f"{_ALBERT_LAYER}.ffn_output", f"{_ALBERT_LAYER}.ffn_output", "linear"),
    ("pooler", "pooler", "linear"),
)
#: One linear layer over the pooled output (sequences, choices) or over every token.
_CLASSIFIER: tuple[Row, ...] = (
    ("classifier", "classifier", "linear"),
    ("qa_outputs", "qa_outputs", "linear"),
)
#: PaddleNLP links `decoder_weight` with the word embeddings and `decoder_bias` with `decoder.bias`.
_BERT_HEADS: tuple[Row, ...] = (
    *_CLASSIFIER,
    ("cls.predictions.transform", "cls.predictions.transform.dense", "linear"),
    ("cls.predictions.layer_norm", "cls.predictions.transform.LayerNorm", "norm"),
    ("cls.predictions.decoder", "cls.predictions.decoder", "output"),
    ("cls.predictions.decoder.bias", "cls.predictions.bias", "bare"),
    ("cls.predictions.decoder_weight", "cls.predictions.decoder.weight", "bare"),
    ("cls.predictions.decoder_bias", "cls.predictions.bias", "bare"),
    ("cls.seq_relationship", "cls.seq_relationship", "linear"),
)
#: A BERT that Paddle calls RoBERTa has RoBERTa's names for the same layers of its masked-language head.
_ROBERTA_AS_BERT_HEADS: tuple[Row, ...] = (
    *_BERT_HEADS,
    ("lm_head.dense", "cls.predictions.transform.dense", "linear"),
    ("lm_head.layer_norm", "cls.predictions.transform.LayerNorm", "norm"),
    ("lm_head.decoder", "cls.predictions.decoder", "output"),
    ("lm_head.decoder.bias", "cls.predictions.bias", "bare"),
    ("lm_head.bias", "cls.predictions.bias", "bare"),
)
_ROBERTA_HEADS: tuple[Row, ...] = (
    *_CLASSIFIER,
    ("lm_head.dense", "lm_head.dense", "linear"),
    ("lm_head.layer_norm", "lm_head.layer_norm", "norm"),
    ("lm_head.decoder", "lm_head.decoder", "output"),
    ("lm_head.decoder.bias", "lm_head.bias", "bare"),
    ("lm_head.bias", "lm_head.bias", "bare"),
)
_ELECTRA_HEADS: tuple[Row, ...] = (
    *_CLASSIFIER,
    ("classifier.dense", "classifier.dense", "linear"),
    ("classifier.out_proj", "classifier.out_proj", "linear"),
    ("sequence_summary.dense", "sequence_summary.summary", "linear"),
    ("discriminator_predictions.dense", "discriminator_predictions.dense", "linear"),
    ("discriminator_predictions.dense_prediction", "discriminator_predictions.dense_prediction", "linear"),
    ("generator_predictions.dense", "generator_predictions.dense", "linear"),
    ("generator_predictions.layer_norm", "generator_predictions.LayerNorm", "norm"),
    ("generator_lm_head", "generator_lm_head", "output"),
    ("generator_lm_head.bias", "generator_lm_head.bias", "bare"),
    ("generator_lm_head_bias", "generator_lm_head.bias", "bare"),
)
_ALBERT_HEADS: tuple[Row, ...] = (
    *_CLASSIFIER,
    ("predictions.dense", "predictions.dense", "linear"),
    ("predictions.layer_norm", "predictions.LayerNorm", "norm"),
    ("predictions.decoder", "predictions.decoder", "output"),
    ("predictions.decoder.bias", "predictions.bias", "bare"),
    ("predictions.bias", "predictions.bias", "bare"),
    ("sop_classifier.classifier", "sop_classifier.classifier", "linear"),
)


def _tied(prefix: str, output: str, bias: str | None) -> dict[str, str]:
    """`transformers`' own ``_tied_weights_keys``: the output matrix repeats the words, its bias the head's."""
    matrix = {f"{output}.weight": f"{prefix}.embeddings.word_embeddings.weight"}
    return matrix | ({f"{output}.bias": bias} if bias else {})


#: By `transformers`' ``model_type``.
NAME_MAPS: Mapping[str, NameMap] = {
    "bert": NameMap(
        "bert",
        ("bert", "roberta"),
        _expand(_ENCODER),
        _expand(_ROBERTA_AS_BERT_HEADS),
        _tied("bert", "cls.predictions.decoder", "cls.predictions.bias"),
    ),
    "ernie": NameMap(
        "ernie",
        ("ernie",),
        _expand(_ENCODER),
        _expand(_BERT_HEADS),
        _tied("ernie", "cls.predictions.decoder", "cls.predictions.bias"),
    ),
    "roberta": NameMap(
        "roberta",
        ("roberta",),
        _expand(_ENCODER),
        _expand(_ROBERTA_HEADS),
        _tied("roberta", "lm_head.decoder", "lm_head.bias"),
    ),
    "electra": NameMap(
        "electra",
        ("electra",),
        _expand(_ENCODER),
        _expand(_ELECTRA_HEADS),
        _tied("electra", "generator_lm_head", None),
    ),
    "albert": NameMap(
        "albert",
        ("transformer", "albert"),
        _expand(_ALBERT),
        _expand(_ALBERT_HEADS),
        _tied("albert", "predictions.decoder", "predictions.bias"),
    ),
}

_STATIC_PROJECTIONS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
_STATIC_ENDS = {"w_0": "weight", "b_0": "bias", "scale": "weight", "bias": "bias"}
#: Names of static-graph ERNIE parameters without a layer number; PaddleNLP's own table is
#: `paddlenlp/transformers/ernie/static_to_dygraph_params/match_static_to_dygraph.py`.
_STATIC_SINGLE: Mapping[str, str] = {
    "word_embedding": "embeddings.word_embeddings.weight",
    "pos_embedding": "embeddings.position_embeddings.weight",
    "sent_embedding": "embeddings.token_type_embeddings.weight",
    "task_embedding": "embeddings.task_type_embeddings.weight",
    "pre_encoder_layer_norm_scale": "embeddings.layer_norm.weight",
    "pre_encoder_layer_norm_bias": "embeddings.layer_norm.bias",
    "pooled_fc.w_0": "pooler.dense.weight",
    "pooled_fc.b_0": "pooler.dense.bias",
    "mask_lm_trans_fc.w_0": "cls.predictions.transform.weight",
    "mask_lm_trans_fc.b_0": "cls.predictions.transform.bias",
    "mask_lm_trans_layer_norm_scale": "cls.predictions.layer_norm.weight",
    "mask_lm_trans_layer_norm_bias": "cls.predictions.layer_norm.bias",
    "mask_lm_out_fc.b_0": "cls.predictions.decoder_bias",
}
_HUB_PREFIX = re.compile(r"@HUB_[^@]*@")
_STATIC_LAYER = re.compile(
    r"encoder_layer_(?P<layer>\d{1,4})_(?:"
    r"multi_head_att_(?P<projection>query|key|value|output)_fc\.(?P<att>[wb]_0)"
    r"|ffn_fc_(?P<ffn>[01])\.(?P<fc>[wb]_0)"
    r"|post_(?P<post>att|ffn)_layer_norm_(?P<norm>scale|bias))"
)
#: Fine-tuning scripts name the head's parameters after the task: ``cls_out_w``, ``<task>_cls_out_w``.
_STATIC_HEAD = re.compile(r"(?:.*_)?cls_out_(?P<part>[wb])")


def structured_name(static: str) -> str | None:
    """The structured name of a static-graph ERNIE parameter (with or without ``@HUB_<module>@``), None for others.

    >>> structured_name("@HUB_ernie-stable@encoder_layer_11_ffn_fc_0.w_0")
    'encoder.layers.11.linear1.weight'
    """
    name = _HUB_PREFIX.sub("", static, count=1) if static.startswith("@HUB_") else static
    if name in _STATIC_SINGLE:
        return _STATIC_SINGLE[name]
    if match := _STATIC_HEAD.fullmatch(name):
        return {"w": "classifier.weight", "b": "classifier.bias"}[match["part"]]
    if not (match := _STATIC_LAYER.fullmatch(name)):
        return None
    if match["projection"]:
        inner = f"self_attn.{_STATIC_PROJECTIONS[match['projection']]}.{_STATIC_ENDS[match['att']]}"
    elif match["ffn"]:
        inner = f"linear{int(match['ffn']) + 1}.{_STATIC_ENDS[match['fc']]}"
    else:
        inner = f"norm{1 if match['post'] == 'att' else 2}.{_STATIC_ENDS[match['norm']]}"
    return f"encoder.layers.{match['layer']}.{inner}"
