"""What a tokenizer is here: a light object with numbers in and out, called as `transformers`' tokenizers are."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self, overload

from hub_core.errors import SettingsError, unknown
from hub_core.examples import Array
from hub_core.spec import safe_relative
from hub_core.text.alignment import align
from hub_core.text.encoding import Text, as_arrays, make_plan, pad_rows, rows_of, truncate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: `encode_unit` remembers this many units (Chinese text has some ten thousand different characters).
_UNITS_KEPT = 65_536
#: Options that every tokenizer has.
_COMMON_OPTIONS: Mapping[str, Any] = {"max_length": None}


class Tokenizer(ABC):
    """Text to token ids.

    Subclasses give the vocabulary and how one text is cut; this class adds special tokens, pairs, truncation and
    padding. Special ids are None where the vocabulary has no such token (the word-level ones have no ``[CLS]``).
    Thread-safe: nothing changes after construction except caches.

    A subclass states `type`, the files it is built from and its options, implements `from_files` (or `from_folder`)
    and the abstract methods, and sets `pad_id`, `unk_id` and whichever of the other ids it has.
    """

    #: The key under which the tokenizer is registered, and `type` in the manifest.
    type: ClassVar[str]
    #: The files it is built from: role (also the manifest's key) to the name in a module folder.
    file_names: ClassVar[Mapping[str, str]] = {}
    #: Roles of files that are read only where the manifest names them.
    optional_files: ClassVar[tuple[str, ...]] = ()
    #: The manifest's further keys with their defaults; every tokenizer also has ``max_length``.
    option_defaults: ClassVar[Mapping[str, Any]] = {}
    #: The values that an option may have, for those with a fixed set.
    option_choices: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    #: Names of the arrays that the network gets, in order.
    input_names: tuple[str, ...] = ("input_ids", "token_type_ids", "attention_mask")

    #: All options with their values, defaults included.
    options: Mapping[str, Any] = MappingProxyType({})

    pad_id: int
    unk_id: int
    cls_id: int | None = None
    sep_id: int | None = None
    mask_id: int | None = None

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options = self.read_options(options or {})

    @classmethod
    def from_folder(cls, folder: Path, options: Mapping[str, Any]) -> Self:
        """Build from a module folder and the manifest's ``tokenizer`` object (its ``type`` key included).

        Raises SettingsError for an unknown option or value, CheckpointError or DataError for an unusable file.
        """
        roles = (*cls.file_names, *(role for role in cls.optional_files if role in options))
        files = {role: _inside(folder, options.get(role, cls.file_names.get(role))) for role in roles}
        return cls.from_files(files, {key: value for key, value in options.items() if key not in (*roles, "type")})

    @classmethod
    def from_files(cls, files: Mapping[str, Path], options: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Build from files by role (the keys of `file_names`), wherever they are, and options."""
        raise SettingsError(f"tokenizer type {cls.type!r} is read from a whole folder, not from single files")

    @classmethod
    def read_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options completed with the defaults. Raises SettingsError for unknown names and unusable values."""
        defaults = {**_COMMON_OPTIONS, **cls.option_defaults}
        for key, value in options.items():
            if key not in defaults:
                raise SettingsError(unknown("option", key, defaults, where=f"of tokenizer type {cls.type!r}"))
            if key in cls.option_choices and value not in cls.option_choices[key]:
                raise SettingsError(unknown(f"value of tokenizer option {key!r}:", value, cls.option_choices[key]))
            if isinstance(defaults[key], bool) and not isinstance(value, bool):
                raise SettingsError(f"tokenizer option {key!r} must be true or false, not {value!r}")
        length = options.get("max_length")
        if length is not None and (not isinstance(length, int) or isinstance(length, bool) or length < 1):
            raise SettingsError(f"tokenizer option 'max_length' must be a positive whole number, not {length!r}")
        return {**defaults, **options}

    @abstractmethod
    def save(self, folder: Path) -> dict[str, Any]:
        """Write the tokenizer's files into a folder and return the manifest's ``tokenizer`` object."""

    def manifest(self) -> dict[str, Any]:
        """The manifest's ``tokenizer`` object: `type` and every option that is set."""
        return {"type": self.type, **{key: value for key, value in self.options.items() if value is not None}}

    @abstractmethod
    def get_vocab(self) -> dict[str, int]:
        """Token to id."""

    def vocabulary_hash(self) -> str:
        """A sha256 of all tokens in the order of their ids."""
        tokens = json.dumps(sorted(self.get_vocab().items(), key=lambda item: item[1]))
        return hashlib.sha256(tokens.encode()).hexdigest()

    @abstractmethod
    def tokenize(self, text: str) -> list[str]:
        """The tokens of one text, without special ones."""

    @abstractmethod
    def encode_text(self, text: str) -> list[int]:
        """The ids of one text, without special ones; unknown tokens are `unk_id`."""

    @abstractmethod
    def to_transformers(self) -> PreTrainedTokenizerBase:
        """The same tokenizer as an object of `transformers`."""

    def encode_unit(self, unit: str) -> list[int]:
        """The ids of one unit of the caller tokenised alone; at least one (`unk_id` where nothing is left of it)."""
        known = self._units.get(unit)
        if known is None:
            known = tuple(self.encode_text(unit)) or (self.unk_id,)
            if len(self._units) < _UNITS_KEPT:
                self._units[unit] = known
        return list(known)

    def encode_with_offsets(self, text: str) -> tuple[list[int], Array]:
        """The ids of one text, and the characters that each stands for: int64 ``(tokens, 2)``, start and end.

        Found by comparing the tokens with the text, unless a subclass knows better; see `hub_core.text.alignment`.
        """
        ids = self.encode_text(text)
        tokens = self.convert_ids_to_tokens(ids)
        known = [None if number == self.unk_id else token for number, token in zip(ids, tokens, strict=True)]
        return ids, align(known, text)

    def lone_characters(self) -> dict[str, int | None]:
        """Characters that are never a part of a token with others: the id of each, None where it is no token at all.

        A text may be cut around them and its pieces tokenised apart. Empty where there may be none.
        """
        return {}

    def with_specials(self, first: Sequence[int], second: Sequence[int] | None = None) -> tuple[list[int], list[int]]:
        """``[CLS] first [SEP]`` or ``[CLS] first [SEP] second [SEP]`` (as far as the vocabulary has them), and the
        token types (0 for the first part, 1 for the second)."""
        start = [] if self.cls_id is None else [self.cls_id]
        end = [] if self.sep_id is None else [self.sep_id]
        head = [*start, *first, *end]
        tail = [] if second is None else [*second, *end]
        return [*head, *tail], [0] * len(head) + [1] * len(tail)

    def specials_count(self, *, pair: bool = False) -> int:
        """How many special tokens `with_specials` adds."""
        return len(self.with_specials([], [] if pair else None)[0])

    def __call__(
        self,
        text: str | Sequence[str] | Sequence[Sequence[str]],
        text_pair: str | Sequence[str] | Sequence[Sequence[str]] | None = None,
        *,
        add_special_tokens: bool = True,
        max_length: int | None = None,
        max_seq_len: int | None = None,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        is_split_into_words: bool = False,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
    ) -> dict[str, Any]:
        """Encode one text (or pair) or a list of them, as `transformers`' tokenizers do.

        Args:
            text: a string, or a list of strings; with `is_split_into_words` lists of words in place of strings.
            text_pair: the second texts, as many as the first.
            add_special_tokens: whether ``[CLS]`` and ``[SEP]`` join in.
            max_length: tokens per row, special ones included; `max_seq_len` is PaddleHub's name for it.
            padding: True (to the longest row), ``"max_length"`` or False.
            truncation: True or ``"longest_first"``, ``"only_first"``, ``"only_second"``, False; None cuts where
                `max_length` is given and no padding is asked for.
            return_token_type_ids, return_attention_mask: None for what the network takes (`input_names`).
            return_tensors: None for lists, ``"np"`` or ``"pt"`` for int64 arrays of shape ``(rows, length)``.

        Returns ``input_ids``, ``token_type_ids`` and ``attention_mask``: flat lists for one text, lists of lists
        for several. Raises SettingsError for an argument that cannot be used.
        """
        if max_seq_len is not None and max_length not in (None, max_seq_len):
            raise SettingsError(f"max_seq_len={max_seq_len} and max_length={max_length} are two names of one thing")
        plan = make_plan(
            max_length=max_seq_len if max_length is None else max_length,
            padding=padding,
            truncation=truncation,
            return_tensors=return_tensors,
            longest=self.max_length,
        )
        batched, rows = rows_of(text, text_pair, words=is_split_into_words)
        room = plan.max_length if plan.truncation != "none" else None
        pairs = [self._encode_row(*row, room, plan.truncation, add_special_tokens) for row in rows]
        columns = {"input_ids": pad_rows([ids for ids, _ in pairs], self.pad_id, plan)}
        if self._wanted("token_type_ids", return_token_type_ids):
            columns["token_type_ids"] = pad_rows([types for _, types in pairs], 0, plan)
        if self._wanted("attention_mask", return_attention_mask):
            columns["attention_mask"] = pad_rows([[1] * len(ids) for ids, _ in pairs], 0, plan)
        if plan.arrays:
            return as_arrays(columns, plan.arrays)
        return {name: values if batched else values[0] for name, values in columns.items()}

    def encode(self, text: str, text_pair: str | None = None, **arguments: Any) -> list[int]:
        """The ``input_ids`` of one text or pair; arguments as for a call."""
        ids: list[int] = self(text, text_pair, **arguments)["input_ids"]
        return ids

    def decode(self, ids: Iterable[int], *, skip_special_tokens: bool = False) -> str:
        """Text that ids stand for, as far as the tokens tell (what was normalised away does not come back)."""
        specials = self.special_ids if skip_special_tokens else frozenset()
        return self.convert_tokens_to_string(self.convert_ids_to_tokens([i for i in ids if i not in specials]))

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Tokens joined into text."""
        return " ".join(tokens)

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...
    @overload
    def convert_tokens_to_ids(self, tokens: list[str]) -> list[int]: ...
    def convert_tokens_to_ids(self, tokens: str | list[str]) -> int | list[int]:
        """The id of a token, or of each; `unk_id` for what the vocabulary does not have."""
        if isinstance(tokens, str):
            return self._ids.get(tokens, self.unk_id)
        return [self._ids.get(token, self.unk_id) for token in tokens]

    @overload
    def convert_ids_to_tokens(self, ids: int) -> str: ...
    @overload
    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]: ...
    def convert_ids_to_tokens(self, ids: int | Iterable[int]) -> str | list[str]:
        """The token of an id, or of each. Raises SettingsError for a number outside the vocabulary."""
        try:
            return [self._tokens[int(i)] for i in ids] if isinstance(ids, Iterable) else self._tokens[int(ids)]
        except KeyError as error:
            raise SettingsError(f"no token has id {error}: ids go from 0 to {len(self) - 1}") from error

    @cached_property
    def vocab_size(self) -> int:
        """How many rows the network's embedding needs: one more than the largest id, special tokens included."""
        return max(self._ids.values()) + 1

    def __len__(self) -> int:
        return self.vocab_size

    @property
    def max_length(self) -> int | None:
        """The longest row that the network takes, in tokens; None where the manifest does not state it."""
        length: int | None = self.options.get("max_length")
        return length

    @property
    def special_ids(self) -> frozenset[int]:
        """The ids of the special tokens that the vocabulary has."""
        ids = (self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id)
        return frozenset(i for i in ids if i is not None)

    @property
    def pad_token(self) -> str:
        """The token that fills short rows up."""
        return self._tokens[self.pad_id]

    @property
    def unk_token(self) -> str:
        """The token for what the vocabulary does not have."""
        return self._tokens[self.unk_id]

    @property
    def cls_token(self) -> str | None:
        """The token in front, or None."""
        return None if self.cls_id is None else self._tokens[self.cls_id]

    @property
    def sep_token(self) -> str | None:
        """The token that ends a text, or None."""
        return None if self.sep_id is None else self._tokens[self.sep_id]

    @property
    def mask_token(self) -> str | None:
        """The token for a masked place, or None."""
        return None if self.mask_id is None else self._tokens[self.mask_id]

    @cached_property
    def _units(self) -> dict[str, tuple[int, ...]]:
        """What `encode_unit` remembers."""
        return {}

    @cached_property
    def _ids(self) -> dict[str, int]:
        return self.get_vocab()

    @cached_property
    def _tokens(self) -> dict[int, str]:
        return {token_id: token for token, token_id in self._ids.items()}

    def _wanted(self, name: str, asked: bool | None) -> bool:
        return name in self.input_names if asked is None else asked

    def _encode_row(
        self, text: Text, pair: Text | None, room: int | None, truncation: str, specials: bool
    ) -> tuple[list[int], list[int]]:
        first = self._encode_words(text)
        second = None if pair is None else self._encode_words(pair)
        if room is not None:
            added = self.specials_count(pair=second is not None) if specials else 0
            if room < added:
                raise SettingsError(f"max_length={room} leaves no room: special tokens alone are {added}")
            first, second = truncate(first, second, room - added, truncation)
        if specials:
            return self.with_specials(first, second)
        return [*first, *(second or ())], [0] * len(first) + [1] * len(second or ())

    def _encode_words(self, text: Text) -> list[int]:
        if isinstance(text, str):
            return self.encode_text(text)
        return [token_id for word in text for token_id in self.encode_text(word)]


def _inside(folder: Path, name: object) -> Path:
    """The path of a file that a manifest names; it may not lead out of the folder."""
    if not isinstance(name, str) or not safe_relative(name):
        raise SettingsError(f"the tokenizer's file {name!r} is not a plain relative path inside {folder}")
    return folder / name
