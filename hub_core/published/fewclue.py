"""FewCLUE's data sets: few rows to learn from, in five folds. JSON lines, in the archives that PaddleNLP serves.

Modes are called as the files are: ``train_0`` to ``train_4``, ``dev_0`` to ``dev_4``, ``train_few_all``,
``dev_few_all``, ``test_public`` (labelled), ``test`` and ``unlabeled`` (both without labels); ``train`` and ``dev`` are
all five folds together. ChID is missing: no task here chooses between given answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from hub_core.published import clue
from hub_core.published.dataset import PublishedDataset
from hub_core.published.labels import CSLDCP_LABELS, IFLYTEK_LABELS, NLI_LABELS, TNEWS_LABELS

#: Where the archives are (paddlenlp/datasets/fewclue.py of PaddleNLP 2).
ARCHIVES = "https://bj.bcebos.com/paddlenlp/datasets/FewCLUE"
_FOLDS = tuple(f"{split}_{fold}" for split in ("train", "dev") for fold in (*range(5), "few_all"))


class FewClueDataset(PublishedDataset):
    """What FewCLUE's sets have in common: their modes and their files."""

    modes = ("train", "dev", "test", "test_public", "unlabeled", *_FOLDS)
    file_names: ClassVar[Mapping[str, Sequence[str]]] = MappingProxyType(
        {"train": ("train_few_all.json",), "dev": ("dev_few_all.json",)}
    )


class FewCLUE_EPRSTMT(FewClueDataset):
    """Reviews from a shop, ``Negative`` or ``Positive``."""

    task = "seq-cls"
    label_list = ["Negative", "Positive"]
    folder_name = "fewclue/eprstmt"
    url = f"{ARCHIVES}/fewclue_eprstmt.tar.gz"
    columns = MappingProxyType({"sentence": "text"})


class FewCLUE_BUSTM(FewClueDataset):
    """Pairs of what users said to a voice assistant, ``1`` where both mean the same."""

    task = "text-matching"
    label_list = ["0", "1"]
    folder_name = "fewclue/bustm"
    url = f"{ARCHIVES}/fewclue_bustm.tar.gz"
    columns = clue.PAIRS


class FewCLUE_TNEWS(FewClueDataset):
    """As TNEWS."""

    task = "seq-cls"
    label_list = list(TNEWS_LABELS)
    folder_name = "fewclue/tnews"
    url = f"{ARCHIVES}/fewclue_tnews.tar.gz"
    columns = clue.TNEWS.columns


class FewCLUE_IFLYTEK(FewClueDataset):
    """As IFLYTEK."""

    task = "seq-cls"
    label_list = list(IFLYTEK_LABELS)
    folder_name = "fewclue/iflytek"
    url = f"{ARCHIVES}/fewclue_iflytek.tar.gz"
    columns = clue.IFLYTEK.columns


class FewCLUE_CSLDCP(FewClueDataset):
    """Abstracts of papers in 67 disciplines, in the order of FewCLUE's list of them."""

    task = "seq-cls"
    label_list = list(CSLDCP_LABELS)
    folder_name = "fewclue/csldcp"
    url = f"{ARCHIVES}/fewclue_csldcp.tar.gz"
    columns = MappingProxyType({"content": "text"})


class FewCLUE_OCNLI(FewClueDataset):
    """As OCNLI."""

    task = "seq-cls"
    label_list = list(NLI_LABELS)
    folder_name = "fewclue/ocnli"
    url = f"{ARCHIVES}/fewclue_ocnli.tar.gz"
    columns = clue.PAIRS
    read_row = clue.OCNLI.read_row


class FewCLUE_CSL(FewClueDataset):
    """As CSL."""

    task = "seq-cls"
    label_list = ["0", "1"]
    folder_name = "fewclue/csl"
    url = f"{ARCHIVES}/fewclue_csl.tar.gz"
    columns = clue.CSL.columns
    read_row = clue.CSL.read_row


class FewCLUE_CLUEWSC(FewClueDataset):
    """As CLUEWSC2020."""

    task = "seq-cls"
    label_list = ["false", "true"]
    folder_name = "fewclue/cluewsc"
    url = f"{ARCHIVES}/fewclue_cluewsc.tar.gz"
    read_row = clue.CLUEWSC2020.read_row
