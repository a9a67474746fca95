"""Public data sets outside CLUE: PaddleHub's three, SST-2 and THUCNews."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from hub_core.data.dataset import Dataset
from hub_core.published.dataset import PublishedDataset


class ChnSentiCorp(PublishedDataset):
    """Chinese reviews of hotels, books and computers, ``1`` positive and ``0`` negative (Tan Songbo's corpus).

    9,600 train, 1,200 dev and 1,200 test rows. As published, hundreds of dev and test rows stand in train too;
    ``mode="train.clean"`` is train without them. Address: PaddleHub 2.4.0, paddlehub/datasets/.
    """

    task = "seq-cls"
    label_list = ["0", "1"]
    modes = (*Dataset.modes, "train.clean")
    folder_name = "chnsenticorp"
    url = "https://bj.bcebos.com/paddlehub-dataset/chnsenticorp.tar.gz"


class MSRA_NER(PublishedDataset):
    """Persons, organisations and places in Chinese news, one BIO label per character (SIGHAN 2006, MSRA).

    2,318 dev and 4,636 test sentences; train has 20,864 as PaddleHub publishes it. Address: PaddleHub 2.4.0,
    paddlehub/datasets/.
    """

    task = "token-cls"
    label_list = ["B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "O"]
    folder_name = "msra_ner"
    url = "https://bj.bcebos.com/paddlehub-dataset/msra_ner.tar.gz"


class LCQMC(PublishedDataset):
    """Pairs of Chinese questions, ``1`` where both ask the same and ``0`` where not (Liu and others, COLING 2018).

    238,766 train, 8,802 dev and 12,500 test pairs. Files: ``text_a, text_b, label`` as TSV, with a header as PaddleHub
    publishes them or without. Address: PaddleHub 2.4.0, paddlehub/datasets/lcqmc.py.
    """

    task = "text-matching"
    label_list = ["0", "1"]
    folder_name = "lcqmc"
    url = "https://bj.bcebos.com/paddlehub-dataset/lcqmc.tar.gz"
    positions = ("text_a", "text_b", "label")


class SST2(PublishedDataset):
    """English sentences from film reviews, ``1`` positive and ``0`` negative (GLUE's SST-2).

    67,349 train, 872 dev and 1,821 test rows; GLUE publishes test without labels. Address: GLUE's.
    """

    task = "seq-cls"
    label_list = ["0", "1"]
    folder_name = "sst2"
    url = "https://dl.fbaipublicfiles.com/glue/data/SST-2.zip"
    columns = MappingProxyType({"sentence": "text", "content": "text"})


class THUCNews(PublishedDataset):
    """Chinese news titles in ten classes, in the order of ``class.txt``: 180,000 train, 10,000 dev, 10,000 test.

    A selection of Tsinghua's THUCTC corpus, ``title<TAB>class number``. Its train files share titles with dev and test;
    ``mode="train.clean"`` leaves them out. Address: the repository that published the selection.
    """

    task = "seq-cls"
    label_list = [
        *("finance", "realty", "stocks", "education", "science"),
        *("society", "politics", "sports", "game", "entertainment"),
    ]
    modes = (*Dataset.modes, "train.clean")
    folder_name = "thucnews10"
    url = (
        "https://github.com/649453932/Chinese-Text-Classification-Pytorch/archive/"
        "6cb26819af7b646275aff8a4693676f2849e67f6.zip"
    )
    inside = "THUCNews/data"
    file_names: ClassVar[Mapping[str, Sequence[str]]] = MappingProxyType({"train": ("train.txt", "train_45k.txt")})
    positions = ("text", "label")

    @classmethod
    def read_row(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The class's name for its number."""
        number = values.get("label")
        if not isinstance(number, str) or not number.isascii() or not number.isdigit():
            raise ValueError(f"the class must be a number, not {number!r}")
        if int(number) >= len(cls.label_list):
            raise ValueError(f"there is no class {number}; they go from 0 to {len(cls.label_list) - 1}")
        return {**values, "label": cls.label_list[int(number)]}
