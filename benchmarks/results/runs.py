"""What is learnt from what, and how it is measured: data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import judges, prepared


@dataclass(frozen=True)
class Run:
    """A task learnt from a data set.

    `module` is a recipe to train, or without `train` (options of ``hub train``) the name of a module that is measured
    as it is. `data` is a data set's name, or writes a folder. `measure` are options of ``hub evaluate``. `judge`
    computes scores from saved predictions with `library`. ``{data}`` in options is the folder.
    """

    name: str
    task: str
    module: str
    data: str | Callable[[Path], None]
    judge: Callable[[Sequence[judges.Record], str], dict[str, float]]
    library: str
    train: str = ""
    measure: str = "--split test"
    problem: str = ""

    @property
    def title(self) -> str:
        """The task, and which of its problems."""
        return f"{self.task}, {self.problem}" if self.problem else self.task


#: One epoch more would help some, and is not looked for: these are no records, but the proof that all of it works.
_USUAL = "--epochs 5 --batch-size 64 --learning-rate 1e-3 --schedule linear --warmup-ratio 0.05 --max-grad-norm 1"
#: Where only one held-out split has labels, nothing is chosen by it.
_LAST = f"--dev-split '' {_USUAL}"

RUNS = (
    Run("msra_ner", "token-cls", "bilstm-ner-zh", "msra_ner", judges.entities, "seqeval"),
    Run(
        "chnsenticorp",
        "seq-cls",
        "bilstm-sentiment-zh",
        "chnsenticorp",
        judges.classes,
        "scikit-learn",
        measure="--split test --rename-labels 0=negative,1=positive",
    ),
    Run(
        "tnews",
        "seq-cls",
        "cnn-zh",
        "tnews",
        judges.classes,
        "scikit-learn",
        train=_LAST,
        measure="--split dev",
    ),
    Run(
        "tnews-clean",
        "seq-cls",
        "cnn-zh",
        "tnews",
        judges.classes,
        "scikit-learn",
        train=f"--train-split train.clean {_LAST}",
        measure="--split dev",
    ),
    Run(
        "thucnews-clean",
        "seq-cls",
        "cnn-zh",
        "thucnews",
        judges.classes,
        "scikit-learn",
        train=f"--train-split train.clean {_USUAL}",
    ),
    Run(
        "afqmc",
        "text-matching",
        "bilstm-pairs-zh",
        prepared.questions_of_finance,
        judges.classes,
        "scikit-learn",
        train=_USUAL,
    ),
    Run(
        "lcqmc",
        "embedding",
        "bilstm-pairs-zh",
        "lcqmc",
        judges.similarities,
        "scipy, pytrec_eval",
        train=f"--train-split dev {_LAST}",
    ),
    Run(
        "entity-types",
        "seq-cls",
        "cnn-zh",
        prepared.entity_types,
        judges.label_sets,
        "scikit-learn",
        train=f"--task-option problem=multi-label {_USUAL}",
        problem="multi-label",
    ),
    Run(
        "entity-share",
        "seq-cls",
        "cnn-zh",
        prepared.entity_share,
        judges.numbers,
        "scipy, scikit-learn",
        train=f"--task-option problem=regression {_USUAL}",
        problem="regression",
    ),
    Run(
        "named-titles",
        "masked-lm",
        "bert-mini-zh",
        prepared.named_titles,
        judges.places,
        "scikit-learn",
        train=f"--word-list {{data}}/vocab.txt {_USUAL} --epochs 3 --learning-rate 5e-4",
    ),
    Run(
        "cmrc2018",
        "question-answering",
        "bert-mini-zh",
        prepared.questions,
        judges.answers,
        "difflib, nltk",
        train=f"--word-list {prepared.VOCABULARY} --max-seq-len 384 {_LAST} --epochs 1 --batch-size 16",
    ),
)
