"""Types while compiling: each different one once, and whether one fits another.

Source: flytepropeller/pkg/compiler/validators/typing.go at v1.16.8. "Upstream" is what makes the
value, "downstream" what takes it.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from flyteidl.core import types_pb2

from flyte_nb.compiler import json_schemas
from flyte_nb.compiler.flyte_text import MAX_LENGTH, go_text, type_text
from flyte_nb.compiler.problems import cut
from flyte_nb.wire.structs import struct_from_idl
from flyte_nb.wire.types import spoken

# SchemaColumnType -> SimpleType: the six kinds have other numbers in the two enums.
_SIMPLE_OF_COLUMN = {number: number + 1 for number in range(6)}


class TooIntricate(Exception):
    """Types or bindings that would take minutes to compare."""


_PATIENCE = 200_000
"""Steps of comparing in one compilation; a large workflow takes some hundreds."""


class Type:
    """One type of the compilation; equal types are one object (`TypeTable`)."""

    def __init__(self, key: bytes, message: types_pb2.LiteralType, table: "TypeTable") -> None:
        self.key = key
        self.message = message
        self.table = table
        self.kind: str = message.WhichOneof("type") or ""
        self.inner: Type | None = None
        """The element's type, of collections and maps."""
        self.variants: tuple[Type, ...] = ()
        """Of unions."""

    @property
    def is_none(self) -> bool:
        """Whether it is the type of None."""
        return self.kind == "simple" and self.message.simple == types_pb2.NONE

    @property
    def tag(self) -> str:
        """`structure.tag`."""
        return self.message.structure.tag

    @cached_property
    def is_optional(self) -> bool:
        """Whether an input of this type may be left out.

        As Flyte has it: a union with a variant whose `simple` reads as NONE. That reads so for every
        variant that is not simple at all, so that a union of two lists may be left out too.
        """
        return any(variant.message.simple == types_pb2.NONE for variant in self.variants)

    @cached_property
    def variant_set(self) -> "frozenset[Type]":
        """Of a union: its variants."""
        return frozenset(self.variants)

    @cached_property
    def values(self) -> "frozenset[str]":
        """Of an enum: what it may be."""
        return frozenset(self.message.enum_type.values)

    @cached_property
    def values_text(self) -> str:
        """Of an enum: what it may be, as Flyte's texts quote it."""
        return cut(" ".join(self.message.enum_type.values), MAX_LENGTH)

    @cached_property
    def bare(self) -> bytes:
        """The key without what does not count when types are compared: structure and metadata."""
        copy = types_pb2.LiteralType()
        copy.CopyFrom(self.message)
        for name in ("structure", "metadata", "annotation"):
            copy.ClearField(name)
        return copy.SerializeToString(deterministic=True)

    @cached_property
    def json_schema(self) -> "dict[str, Any] | None":
        """Of a dataclass or model, when it says one."""
        if not self.message.HasField("metadata"):
            return None
        return struct_from_idl(self.message.metadata)

    @cached_property
    def columns(self) -> "dict[str, Type]":
        """Of a schema or structured dataset."""
        table = self.table
        if self.kind == "schema":
            return {
                column.name: table.simple(_SIMPLE_OF_COLUMN.get(column.type, -1))
                for column in self.message.schema.columns
            }
        dataset = self.message.structured_dataset_type
        return {column.name: table.of(column.literal_type) for column in dataset.columns}

    @cached_property
    def spoken(self) -> str:
        """As a person would write it, e.g. `list[int]`."""
        return cut(spoken(self.message), 200)

    @cached_property
    def text(self) -> str:
        """As Flyte's texts quote it when a value does not fit."""
        return type_text(self.message)

    @cached_property
    def whole_text(self) -> str:
        """As Flyte's texts quote it when a list, a dict or a field does not fit."""
        return go_text(self.message)


class TypeTable:
    """Interns types and remembers which fits which. One table for one compilation."""

    def __init__(self) -> None:
        self._types: dict[bytes, Type] = {}
        self._castable: dict[tuple[Type, Type], bool] = {}
        self._casts: dict[tuple[Type, Type], bool] = {}
        self._simple: dict[int, Type] = {}
        self._lists: dict[Type | None, Type] = {}
        self._maps: dict[Type | None, Type] = {}
        self._fields: dict[tuple[Type, str], Type | None] = {}
        self._hollow: dict[str, Type] = {}
        self._steps = 0
        self.hints: dict[tuple[Type, Type], str] = {}
        """What was said already of a value of one type where another is expected."""
        self.none = self.simple(types_pb2.NONE)
        self.missing = self.of(types_pb2.LiteralType())
        """What stands for a type that a message lacks."""

    def of(self, message: types_pb2.LiteralType) -> Type:
        """The type of this message; the message must not change afterwards."""
        key = message.SerializeToString(deterministic=True)
        found = self._types.get(key)
        if found is None:
            found = self._types[key] = Type(key, message, self)
            if found.kind == "collection_type":
                found.inner = self.of(message.collection_type)
            elif found.kind == "map_value_type":
                found.inner = self.of(message.map_value_type)
            elif found.kind == "union_type":
                found.variants = tuple(self.of(item) for item in message.union_type.variants)
        return found

    def simple(self, number: int) -> Type:
        """The simple type of that number."""
        found = self._simple.get(number)
        if found is None:
            message = types_pb2.LiteralType(simple=number)  # type: ignore[arg-type]  # enums are ints
            found = self._simple[number] = self.of(message)
        return found

    def collection(self, inner: "Type | None") -> Type:
        """A list of `inner`; of nothing when the list was empty."""
        found = self._lists.get(inner)
        if found is None:
            element = types_pb2.LiteralType() if inner is None else inner.message
            found = self.of(types_pb2.LiteralType(collection_type=element))
            self._lists[inner] = found
        return found

    def map(self, inner: "Type | None") -> Type:
        """A dict of `inner`; of nothing when the dict was empty."""
        found = self._maps.get(inner)
        if found is None:
            element = types_pb2.LiteralType() if inner is None else inner.message
            found = self._maps[inner] = self.of(types_pb2.LiteralType(map_value_type=element))
        return found

    def hollow(self, kind: str) -> Type:
        """The type of a value that says its kind alone, e.g. a dataset without metadata: fits nothing."""
        found = self._hollow.get(kind)
        if found is None:
            message = types_pb2.LiteralType()
            getattr(message, kind).SetInParent()
            found = self._hollow[kind] = Type(b"", message, self)
            found.kind = "hollow"
        return found

    def field(self, owner: Type, name: str) -> "Type | None":
        """The type of a dataclass's field; `None` when it has no such field."""
        pair = (owner, name)
        if pair not in self._fields:
            fields = owner.message.structure.dataclass_type
            self._fields[pair] = self.of(fields[name]) if name in fields else None
        return self._fields[pair]

    def step(self, count: int = 1) -> None:
        """Take `count` steps of comparing; `TooIntricate` after too many."""
        self._steps += count
        if self._steps > _PATIENCE:
            raise TooIntricate

    def castable(self, upstream: Type, downstream: Type) -> bool:
        """Whether a value of `upstream` may be given where `downstream` is expected."""
        if upstream is downstream:
            return True
        pair = (upstream, downstream)
        known = self._castable.get(pair)
        if known is None:
            variants = upstream.variants
            known = self._castable[pair] = (
                len(variants) == 1 and self.casts(variants[0], downstream)
            ) or self.casts(upstream, downstream)
        return known

    def casts(self, upstream: Type, downstream: Type) -> bool:
        """`castable` without looking into a union of one variant."""
        pair = (upstream, downstream)
        known = self._casts.get(pair)
        if known is None:
            known = self._casts[pair] = self._decide(upstream, downstream)
        return known

    def _decide(self, upstream: Type, downstream: Type) -> bool:
        self.step()
        kind = downstream.kind
        if kind in ("collection_type", "map_value_type"):
            if upstream.kind != kind or upstream.inner is None or downstream.inner is None:
                return False
            return upstream.inner.is_none or self.casts(upstream.inner, downstream.inner)
        if kind == "blob":
            mine, theirs = upstream.message.blob.format, downstream.message.blob.format
            return upstream.kind == "blob" and (not mine or not theirs or mine == theirs)
        if kind == "union_type":
            return self._union(upstream, downstream)
        if kind == "structured_dataset_type":
            return upstream.is_none or self._dataset(upstream, downstream)
        if kind == "schema":
            return self._schema(upstream, downstream)
        if downstream.is_none:
            return upstream.is_none
        return self._trivial(upstream, downstream)

    def _union(self, upstream: Type, downstream: Type) -> bool:
        variants = downstream.variants
        if upstream.kind == "union_type":
            self.step(len(upstream.variants))
            return all(
                variant in downstream.variant_set or self._fits_one(variant, variants)
                for variant in upstream.variants
            )
        self.step(len(variants))
        return sum(self.castable(upstream, variant) for variant in variants) == 1

    def _fits_one(self, upstream: Type, variants: "Iterable[Type]") -> bool:
        for variant in variants:
            self.step()
            if self.castable(upstream, variant):
                return True
        return False

    def _dataset(self, upstream: Type, downstream: Type) -> bool:
        expected = downstream.message.structured_dataset_type
        if upstream.kind == "schema":
            return _same_format("parquet", expected.format) and self._columns(
                upstream, downstream, exact=True
            )
        if upstream.kind != "structured_dataset_type":
            return False
        given = upstream.message.structured_dataset_type
        return _same_format(given.format, expected.format) and self._columns(upstream, downstream)

    def _schema(self, upstream: Type, downstream: Type) -> bool:
        if upstream.kind == "schema":
            return self._columns(upstream, downstream, exact=True)
        if upstream.kind != "structured_dataset_type":
            return False
        given = upstream.message.structured_dataset_type
        # A schema is stored as parquet, always.
        return _same_format(given.format, "parquet") and self._columns(
            upstream, downstream, exact=True
        )

    def _columns(self, upstream: Type, downstream: Type, *, exact: bool = False) -> bool:
        given, expected = upstream.columns, downstream.columns
        self.step(len(expected))
        if not given or not expected:
            return True
        for name, type in expected.items():
            found = given.get(name)
            if found is None:
                return False
            if exact:
                if found.message.simple != type.message.simple or found.kind != "simple":
                    return False
            elif not self.casts(found, type):
                return False
        return True

    def _trivial(self, upstream: Type, downstream: Type) -> bool:
        up, down = upstream.message, downstream.message
        if upstream.kind == "enum_type" and down.simple == types_pb2.STRING:
            return True
        if downstream.kind == "enum_type" and up.simple == types_pb2.STRING:
            return True
        if upstream.tag and upstream.tag != downstream.tag:
            return False
        if up.simple == types_pb2.STRUCT and down.simple == types_pb2.STRUCT:
            mine, theirs = upstream.json_schema, downstream.json_schema
            try:
                return mine is None or theirs is None or json_schemas.fits(mine, theirs, self.step)
            except RecursionError:
                raise TooIntricate from None
        return upstream.bare == downstream.bare


def _same_format(one: str, other: str) -> bool:
    return not one or not other or one.casefold() == other.casefold()
