"""What core itself registers, by string: nothing here is imported before it is used."""

from __future__ import annotations

from collections.abc import Mapping

from hub_core.hookspecs import hookimpl

_ENTRIES: Mapping[str, Mapping[str, str]] = {
    "family": {
        "bilstm": "hub_core.nn.bilstm_family:BiLstmFamily",
        "bow": "hub_core.nn.bags:BowFamily",
        "cnn": "hub_core.nn.bags:CnnFamily",
    },
    "tokenizer": {
        "wordpiece": "hub_core.text.wordpiece:WordPieceTokenizer",
        "ernie": "hub_core.text.wordpiece:ErnieTokenizer",
        "sentencepiece": "hub_core.text.sentencepiece:SentencePieceTokenizer",
        "char": "hub_core.text.words:CharTokenizer",
        "word": "hub_core.text.words:WordTokenizer",
        "wobert": "hub_core.text.wobert:WoBertTokenizer",
        "transformers": "hub_core.text.foreign:TransformersTokenizer",
    },
    "segmenter": {
        "jieba": "hub_core.text.segment:JiebaSegmenter",
        "jieba-dictionary": "hub_core.text.segment:JiebaDictionarySegmenter",
    },
    "task": {
        "seq-cls": "hub_core.tasks.seq_cls:SeqCls",
        "token-cls": "hub_core.tasks.token_cls:TokenCls",
        "text-matching": "hub_core.tasks.text_matching:TextMatching",
        "embedding": "hub_core.tasks.embedding:Embedding",
        "masked-lm": "hub_core.tasks.masked_lm:MaskedLm",
        "question-answering": "hub_core.tasks.question_answering:QuestionAnswering",
    },
    "report": {
        "seq-cls": "hub_core.report.classes:ClassReport",
        "token-cls": "hub_core.report.entities:EntityReport",
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
}


@hookimpl
def hub_entries(kind: str) -> Mapping[str, str]:
    """Core's own entries of one kind."""
    return _ENTRIES.get(kind, {})
