"""What core itself registers, by string: nothing here is imported before it is used."""

from __future__ import annotations

from collections.abc import Mapping

from hub_core.hookspecs import hookimpl

_ENTRIES: Mapping[str, Mapping[str, str]] = {
    "family": {"bilstm": "hub_core.nn.bilstm_family:BiLstmFamily"},
    "tokenizer": {
        "wordpiece": "hub_core.text.wordpiece:WordPieceTokenizer",
        "ernie": "hub_core.text.wordpiece:ErnieTokenizer",
        "sentencepiece": "hub_core.text.sentencepiece:SentencePieceTokenizer",
        "char": "hub_core.text.words:CharTokenizer",
        "word": "hub_core.text.words:WordTokenizer",
        "transformers": "hub_core.text.foreign:TransformersTokenizer",
    },
    "segmenter": {"jieba": "hub_core.text.segment:JiebaSegmenter"},
    "task": {
        "seq-cls": "hub_core.tasks.seq_cls:SeqCls",
        "token-cls": "hub_core.tasks.token_cls:TokenCls",
    },
    "dataset": {
        "MSRA_NER": "hub_core.datasets:MSRA_NER",
        "ChnSentiCorp": "hub_core.datasets:ChnSentiCorp",
    },
    "table": {
        "tsv": "hub_core.data.tables:read_tsv",
        "csv": "hub_core.data.tables:read_csv",
        "jsonl": "hub_core.data.tables:read_jsonl",
        "conll": "hub_core.data.tables:read_conll",
    },
    "optimizer": {
        "adamw": "torch.optim:AdamW",
        "adam": "torch.optim:Adam",
        "adamax": "torch.optim:Adamax",
        "sgd": "torch.optim:SGD",
        "adadelta": "torch.optim:Adadelta",
    },
    "tracker": {
        "tensorboard": "hub_core.train.trackers:TensorBoard",
        "trackio": "hub_core.train.trackers:Trackio",
        "swanlab": "hub_core.train.trackers:SwanLab",
        "wandb": "hub_core.train.trackers:WandB",
        "mlflow": "hub_core.train.trackers:MLflow",
    },
}


@hookimpl
def hub_entries(kind: str) -> Mapping[str, str]:
    """Core's own entries of one kind."""
    return _ENTRIES.get(kind, {})
