"""Whether two texts match: by their vectors (one encoder reads each), or read together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from hub_core.data.rows import PAIR, column_of, text_of
from hub_core.data.tables import Row
from hub_core.errors import DataError, LabelError, SettingsError
from hub_core.examples import Example, Features
from hub_core.tasks.rows import shown
from hub_core.tasks.seq_cls import SeqCls
from hub_core.tasks.task import one_of
from hub_core.tasks.vectors import POOLINGS, side_by_side
from hub_core.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import nn

#: How two texts are compared.
FORMS = ("vectors", "cosine", "cross")


class TextMatching(SeqCls):
    """A label for a pair of texts.

    Options: `form`. ``vectors``: one encoder makes a vector of each text, and ``[u; v; |u - v|]`` is classified
    (Sentence-BERT, Reimers and Gurevych 2019, the form that PaddleHub has). ``cosine``: two labels, of which the second
    says that the texts match; its logit is the cosine of the vectors on a learnt scale. ``cross``: the network reads
    both texts together, which is surer and slower, since nothing can be computed beforehand. `pooling` (for the first
    two) is how tokens become a vector: see `hub_core.tasks.vectors.POOLINGS`. `temperature` as for seq-cls.
    """

    name: ClassVar[str] = "text-matching"
    option_defaults: ClassVar[Mapping[str, Any]] = {**SeqCls.option_defaults, "form": "vectors", "pooling": "mean"}
    network_options: ClassVar[tuple[str, ...]] = ("form", "pooling")

    def check_options(self) -> None:
        """See `Task.check_options`."""
        super().check_options()
        form = one_of("form", self.options["form"], FORMS)
        one_of("pooling", self.options["pooling"], POOLINGS)
        if self.options["problem"] != "single-label":
            raise SettingsError("task text-matching has one label per pair; embedding learns numbers for pairs")
        if form == "cosine" and len(self.labels) != 2:
            raise LabelError(f"form 'cosine' has two labels, different and equal in this order, not {len(self.labels)}")
        self.auto_class = SeqCls.auto_class if form == "cross" else None
        self.texts = 1 if form == "cross" else 2

    @classmethod
    def read_pair(cls, row: Row) -> str | None:
        """The second text of a row. Raises BadRowError where it is missing."""
        return text_of(row, column_of(row, PAIR))

    def example(self, item: Any, *, split_char: str | None = None, key: str = "") -> Example:
        """A pair ``(text, pair)``, PaddleHub's ``[text, pair]``, or a dictionary of both."""
        example = super().example(item, split_char=split_char, key=key)
        if example.pair is None:
            raise DataError([f"{key}: expected a pair of texts, not {shown(item)}"])
        return example

    def encode(self, example: Example, tokenizer: Tokenizer, max_seq_len: int) -> list[Features]:
        """One Features: both texts side by side, or (form ``cross``) one after the other."""
        if self.options["form"] == "cross":
            return super().encode(example, tokenizer, max_seq_len)
        inputs, truncated = side_by_side([example.text, example.pair or ""], tokenizer, max_seq_len)
        target = None if example.label is None else self.problem.target(example.label)
        return [Features(inputs, target, example.key, meta=truncated)]

    def network(self, encoder: nn.Module, prefix: str) -> nn.Module:
        """See `Task.network`."""
        from hub_core.nn.sentence import CosineNetwork, MatchingNetwork

        if self.options["form"] == "cosine":
            return CosineNetwork(encoder, prefix, pooling=self.options["pooling"])
        return MatchingNetwork(encoder, prefix, pooling=self.options["pooling"], labels=len(self.labels))
