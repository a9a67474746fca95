"""Data sets: public ones by name, and a user's own files. Each is a sequence of examples with its labels.

    hub.datasets.MSRA_NER(model.get_tokenizer(), max_seq_len=128, mode="train")
    hub.datasets.folder_dataset("reviews", task="seq-cls", mode="dev")  # reviews/dev.csv
    hub.datasets.Dataset.from_rows([("房间很干净", "positive")], task="seq-cls")
    hub.datasets.from_hf(load_dataset("imdb")["train"], task="seq-cls")

Wherever a folder or a file is taken, an address may stand (``s3://...``, see `hub_core.data.remote`).
Rows are kept as text: tokenizing belongs to training, which knows lengths and pads by the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hub_core.data.dataset import DataFile, Dataset, labels_of, renamed_labels
from hub_core.data.folder import LABELS_FILE, canonical_mode, find_split, listed_labels, read_labels
from hub_core.data.huggingface import from_hf
from hub_core.data.problems import Problems
from hub_core.data.remote import joined, local_file
from hub_core.data.rows import RowReading, read_examples, to_examples
from hub_core.data.tables import Columns, read_table, table_format
from hub_core.errors import LabelError, NotFoundError, SettingsError, UnknownDatasetError, unknown
from hub_core.examples import IGNORE, Example
from hub_core.plugins import catalog
from hub_core.published.clue import (
    AFQMC,
    CLUENER,
    CLUEWSC2020,
    CMNLI,
    CMRC2018,
    CSL,
    DRCD,
    IFLYTEK,
    OCNLI,
    TNEWS,
)
from hub_core.published.fewclue import (
    FewCLUE_BUSTM,
    FewCLUE_CLUEWSC,
    FewCLUE_CSL,
    FewCLUE_CSLDCP,
    FewCLUE_EPRSTMT,
    FewCLUE_IFLYTEK,
    FewCLUE_OCNLI,
    FewCLUE_TNEWS,
)
from hub_core.published.sets import LCQMC, MSRA_NER, SST2, ChnSentiCorp, THUCNews
from hub_core.tagging import OUTSIDE

if TYPE_CHECKING:
    from hub_core.text.tokenizer import Tokenizer

__all__ = [
    "AFQMC",
    "CLUENER",
    "CLUEWSC2020",
    "CMNLI",
    "CMRC2018",
    "CSL",
    "DRCD",
    "IFLYTEK",
    "LCQMC",
    "MSRA_NER",
    "OCNLI",
    "SST2",
    "TNEWS",
    "ChnSentiCorp",
    "DataFile",
    "Dataset",
    "FewCLUE_BUSTM",
    "FewCLUE_CLUEWSC",
    "FewCLUE_CSL",
    "FewCLUE_CSLDCP",
    "FewCLUE_EPRSTMT",
    "FewCLUE_IFLYTEK",
    "FewCLUE_OCNLI",
    "FewCLUE_TNEWS",
    "SeqLabelingDataset",
    "THUCNews",
    "TextClassificationDataset",
    "TextMatchingDataset",
    "folder_dataset",
    "from_hf",
    "labels_of",
]


def __getattr__(name: str) -> Any:
    """A data set that a plugin registers (hook `hub_entries`, kind ``dataset``), as an attribute like core's own.

    Raises UnknownDatasetError with near matches, which is an AttributeError too.
    """
    known = {} if name.startswith("_") else catalog().entries("dataset")
    if name not in known:
        raise UnknownDatasetError(unknown("data set", name, known, where="in hub_core.datasets"))
    return known[name].load()


class TextClassificationDataset(Dataset):
    """A user's own file for classification of texts or pairs; PaddleHub's class of this name.

    - `base_path`: the folder; `data_file`: the file in it, by default the one that is called `mode`
      (``train.tsv``, ``train.csv``, ...). A suffix that names no format means TSV, as in PaddleHub.
    - A TSV or CSV file has the columns ``label, text_a``, or else `columns` (such as ``label, text_a, text_b``).
      With ``is_file_with_header=True`` its first line names them, in any order: ``text_a`` or ``text``, ``text_b``
      or ``text_pair``, and ``label``.
    - The labels, in target order, are `label_list`, or the lines of `label_file`, or the class attribute
      `label_list` of a subclass, or those found in a train file (`labels_of`).
    - `rename_labels` gives them other names than the file does: ``{"0": "negative", "1": "positive"}``.

    Raises NotFoundError (folder, file, mode), LabelError (labels), DataError (rows, ``file:line`` each).
    """

    task = "seq-cls"
    #: The columns of a file without a header.
    own_columns: ClassVar[Sequence[str]] = ("label", "text_a")

    def __init__(
        self,
        base_path: str | Path,
        tokenizer: Tokenizer | None = None,
        max_seq_len: int | None = None,
        mode: str = "train",
        data_file: str | None = None,
        label_file: str | None = None,
        label_list: Sequence[str] | None = None,
        is_file_with_header: bool = False,
        columns: Sequence[str] | None = None,
        *,
        rename_labels: Mapping[str, str] | None = None,
    ) -> None:
        path = _own_file(self, base_path, data_file, mode)
        examples, labels = _read_split(
            path,
            RowReading(self.task, rename=rename_labels or {}),
            mode=mode,
            label_list=_listed(base_path, label_file, label_list or self.label_list),
            columns=columns or (None if is_file_with_header else self.own_columns),
            header=is_file_with_header,
        )
        super().__init__(
            examples, labels, mode=mode, tokenizer=tokenizer, max_seq_len=max_seq_len, files=[DataFile.at(path)]
        )


class TextMatchingDataset(TextClassificationDataset):
    """A user's own file of pairs; PaddleHub's class of this name.

    As `TextClassificationDataset`, with the columns ``text_a, text_b, label``.
    """

    task = "text-matching"
    own_columns = ("text_a", "text_b", "label")


class SeqLabelingDataset(Dataset):
    """A user's own file for sequence labelling; PaddleHub's class of this name.

    As `TextClassificationDataset`, with the columns ``text_a, label``, both joined by `split_char` (one label per
    unit); a ``.jsonl`` file has lists (``tokens`` or ``text``, and ``labels``), a ``.conll`` file one token per line.
    `no_entity_label` is the file's name for ``O`` (and is renamed to it). `ignore_label` is `IGNORE` (-100).
    """

    task = "token-cls"

    def __init__(
        self,
        base_path: str | Path,
        tokenizer: Tokenizer | None = None,
        max_seq_len: int | None = None,
        mode: str = "train",
        data_file: str | None = None,
        label_file: str | None = None,
        label_list: Sequence[str] | None = None,
        split_char: str = "\002",
        no_entity_label: str = OUTSIDE,
        ignore_label: int = IGNORE,
        is_file_with_header: bool = False,
        *,
        columns: Sequence[str] | None = None,
        rename_labels: Mapping[str, str] | None = None,
    ) -> None:
        if ignore_label != IGNORE:
            raise SettingsError(f"ignore_label={ignore_label!r}: losses and metrics here pass over {IGNORE} only")
        path = _own_file(self, base_path, data_file, mode)
        rename = dict(rename_labels or {}) | ({} if no_entity_label == OUTSIDE else {no_entity_label: OUTSIDE})
        examples, labels = _read_split(
            path,
            RowReading(self.task, rename=rename, split_char=split_char),
            mode=mode,
            label_list=_listed(base_path, label_file, label_list or self.label_list),
            columns=columns or (None if is_file_with_header else ("text_a", "label")),
            header=is_file_with_header,
        )
        super().__init__(
            examples, labels, mode=mode, tokenizer=tokenizer, max_seq_len=max_seq_len, files=[DataFile.at(path)]
        )


def folder_dataset(
    folder: str | Path,
    *,
    task: str,
    mode: str = "train",
    label_list: Sequence[str] | None = None,
    tokenizer: Tokenizer | None = None,
    max_seq_len: int | None = None,
    columns: Columns | None = None,
    header: bool | None = None,
    split_char: str = "\002",
    rename_labels: Mapping[str, str] | None = None,
    task_options: Mapping[str, Any] | None = None,
) -> Dataset:
    """One split of a folder of files: ``train.tsv``, ``dev.jsonl``, ``test.parquet``, ... (any mix of formats).

    `folder` may be an address. TSV and CSV files have a header, unless `columns` names their columns in order
    (`header=True` and `columns`: the names of the first line are replaced); a mapping gives columns of any format
    other names (``{"sentence": "text"}``). ``.txt`` is CoNLL for token-cls, TSV otherwise. Without `label_list` the
    labels are the lines of the folder's ``labels.txt``, or else those of its train split (`labels_of`), for every mode
    alike. Raises as `find_split` and `hub_core.data.rows.read_examples` do.
    """
    path = find_split(folder, mode)
    if label_list is None:
        label_list = listed_labels(folder)
    labels = None if label_list is None else renamed_labels(label_list, rename_labels)
    layout: dict[str, Any] = {
        "columns": columns,
        "header": header,
        "split_char": split_char,
        "rename_labels": rename_labels,
        "task_options": task_options,
    }
    named = RowReading(task, options=task_options or {}).has_labels
    if labels is None and named and not _is_train(mode):
        labels = _labels_of_train(folder, mode, task=task, **layout)
    known = None if labels is None else frozenset(labels)
    reading = RowReading(task, known, rename_labels or {}, split_char, options=task_options or {})
    format = table_format(path) or ("conll" if task == "token-cls" else "tsv")
    problems = Problems()
    rows = read_table(path, format=format, columns=columns, header=header, problems=problems)
    examples = list(to_examples(rows, reading, problems))
    problems.raise_if_any()
    return Dataset(
        examples,
        (labels_of(examples) if named else []) if labels is None else labels,
        task=task,
        task_options=task_options,
        mode=mode,
        tokenizer=tokenizer,
        max_seq_len=max_seq_len,
        files=[DataFile.at(path)],
    )


def _labels_of_train(folder: str | Path, mode: str, **layout: Any) -> list[str]:
    """The labels of a folder that lists none: another split may lack some, so only its train split can say."""
    try:
        return folder_dataset(folder, mode="train", **layout).label_list
    except NotFoundError as error:
        raise LabelError(
            f"the labels of mode {mode!r} in {folder} are not known: pass label_list, or list them in {LABELS_FILE} "
            f"(one per line), or put the train split there; {error}"
        ) from error


def _is_train(mode: str) -> bool:
    return mode.partition(".")[0] == "train"  # also train.clean and the like


def _read_split(
    path: Path,
    reading: RowReading,
    *,
    mode: str,
    label_list: Sequence[str] | None,
    columns: Sequence[str] | None,
    header: bool,
) -> tuple[list[Example], list[str]]:
    """Examples and labels of a user's own file; `columns` and `header` matter to TSV and CSV alone."""
    if label_list is None and not _is_train(mode):
        raise LabelError(f"the labels of mode {mode!r} are not known: pass label_list or label_file for {path}")
    labels = None if label_list is None else renamed_labels(label_list, reading.rename)
    format = table_format(path) or "tsv"
    delimited = format in ("tsv", "csv")
    examples = read_examples(
        path,
        replace(reading, labels=None if labels is None else frozenset(labels)),
        format=format,
        columns=columns if delimited else None,
        header=header if delimited else None,
    )
    return examples, labels_of(examples) if labels is None else labels


def _own_file(dataset: Dataset, base_path: str | Path, data_file: str | None, mode: str) -> Path:
    """The file that a user's class reads."""
    if data_file is None:
        return find_split(base_path, mode)
    _check_mode(dataset, mode)
    return local_file(joined(base_path, data_file))


def _check_mode(dataset: Dataset, mode: str) -> None:
    if canonical_mode(mode) not in dataset.modes:
        raise NotFoundError(unknown("mode", mode, (*dataset.modes, "val"), where=f"of {type(dataset).__name__}"))


def _listed(base_path: str | Path, label_file: str | None, label_list: Sequence[str]) -> Sequence[str] | None:
    """The labels that are given: as a list, in a file, or both (which must agree)."""
    if label_file is None:
        return label_list or None
    path = local_file(joined(base_path, label_file))
    found = read_labels(path)
    if label_list and list(label_list) != found:
        raise LabelError(f"label_list is {', '.join(label_list)}, but {path} has {', '.join(found)}")
    return found
