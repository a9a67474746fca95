"""CLUE's data sets, as cluebenchmarks.com publishes them: JSON lines, or SQuAD's form; test splits have no labels.

ChID and C3 are missing: no task here chooses between given answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from hub_core.data.dataset import Dataset
from hub_core.data.problems import shortened
from hub_core.published.dataset import PublishedDataset
from hub_core.published.labels import IFLYTEK_LABELS, NLI_LABELS, TNEWS_LABELS

#: Where CLUE's archives are (the addresses of its README).
TASKS = "https://storage.googleapis.com/cluebenchmark/tasks"
PAIRS: Mapping[str, str] = MappingProxyType({"sentence1": "text", "sentence2": "text_pair"})


class AFQMC(PublishedDataset):
    """Pairs of questions about Ant Financial's services, ``1`` where both ask the same: 34,334 train, 4,316 dev.

    CLUE's JSON lines, or the same as TSV without a header (``text_a, text_b, label``).
    """

    task = "text-matching"
    label_list = ["0", "1"]
    folder_name = "afqmc"
    url = f"{TASKS}/afqmc_public.zip"
    columns = PAIRS
    positions = ("text_a", "text_b", "label")


class TNEWS(PublishedDataset):
    """Headlines of Toutiao in 15 classes, labelled by their names (``news_story``, ...): 53,360 train, 10,000 dev.

    A tenth of dev stands in train too; ``mode="train.clean"`` is train without it.
    """

    task = "seq-cls"
    label_list = list(TNEWS_LABELS)
    modes = (*Dataset.modes, "train.clean")
    folder_name = "tnews"
    url = f"{TASKS}/tnews_public.zip"
    columns = MappingProxyType({"sentence": "text", "label_desc": "label"})


class IFLYTEK(PublishedDataset):
    """Descriptions of apps in 119 classes, labelled by their names: 12,133 train, 2,599 dev; long texts."""

    task = "seq-cls"
    label_list = list(IFLYTEK_LABELS)
    folder_name = "iflytek"
    url = f"{TASKS}/iflytek_public.zip"
    columns = MappingProxyType({"sentence": "text", "label_des": "label"})


class CMNLI(PublishedDataset):
    """Premise and hypothesis: neutral, entailment or contradiction; translated. 391,782 train, 12,426 dev.

    Rows that the annotators did not agree on (label ``-``) are left out, as CLUE does.
    """

    task = "seq-cls"
    label_list = list(NLI_LABELS)
    folder_name = "cmnli"
    url = f"{TASKS}/cmnli_public.zip"
    columns = PAIRS

    @classmethod
    def read_row(cls, values: dict[str, Any]) -> dict[str, Any] | None:
        """None for a row without an agreed label."""
        return None if values.get("label") == "-" else values


class OCNLI(CMNLI):
    """As CMNLI, but written in Chinese: 50,437 train, 2,950 dev."""

    label_list = list(NLI_LABELS)
    folder_name = "ocnli"
    url = f"{TASKS}/ocnli_public.zip"


class CLUEWSC2020(PublishedDataset):
    """Whether a pronoun stands for a noun: 1,244 train, 304 dev.

    The text has both marked, as in ``_床_上枕头旁边的手机响了，现在[它]突然响了``.
    """

    task = "seq-cls"
    label_list = ["false", "true"]
    folder_name = "cluewsc2020"
    url = f"{TASKS}/cluewsc2020_public.zip"

    @classmethod
    def read_row(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The text with its noun and its pronoun marked. ValueError where one does not stand at its place."""
        text, target = values["text"], values["target"]
        marks = []
        for name, before, after in (("span1", "_", "_"), ("span2", "[", "]")):
            word, start = target[f"{name}_text"], target[f"{name}_index"]
            if text[start : start + len(word)] != word:
                raise ValueError(f"{shortened(word)!r} does not stand at {start} of the text")
            marks.append((start, start + len(word), before, after))
        for start, end, before, after in sorted(marks, reverse=True):  # from the end, so that places stay right
            text = text[:start] + before + text[start:end] + after + text[end:]
        return {**values, "text": text}


class CSL(PublishedDataset):
    """Keywords and the abstract of a paper: ``1`` where all keywords are its own. 20,000 train, 3,000 dev.

    The first text are the keywords with spaces between, the second is the abstract.
    """

    task = "seq-cls"
    label_list = ["0", "1"]
    folder_name = "csl"
    url = f"{TASKS}/csl_public.zip"
    columns = MappingProxyType({"abst": "text_pair"})

    @classmethod
    def read_row(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The keywords as the first text."""
        return {**values, "text": " ".join(values["keyword"])}


class CLUENER(PublishedDataset):
    """Ten kinds of names in Chinese news, one BIO label per character: 10,748 train, 1,343 dev.

    Where two names overlap, the longer one is labelled.
    """

    kinds: ClassVar[Sequence[str]] = (
        *("address", "book", "company", "game", "government", "movie", "name", "organization", "position", "scene"),
    )
    task = "token-cls"
    label_list = [*(f"{place}-{kind}" for kind in kinds for place in "BI"), "O"]
    folder_name = "cluener"
    url = f"{TASKS}/cluener_public.zip"

    @classmethod
    def read_row(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Characters and labels of ``{"text", "label": {kind: {name: [[first, last], ...]}}}``."""
        text = values["text"]
        others = {name: value for name, value in values.items() if name not in ("text", "label")}
        if "label" not in values:
            return {**others, "tokens": tuple(text)}
        spans = [
            (first, last + 1, kind, name)
            for kind, names in values["label"].items()
            for name, places in names.items()
            for first, last in places
        ]
        labels = ["O"] * len(text)
        for start, end, kind, name in sorted(spans, key=lambda span: span[0] - span[1]):
            if text[start:end] != name:
                raise ValueError(f"{shortened(name)!r} does not stand at {start} of the text")
            if set(labels[start:end]) == {"O"}:
                labels[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
        return {**others, "tokens": tuple(text), "labels": labels}


class CMRC2018(PublishedDataset):
    """Questions about passages of Chinese Wikipedia, answered by a span: 10,142 train, 3,219 dev, 1,002 trial.

    Documents in SQuAD's form, CLUE's or those of the repository ymcui/cmrc2018. Left out are answers that do not stand
    in the passage where they say (annotators wrote some in their own words: 200 of 9,657 in dev), questions that have
    none left (3 of dev, 5 of trial), and those without a text (2 of trial). Test is published without answers, or with
    fake ones.
    """

    task = "question-answering"
    modes = (*Dataset.modes, "trial")
    folder_name = "cmrc2018"
    url = f"{TASKS}/cmrc2018_public.zip"
    file_names: ClassVar[Mapping[str, Sequence[str]]] = MappingProxyType(
        {
            "train": ("train.json", "cmrc2018_train.json"),
            "dev": ("dev.json", "cmrc2018_dev.json"),
            "trial": ("trial.json", "cmrc2018_trial.json"),
            "test": ("test.json", "test_squad_style.json", "cmrc2018_test.json"),
        }
    )

    @classmethod
    def read_row(cls, values: dict[str, Any]) -> dict[str, Any] | None:
        """The question with the answers that can be found; no such column where nobody knows them."""
        others = {name: value for name, value in values.items() if name != "answers"}
        answers = [one for one in values.get("answers", ()) if not one["text"].startswith("FAKE_ANSWER")]
        if not values["question"].strip():
            return None
        if not answers:
            return others
        placed = [one for one in answers if _stands(one, values["context"])]
        return {**others, "answers": placed} if placed else None


def _stands(answer: Mapping[str, Any], context: str) -> bool:
    start, text = answer["answer_start"], answer["text"]
    return bool(text) and start >= 0 and context[start : start + len(text)] == text


class DRCD(CMRC2018):
    """As CMRC2018, in traditional characters: 26,936 train, 3,524 dev, 3,493 test questions."""

    modes = Dataset.modes
    file_names: ClassVar[Mapping[str, Sequence[str]]] = MappingProxyType({})
    folder_name = "drcd"
    url = f"{TASKS}/drcd_public.zip"
