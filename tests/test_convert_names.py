"""Names and layout: networks of `transformers`, spelled as PaddleNLP spells them, come back with the same numbers."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from hub_core.convert import convert_file, convert_folder, read_foreign_state, read_safetensors
from hub_core.convert.names import structured_name
from hub_core.errors import CheckpointError, ConvertError

SIZES = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 36,
    "max_position_embeddings": 20,
    "type_vocab_size": 3,
    "pad_token_id": 0,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
}
FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "bert": {},
    "ernie": {"use_task_id": True, "task_type_vocab_size": 5},
    "roberta": {},
    "electra": {"embedding_size": 16},
    "albert": {"embedding_size": 16, "num_hidden_groups": 2, "inner_group_num": 1},
}
#: The rows of PaddleNLP's layout in the direction that the project does not use: from `transformers` to Paddle.
TO_PADDLE = (
    (r"^albert\.", "transformer."),
    (r"embeddings\.LayerNorm", "embeddings.layer_norm"),
    (r"attention\.LayerNorm", "attention.layer_norm"),
    (r"encoder\.layer\.(\d+)\.attention\.self\.query", r"encoder.layers.\1.self_attn.q_proj"),
    (r"encoder\.layer\.(\d+)\.attention\.self\.key", r"encoder.layers.\1.self_attn.k_proj"),
    (r"encoder\.layer\.(\d+)\.attention\.self\.value", r"encoder.layers.\1.self_attn.v_proj"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense", r"encoder.layers.\1.self_attn.out_proj"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm", r"encoder.layers.\1.norm1"),
    (r"encoder\.layer\.(\d+)\.intermediate\.dense", r"encoder.layers.\1.linear1"),
    (r"encoder\.layer\.(\d+)\.output\.dense", r"encoder.layers.\1.linear2"),
    (r"encoder\.layer\.(\d+)\.output\.LayerNorm", r"encoder.layers.\1.norm2"),
    (r"cls\.predictions\.transform\.dense", "cls.predictions.transform"),
    (r"cls\.predictions\.transform\.LayerNorm", "cls.predictions.layer_norm"),
    (r"cls\.predictions\.bias", "cls.predictions.decoder_bias"),
    (r"^predictions\.LayerNorm", "predictions.layer_norm"),
    (r"generator_predictions\.LayerNorm", "generator_predictions.layer_norm"),
    (r"sequence_summary\.summary", "sequence_summary.dense"),
    (r"^qa_outputs", "classifier"),
)
NOT_TURNED = re.compile(r"embeddings\.\w+_embeddings|decoder\.weight|generator_lm_head")


def random_network(architecture: str, **config: Any) -> transformers.PreTrainedModel:
    """A class of `transformers` with every parameter drawn at random (norms and biases too: equal ones hide a swap)."""
    cls = getattr(transformers, architecture)
    family = cls.config_class.model_type
    torch.manual_seed(len(architecture))
    network = cls(cls.config_class(**{**SIZES, **FAMILIES[family], **config})).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.3)
    return network


def to_paddle(network: transformers.PreTrainedModel) -> dict[str, np.ndarray[Any, Any]]:
    """A network's tensors as PaddleNLP's class of the same name has them."""
    state = {}
    for name, tensor in network.state_dict().items():
        renamed = name
        for pattern, replacement in TO_PADDLE:
            renamed = re.sub(pattern, replacement, renamed)
        turned = tensor.dim() == 2 and not NOT_TURNED.search(name)
        state[renamed] = (tensor.t() if turned else tensor).contiguous().numpy()
    if "RobertaForSequenceClassification" in type(network).__name__:
        state = {
            name.replace("classifier.dense", "roberta.pooler.dense").replace("classifier.out_proj", "classifier"): array
            for name, array in state.items()
        }
    return state


def write_paddle(
    folder: Path, state: Mapping[str, np.ndarray[Any, Any]], config: Mapping[str, Any], protocol: int = 4
) -> Path:
    """A folder as PaddleNLP saves it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model_state.pdparams").write_bytes(pickle.dumps(dict(state), protocol))
    (folder / "model_config.json").write_text(json.dumps(config), encoding="utf-8")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"t{i}" for i in range(SIZES["vocab_size"] - 5))]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    return folder


def paddle_config(network: transformers.PreTrainedModel, paddle_class: str) -> dict[str, Any]:
    """A new-style configuration."""
    family = network.config.model_type
    sizes = {key: getattr(network.config, key) for key in (*SIZES, *FAMILIES[family])}
    return {**sizes, "model_type": family, "architecture": paddle_class, "num_labels": 3}


def outputs(network: transformers.PreTrainedModel) -> list[torch.Tensor]:
    """Every output for one batch with padding, in the order of the class."""
    torch.manual_seed(0)
    ids = torch.randint(5, SIZES["vocab_size"], (2, 9))
    ids[1, 6:] = 0
    batch = {"input_ids": ids, "token_type_ids": (ids % 2), "attention_mask": (ids != 0).long()}
    if "MultipleChoice" in type(network).__name__:
        batch = {name: tensor[:, None].repeat(1, 2, 1) for name, tensor in batch.items()}
    with torch.no_grad():
        return [tensor for tensor in network(**batch).to_tuple() if torch.is_tensor(tensor)]


HEADS = (
    ("Model", "Model"),
    ("ForSequenceClassification", "ForSequenceClassification"),
    ("ForTokenClassification", "ForTokenClassification"),
    ("ForQuestionAnswering", "ForQuestionAnswering"),
    ("ForMultipleChoice", "ForMultipleChoice"),
    ("ForMaskedLM", "ForMaskedLM"),
    ("ForPreTraining", "ForPretraining"),
)
ALL = [
    (family.capitalize() + ending, family.capitalize() + paddle)
    for family in FAMILIES
    for ending, paddle in HEADS
    if hasattr(transformers, family.capitalize() + ending)
]


@pytest.mark.parametrize(("architecture", "paddle_class"), ALL)
def test_every_class_of_every_family_computes_the_same(tmp_path: Path, architecture: str, paddle_class: str) -> None:
    classifies = architecture.endswith(("SequenceClassification", "TokenClassification"))
    network = random_network(architecture, **({"num_labels": 3} if classifies else {}))
    source = write_paddle(tmp_path / "in", to_paddle(network), paddle_config(network, paddle_class))
    spec = convert_folder(source, tmp_path / "out")
    loaded, report = type(network).from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["missing_keys"] and not report["mismatched_keys"]
    for expected, found in zip(outputs(network), outputs(loaded.eval()), strict=True):
        torch.testing.assert_close(found, expected, atol=0, rtol=0)
    tasks = {
        "ForSequenceClassification": "seq-cls",
        "ForTokenClassification": "token-cls",
        "ForQuestionAnswering": "question-answering",
    }
    task = next((task for ending, task in tasks.items() if architecture.endswith(ending)), None)
    assert [head.task for head in spec.heads] == ([task] if task else [])
    assert spec.family == network.config.model_type


@pytest.mark.parametrize("ending", ["Model", "ForSequenceClassification", "ForTokenClassification", "ForMaskedLM"])
def test_a_legacy_roberta_is_a_bert(tmp_path: Path, ending: str) -> None:
    """hfl's models: positions from 0, the head's layers under RoBERTa's names."""
    network = random_network(f"Bert{ending}", num_labels=3)
    state = {
        re.sub(r"^bert\.", "roberta.", name)
        .replace("cls.predictions.transform", "lm_head.dense")
        .replace("cls.predictions.layer_norm", "lm_head.layer_norm")
        .replace("cls.predictions.", "lm_head.")
        .replace("lm_head.decoder_bias", "lm_head.bias"): array
        for name, array in to_paddle(network).items()
    }
    if ending == "ForMaskedLM":  # a plain linear layer in the older releases: (hidden, vocabulary)
        state["lm_head.decoder.weight"] = np.ascontiguousarray(state["lm_head.decoder.weight"].T)
    base = {key: value for key, value in SIZES.items() if key != "layer_norm_eps"}
    config: dict[str, Any] = {**base, "init_class": "RobertaModel"}
    if ending != "Model":
        config = {"init_args": [config], "num_classes": 3, "dropout": None, "init_class": f"Roberta{ending}"}
    spec = convert_folder(write_paddle(tmp_path / "in", state, config), tmp_path / "out")
    assert spec.family == "bert"
    loaded = type(network).from_pretrained(tmp_path / "out").eval()
    for expected, found in zip(outputs(network), outputs(loaded), strict=True):
        torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.parametrize("spelling", ["old", "new", "both"])
def test_the_output_matrix_is_tied_under_all_its_names(tmp_path: Path, spelling: str) -> None:
    network = random_network("ErnieForMaskedLM")
    state = to_paddle(network)
    weight, bias = state.pop("cls.predictions.decoder.weight"), state.pop("cls.predictions.decoder.bias")
    state.pop("cls.predictions.decoder_bias")
    if spelling in ("old", "both"):
        state |= {"cls.predictions.decoder_weight": weight, "cls.predictions.decoder_bias": bias}
    if spelling in ("new", "both"):
        state |= {"cls.predictions.decoder.weight": weight, "cls.predictions.decoder.bias": bias}
    convert_folder(write_paddle(tmp_path / "in", state, paddle_config(network, "ErnieForMaskedLM")), tmp_path / "out")
    stored = read_safetensors(tmp_path / "out" / "model.safetensors")
    assert "cls.predictions.bias" in stored and "cls.predictions.decoder.weight" not in stored
    loaded = type(network).from_pretrained(tmp_path / "out").eval()
    torch.testing.assert_close(outputs(loaded)[0], outputs(network)[0], atol=0, rtol=0)


def test_two_values_for_one_tensor_are_refused(tmp_path: Path) -> None:
    network = random_network("ErnieForMaskedLM")
    state = to_paddle(network)
    state["cls.predictions.decoder_bias"] = state["cls.predictions.decoder_bias"] + 1
    source = write_paddle(tmp_path / "in", state, paddle_config(network, "ErnieForMaskedLM"))
    with pytest.raises(ConvertError, match=r"decoder\.?_?bias.*different values"):
        convert_folder(source, tmp_path / "out")


@pytest.mark.parametrize("architecture", ["BertForMaskedLM", "ElectraForMaskedLM", "AlbertForMaskedLM"])
def test_an_output_matrix_of_its_own_is_kept(tmp_path: Path, architecture: str) -> None:
    network = random_network(architecture, tie_word_embeddings=False)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("predictions.bias"):  # Paddle has one bias, transformers two where nothing is tied
                parameter.copy_(network.get_parameter(name.replace("predictions.bias", "predictions.decoder.bias")))
    source = write_paddle(tmp_path / "in", to_paddle(network), paddle_config(network, architecture))
    spec = convert_folder(source, tmp_path / "out")
    assert spec.config["tie_word_embeddings"] is False
    loaded = type(network).from_pretrained(tmp_path / "out").eval()
    torch.testing.assert_close(outputs(loaded)[0], outputs(network)[0], atol=0, rtol=0)


# Static-graph names


def to_static(name: str, prefix: str = "") -> str:
    """The static-graph name of a structured one: PaddleNLP's table, written the other way round."""
    layer = re.match(r"(?:ernie\.)?encoder\.layers\.(\d+)\.(.+)\.(weight|bias)$", name)
    if layer:
        number, part, end = layer.groups()
        wb = {"weight": "w_0", "bias": "b_0"}[end]
        norm = {"weight": "scale", "bias": "bias"}[end]
        return (
            prefix
            + f"encoder_layer_{number}_"
            + {
                "self_attn.q_proj": f"multi_head_att_query_fc.{wb}",
                "self_attn.k_proj": f"multi_head_att_key_fc.{wb}",
                "self_attn.v_proj": f"multi_head_att_value_fc.{wb}",
                "self_attn.out_proj": f"multi_head_att_output_fc.{wb}",
                "linear1": f"ffn_fc_0.{wb}",
                "linear2": f"ffn_fc_1.{wb}",
                "norm1": f"post_att_layer_norm_{norm}",
                "norm2": f"post_ffn_layer_norm_{norm}",
            }[part]
        )
    return (
        prefix
        + {
            "embeddings.word_embeddings.weight": "word_embedding",
            "embeddings.position_embeddings.weight": "pos_embedding",
            "embeddings.token_type_embeddings.weight": "sent_embedding",
            "embeddings.task_type_embeddings.weight": "task_embedding",
            "embeddings.layer_norm.weight": "pre_encoder_layer_norm_scale",
            "embeddings.layer_norm.bias": "pre_encoder_layer_norm_bias",
            "pooler.dense.weight": "pooled_fc.w_0",
            "pooler.dense.bias": "pooled_fc.b_0",
            "cls.predictions.transform.weight": "mask_lm_trans_fc.w_0",
            "cls.predictions.transform.bias": "mask_lm_trans_fc.b_0",
            "cls.predictions.layer_norm.weight": "mask_lm_trans_layer_norm_scale",
            "cls.predictions.layer_norm.bias": "mask_lm_trans_layer_norm_bias",
            "cls.predictions.decoder_bias": "mask_lm_out_fc.b_0",
            "cls.predictions.decoder.bias": "mask_lm_out_fc.b_0",
            "classifier.weight": "cls_out_w",
            "classifier.bias": "cls_out_b",
        }[name.removeprefix("ernie.")]
    )


@pytest.mark.parametrize("prefix", ["", "@HUB_ernie-stable@"])
@pytest.mark.parametrize("architecture", ["ErnieModel", "ErnieForMaskedLM", "ErnieForSequenceClassification"])
def test_static_graph_names_give_the_same_tensors(tmp_path: Path, architecture: str, prefix: str) -> None:
    network = random_network(architecture, num_labels=3)
    structured = to_paddle(network)
    structured.pop("cls.predictions.decoder.weight", None)  # the static graph has the word embeddings alone
    static = {to_static(name, prefix): array for name, array in structured.items()}
    assert all(structured_name(name) for name in static)
    found = []
    for folder, state in (("structured", structured), ("static", static)):
        source = write_paddle(tmp_path / folder, state, paddle_config(network, architecture))
        convert_folder(source, tmp_path / f"{folder}-out")
        found.append(read_safetensors(tmp_path / f"{folder}-out" / "model.safetensors"))
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_static_name_in_the_files_own_table_identifies_a_tensor(tmp_path: Path) -> None:
    network = random_network("ErnieModel")
    structured = to_paddle(network)
    table = {f"unheard_of_{i}": to_static(name) for i, name in enumerate(structured)}
    state: dict[str, Any] = {f"unheard_of_{i}": array for i, array in enumerate(structured.values())}
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps({**state, "StructuredToParameterName@@": table}))
    found = read_foreign_state(path, family="ernie")
    assert all(torch.equal(found[name], tensor) for name, tensor in network.state_dict().items())


def test_tied_tensors_that_share_a_static_name_are_both_read(tmp_path: Path) -> None:
    words = np.random.default_rng(0).random((6, 4), dtype=np.float32)
    names = {
        "ernie.embeddings.word_embeddings.weight": "word_embedding",
        "cls.predictions.decoder_weight": "word_embedding",
    }
    state: dict[str, Any] = {name: words + place for place, name in enumerate(names)}
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps({**state, "StructuredToParameterName@@": names}))
    found = read_foreign_state(path, family="ernie")
    assert torch.equal(found["ernie.embeddings.word_embeddings.weight"], torch.from_numpy(words))
    assert torch.equal(found["cls.predictions.decoder.weight"], torch.from_numpy(words + 1))


@pytest.mark.parametrize(
    "name",
    ["linear_12.w_0", "encoder_layer_0_ffn_fc_2.w_0", "encoder_layer__ffn_fc_0.w_0", "@HUB_x@", "word_embedding.w_0",
     "encoder_layer_0_multi_head_att_query_fc.scale", "encoder_layer_0_post_att_layer_norm_w_0", ""],
)  # fmt: skip
def test_other_names_are_not_static_ones(name: str) -> None:
    assert structured_name(name) is None


# Single files


def _tensors_equal(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_paddlehub_checkpoint_has_the_attribute_model_in_front(tmp_path: Path) -> None:
    network = random_network("ErnieForTokenClassification", num_labels=3)
    path = tmp_path / "model.pdparams"
    path.write_bytes(pickle.dumps({f"model.{name}": array for name, array in to_paddle(network).items()}))
    _tensors_equal(read_foreign_state(path, family="ernie", task="token-cls"), network.state_dict())


def test_a_paddlehub_roberta_needs_the_task(tmp_path: Path) -> None:
    network = random_network("RobertaForSequenceClassification", num_labels=3)
    path = tmp_path / "model.pdparams"
    path.write_bytes(pickle.dumps(to_paddle(network)))
    found = read_foreign_state(path, family="roberta", task="seq-cls")
    assert network.state_dict().keys() <= found.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("ending", [".bin", ".safetensors"])
def test_foreign_states_of_torch(tmp_path: Path, ending: str) -> None:
    network = random_network("BertForTokenClassification", num_labels=3)
    path = tmp_path / f"weights{ending}"
    if ending == ".bin":
        torch.save(network.state_dict(), path)
    else:
        network.save_pretrained(tmp_path)
        (tmp_path / "model.safetensors").rename(path)
    _tensors_equal(read_foreign_state(path, family="bert"), network.state_dict())


def test_unknown_tensors_are_named_all_of_them(tmp_path: Path) -> None:
    network = random_network("ErnieModel")
    strange = {"encoder.layers.0.gate.weight": np.ones((2, 2)), "encoder.layers.#.linear1.weight": np.ones((2, 2))}
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps({**to_paddle(network), **strange}))
    with pytest.raises(ConvertError, match=r"x\.pdparams.*ernie.*gate.weight, encoder.layers.#.linear1"):
        read_foreign_state(path, family="ernie")
    with pytest.raises(ConvertError, match=r"gate"):
        convert_file(path, tmp_path / "out.safetensors", kind="paddle", family="ernie")
    assert not (tmp_path / "out.safetensors").exists()


def test_an_unknown_family_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps({"a": np.ones(2)}))
    with pytest.raises(ConvertError, match=r"'ernei'.*did you mean 'ernie'.*albert"):
        read_foreign_state(path, family="ernei")
    with pytest.raises(ConvertError, match="family"):
        convert_file(path, tmp_path / "out", kind="paddle")
    with pytest.raises(ConvertError, match=r"'paddel'.*paddle-words"):
        convert_file(path, tmp_path / "out", kind="paddel", family="ernie")
    with pytest.raises(CheckpointError, match="nowhere"):
        read_foreign_state(tmp_path / "nowhere.bin", family="bert")


@pytest.mark.parametrize("shape", [(24,), (2, 3, 4)])
def test_a_linear_weight_must_be_a_matrix(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps({"pooler.dense.weight": np.zeros(shape)}))
    with pytest.raises(ConvertError, match=r"pooler\.dense\.weight has shape"):
        read_foreign_state(path, family="bert")


@pytest.mark.parametrize("kind", ["paddle", "torch"])
def test_convert_file_checks_the_manifests_numbers(tmp_path: Path, kind: str) -> None:
    network = random_network("ErnieModel")
    path = tmp_path / ("x.pdparams" if kind == "paddle" else "x.bin")
    if kind == "paddle":
        path.write_bytes(pickle.dumps(to_paddle(network)))
    else:
        torch.save(network.state_dict(), path)
    config = {**SIZES, **FAMILIES["ernie"]}
    out = tmp_path / "model.safetensors"
    convert_file(path, out, kind=kind, family="ernie", config=config)
    _tensors_equal(read_safetensors(out), network.state_dict())
    for wrong, named in (
        ({"vocab_size": 61}, "vocab_size 61 .the tensors: 60"),
        ({"num_hidden_layers": 3}, "num_hidden_layers 3"),
        ({"num_attention_heads": 5}, "num_attention_heads 5"),
        ({"use_task_id": False}, "use_task_id"),
    ):
        with pytest.raises(ConvertError, match=named):
            convert_file(path, out, kind=kind, family="ernie", config={**config, **wrong})
    _tensors_equal(read_safetensors(out), network.state_dict())  # what stood there is untouched


def test_doubles_become_floats_and_halves_stay(tmp_path: Path) -> None:
    state = {"embeddings.word_embeddings.weight": np.ones((4, 2)), "embeddings.layer_norm.bias": np.ones(2, np.float16)}
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps(state))
    convert_file(path, tmp_path / "out", kind="paddle", family="bert")
    stored = read_safetensors(tmp_path / "out")
    assert stored["embeddings.word_embeddings.weight"].dtype == torch.float32
    assert stored["embeddings.LayerNorm.bias"].dtype == torch.float16


def test_integer_position_ids_are_dropped_and_others_are_not_known(tmp_path: Path) -> None:
    path = tmp_path / "x.pdparams"
    words = {"embeddings.word_embeddings.weight": np.ones((4, 2), np.float32)}
    path.write_bytes(pickle.dumps({**words, "embeddings.position_ids": np.arange(4)[None]}))
    assert list(read_foreign_state(path, family="albert")) == ["embeddings.word_embeddings.weight"]
    path.write_bytes(pickle.dumps({**words, "embeddings.position_ids": np.ones(4, np.float32)}))
    with pytest.raises(ConvertError, match="position_ids"):
        read_foreign_state(path, family="albert")


def test_a_word_set_becomes_a_word_list(tmp_path: Path, fixtures_home: Path) -> None:
    source = fixtures_home / "tokenizers" / "dict.wordseg.pickle"
    convert_file(source, tmp_path / "words.txt", kind="paddle-words")
    assert (tmp_path / "words.txt").read_bytes() == (fixtures_home / "tokenizers" / "words.txt").read_bytes()
