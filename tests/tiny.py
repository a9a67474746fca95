"""Small random modules: every architecture in two layers, a vocabulary of a hundred characters, built in no time."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from hub_core.nn.families import family_of
from hub_core.plugins import catalog
from hub_core.spec import ModuleSpec
from hub_core.tasks.task import Task
from hub_core.text.files import tokenizer_from_files, tokenizer_from_folder
from hub_core.text.tokenizer import Tokenizer
from hub_core.torch_module import TorchModule

CHARACTERS = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
    "用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实"
    "新华社北京月日电务院副总李岚清今海见美商芭拉弗兰克林"
)
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(CHARACTERS), *"0123456789abc,。"]
LABELS = ("B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "O")

#: What replaces a manifest's numbers to make it small; keys that an architecture does not have are left out.
SMALL: Mapping[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "embedding_size": 16,
    "max_position_embeddings": 64,
}

#: Sizes of the families of the hub's own.
OWN: Mapping[str, Mapping[str, Any]] = {
    "bilstm": {"embedding_size": 16, "hidden_size": 12, "crf": True},
    "bow": {"embedding_size": 16, "head_size": 8},
    "cnn": {"embedding_size": 16, "filters": 6, "windows": [1, 2, 3]},
}


def write_vocabulary(folder: Path) -> Path:
    """A vocab.txt of about 150 tokens."""
    path = folder / "vocab.txt"
    path.write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    return path


def small_config(config: Mapping[str, Any], tokenizer: Tokenizer, *, positions_from: int = 0) -> dict[str, Any]:
    """A manifest's config with small numbers, for a tokenizer; its positions start at `positions_from`."""
    changed = {key: value for key, value in SMALL.items() if key in config}
    if "max_position_embeddings" in changed:
        changed["max_position_embeddings"] += positions_from
    ids = {"pad": tokenizer.pad_id, "bos": tokenizer.cls_id, "cls": tokenizer.cls_id}
    ids |= {"eos": tokenizer.sep_id, "sep": tokenizer.sep_id}
    named = {f"{name}_token_id": token_id for name, token_id in ids.items() if f"{name}_token_id" in config}
    return {**config, **changed, **named, "vocab_size": tokenizer.vocab_size}


def tiny_module(
    tmp_path: Path,
    *,
    family: str = "bert",
    task: str | None = "token-cls",
    labels: Sequence[str] = LABELS,
    seed: int = 0,
    task_options: Mapping[str, Any] | None = None,
    **config: Any,
) -> TorchModule:
    """A random module of a family of `transformers` (or ``bilstm``), with the vocabulary of this file."""
    tokenizer = tiny_tokenizer(tmp_path, "char" if family in OWN else "wordpiece")
    sizes = dict(OWN.get(family, {**SMALL, "layer_norm_eps": 1e-12}))
    if family not in ("electra", "albert", *OWN):
        sizes.pop("embedding_size")
    if family == "xlnet":
        sizes.pop("max_position_embeddings")
    full = {"vocab_size": tokenizer.vocab_size, **sizes, **config}
    builder = family_of(family, catalog())
    torch.manual_seed(seed)
    head: Task | None = None
    if task is not None:
        kind: type[Task] = catalog().get("task", task)
        head = kind(labels if kind.names_labels else (), task_options)
    network = builder.build(full, heads=head.head_specs() if head else ())
    spec = ModuleSpec("tiny", "1.0.0", family, full, {"type": tokenizer.type}, supports=tuple(builder.supports))
    return TorchModule(spec, builder, network, tokenizer, head)


def tiny_tokenizer(tmp_path: Path, kind: str = "wordpiece") -> Tokenizer:
    """A tokenizer over the vocabulary of this file."""
    # Processes that are started together share the folder, and one must not read what another is writing.
    folder = tmp_path / f"tokenizer-{kind}{os.environ.get('RANK', '')}"
    folder.mkdir(parents=True, exist_ok=True)
    write_vocabulary(folder)
    tokenizer: Tokenizer = catalog().get("tokenizer", kind).from_folder(folder, {"type": kind, "lowercase": True})
    return tokenizer


def small_module_folder(spec: ModuleSpec, folder: Path) -> Path:
    """A module folder of a registered module, with its name, architecture and tokenizer type, but small and random."""
    folder.mkdir(parents=True)
    tokenizer = small_tokenizer(spec, folder)
    from_two = spec.family in ("roberta", "xlm-roberta")
    config = small_config(spec.config, tokenizer, positions_from=tokenizer.pad_id + 1 if from_two else 0)
    small = replace(
        spec,
        config=config,
        tokenizer=tokenizer.save(folder),
        files=(),
        heads=(),
        metrics={},
        parameters=None,
        also_versions=(),
        base=f"{spec.name}=={spec.version}",
    )
    builder = family_of(spec.family, catalog())
    torch.manual_seed(0)
    builder.save(builder.build(config, heads=()), folder)
    (folder / "module.json").write_text(small.dumps(), encoding="utf-8")
    return folder


def small_tokenizer(spec: ModuleSpec, folder: Path) -> Tokenizer:
    """The tokenizer that a manifest asks for, over small files written into `folder`."""
    options = {key: value for key, value in spec.tokenizer.items() if key not in ("type", "vocab", "model", "words")}
    kind = spec.tokenizer["type"]
    if kind == "transformers":
        write_tokenizer_json(folder, spec.family)
        return tokenizer_from_folder(folder, spec.tokenizer)
    if kind == "sentencepiece":
        specials = {
            "control_symbols": ["[CLS]", "[SEP]", "[MASK]"],
            "pad_id": 0,
            "unk_id": 1,
            "bos_id": -1,
            "eos_id": -1,
        }
        return tokenizer_from_files(kind, model=small_sentencepiece(folder, "spiece", **specials), **options)
    vocabulary = write_vocabulary(folder)
    if kind != "ernie-tiny":
        return tokenizer_from_files(kind, vocab=vocabulary, **options)
    pieces = [*VOCABULARY[:5], "▁", *(f"▁{character}" for character in CHARACTERS), *CHARACTERS]
    vocabulary.write_text("\n".join(dict.fromkeys(pieces)) + "\n", encoding="utf-8")
    words = folder / "words.txt"
    words.write_text("中国\n北京\n国务院\n新华社\n", encoding="utf-8")
    model = small_sentencepiece(folder, "spm_cased_simp_sampled")
    return tokenizer_from_files(kind, vocab=vocabulary, model=model, words=words, **options)


def write_tokenizer_json(folder: Path, family: str) -> None:
    """``tokenizer.json`` and its configuration over `VOCABULARY`, with the special tokens that a family has."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    bert = family not in ("roberta", "xlm-roberta")
    start, end = ("[CLS]", "[SEP]") if bert else ("<s>", "</s>")
    specials = VOCABULARY[:5] if bert else ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pad, unknown, mask = ("[PAD]", "[UNK]", "[MASK]") if bert else ("<pad>", "<unk>", "<mask>")
    ids = {token: index for index, token in enumerate([*specials, *VOCABULARY[5:]])}
    backend = Tokenizer(models.WordPiece(ids, unk_token=unknown))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    second = 1 if family == "bert" else 0
    between = [end] if bert else [end, end]
    backend.post_processor = processors.TemplateProcessing(
        single=[f"{start}:0", "$A:0", f"{end}:0"],
        pair=[f"{start}:0", "$A:0", *(f"{token}:0" for token in between), f"$B:{second}", f"{end}:{second}"],
        special_tokens=[(token, ids[token]) for token in (start, end)],
    )
    backend.save(str(folder / "tokenizer.json"))
    config = {"pad_token": pad, "unk_token": unknown, "cls_token": start, "sep_token": end, "mask_token": mask}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def small_sentencepiece(folder: Path, name: str = "spm_cased_simp_sampled", **options: Any) -> Path:
    """A SentencePiece model learnt from the characters of this file; `options` are the trainer's."""
    import sentencepiece

    text = folder / "text.txt"
    text.write_text("\n".join([" ".join(CHARACTERS), CHARACTERS] * 20), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / name),
        vocab_size=len(set(CHARACTERS)) + 20,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    text.unlink()
    return folder / f"{name}.model"
