"""What core itself registers, by string: nothing here is imported before it is used."""

from __future__ import annotations

from collections.abc import Mapping

from hub_core.hookspecs import hookimpl

_DATASETS = (
    *("ChnSentiCorp", "MSRA_NER", "LCQMC", "SST2", "THUCNews"),
    *("AFQMC", "TNEWS", "IFLYTEK", "CMNLI", "OCNLI", "CLUEWSC2020", "CSL", "CLUENER", "CMRC2018", "DRCD"),
    *("FewCLUE_EPRSTMT", "FewCLUE_BUSTM", "FewCLUE_TNEWS", "FewCLUE_IFLYTEK"),
    *("FewCLUE_CSLDCP", "FewCLUE_OCNLI", "FewCLUE_CSL", "FewCLUE_CLUEWSC"),
)
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
        "rjieba": "hub_core.text.segment:RustJiebaSegmenter",
    },
    "masking": {
        "word": "hub_core.pretrain.masking:by_word",
        "ngram": "hub_core.pretrain.masking:by_ngram",
        "span": "hub_core.pretrain.masking:by_span",
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
        "seq-cls/single-label": "hub_core.report.classes:ClassReport",
        "seq-cls/multi-label": "hub_core.report.label_sets:LabelSetReport",
        "seq-cls/regression": "hub_core.report.numbers:NumberReport",
        "token-cls": "hub_core.report.entities:EntityReport",
        "text-matching": "hub_core.report.matching:MatchingReport",
        "embedding": "hub_core.report.similarities:SimilarityReport",
        "question-answering": "hub_core.report.answers:AnswerReport",
        "masked-lm": "hub_core.report.places:PlaceReport",
    },
    "dataset": {name: f"hub_core.datasets:{name}" for name in _DATASETS},
    "table": {
        "tsv": "hub_core.data.tables:read_tsv",
        "csv": "hub_core.data.tables:read_csv",
        "jsonl": "hub_core.data.tables:read_jsonl",
        "conll": "hub_core.data.tables:read_conll",
        "json": "hub_core.data.json_tables:read_json",
        "squad": "hub_core.data.json_tables:read_squad",
        "parquet": "hub_core.data.parquet:read_parquet",
    },
    "optimizer": {
        "adamw": "torch.optim:AdamW",
        "adam": "torch.optim:Adam",
        "adamax": "torch.optim:Adamax",
        "sgd": "torch.optim:SGD",
        "adadelta": "torch.optim:Adadelta",
        "lamb": "hub_core.train.lamb:Lamb",
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
