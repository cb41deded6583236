"""Iterators: a collection whose items are decoded one by one, or a file of JSON lines.

`Iterator[T]` travels as `list[T]` does, so both fit each other. `Iterator[JSON]` is a file that is written
and read line by line, so it may be larger than the memory.
"""

# ruff: noqa: D102 - `Codec` documents these methods
import json
import typing
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import BlobType, LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Annotation, Codec, mismatch, no_data
from flyte_nb.types.containers import ListCodec
from flyte_nb.types.content import content_hash
from flyte_nb.types.plain_data import plain_data

if TYPE_CHECKING:
    from flyte_nb.types.lookup import CodecLookup

JSON = typing.Union[  # noqa: UP007 - equal to flytekit's alias of the same name
    typing.Dict[str, Any],  # noqa: UP006
    typing.List[Any],  # noqa: UP006
    bool,
    float,
    int,
    str,
]
"""The type of an item in `Iterator[JSON]`."""

_JSON_LINES = "jsonl"
_NAME = "lines.jsonl"


class FlyteIterator(Iterator[object]):
    """The items of a collection, each decoded when its turn comes. It can be iterated again."""

    def __init__(self, items: "list[Literal]", item: Codec, data: "DataAccess | None") -> None:
        """Take the literals; nothing is decoded yet."""
        self._items = items
        self._item = item
        self._data = data
        self._next = 0

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"<iterator over {len(self._items)} items>"

    def __iter__(self) -> "FlyteIterator":
        self._next = 0
        return self

    def __next__(self) -> object:
        if self._next == len(self._items):
            raise StopIteration
        self._next += 1
        try:
            return self._item.decode(self._items[self._next - 1], self._data)
        except CodecError as error:
            raise error.below(f"[{self._next - 1}]") from None


class JSONIterator(Iterator[object]):
    """The values in a file of JSON lines. The file is downloaded when the first one is asked for."""

    def __init__(self, uri: str, data: "DataAccess") -> None:
        """Take the file's place; nothing is read yet."""
        self._uri = uri
        self._lines = self._read(data)

    def __repr__(self) -> str:
        return f"<iterator over the lines of {self._uri}>"

    def __next__(self) -> object:
        return next(self._lines)

    def _read(self, data: "DataAccess") -> "Iterator[object]":
        with open(data.download(self._uri), encoding="utf-8") as file:
            for number, line in enumerate(file):
                if not line.strip():
                    continue
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise CodecError(
                        f"Line {number + 1} of {self._uri} is not JSON: {error}."
                    ) from error


class IteratorCodec(ListCodec):
    """Codec of Iterator[T]. What is returned is iterated once; what is read is decoded step by step."""

    transformer = "Typed Iterator"
    takes_generators = True

    def __init__(self, python_type: Annotation, item: Codec) -> None:
        super().__init__(python_type, item)
        self.packs = False

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        if isinstance(value, (str, bytes, dict)) or not isinstance(value, Iterable):
            raise mismatch(self, value)
        return super().encode(list(value), data)

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        if literal.kind == literals.COLUMN:
            kind, plain = literal.value
            return FlyteIterator([Literal(kind, value) for value in plain], self.item, data)
        if literal.kind == literals.COLLECTION:
            return FlyteIterator(literal.value, self.item, data)
        return super().decode(literal, data)

    def nearest(self, value: object) -> object:
        return None

    def accepts_exactly(self, value: object) -> bool:
        return isinstance(value, Iterator)


class JSONLinesCodec(Codec):
    """Codec of Iterator[JSON]."""

    transformer = "JSON Iterator"
    takes_generators = True

    def __init__(self, python_type: Annotation) -> None:
        self._blob = BlobType(_JSON_LINES)
        metadata = {"format": "json iterator"}
        super().__init__(
            python_type, LiteralType(literal_types.BLOB, self._blob, metadata=metadata)
        )

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        """Write each item to a line of a file.

        Raises:
            CodecError: when an item is not JSON; `path` is its index.
            NeedsStore: when there is no store.
        """
        if isinstance(value, (str, bytes, dict)) or not isinstance(value, Iterable):
            raise mismatch(self, value)
        if data is None:
            raise no_data(self)
        path = data.scratch(f"-{_NAME}")
        with open(path, "w", encoding="utf-8") as file:
            for index, item in enumerate(value):
                try:
                    file.write(json.dumps(plain_data(item), ensure_ascii=False) + "\n")
                except CodecError as error:
                    raise error.below(f"[{index}]") from None
                except (TypeError, ValueError) as error:  # bytes, a lone surrogate
                    raise CodecError(
                        f"The item is not JSON: {error}.", path=f"$[{index}]"
                    ) from None
        uri = data.upload(path, name=_NAME)
        return Literal(literals.BLOB, (uri, self._blob), content_hash(path, data))

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        if literal.kind != literals.BLOB:
            return super().decode(literal, data)
        if data is None:
            raise no_data(self)
        return JSONIterator(literal.value[0], data)

    def accepts_exactly(self, value: object) -> bool:
        return isinstance(value, Iterator)


def iterator_codec(python_type: Annotation, registry: "CodecLookup") -> Codec:
    """Return the codec of `Iterator[T]`.

    Raises:
        CodecError: when the type of the items is missing, or has no codec.
    """
    arguments = typing.get_args(python_type)
    if len(arguments) != 1 or isinstance(arguments[0], typing.TypeVar):
        raise CodecError(
            "Iterator needs the type of its items.", hint="Write Iterator[int], Iterator[JSON], …"
        )
    if arguments[0] == JSON:
        return JSONLinesCodec(python_type)
    return IteratorCodec(python_type, registry.codec(arguments[0]))
