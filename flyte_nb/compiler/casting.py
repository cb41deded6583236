"""Decide whether a value of one type may be used where another type is expected.

`Type` is a literal type of the compilation, and `TypeTable` interns them: equal types are one
object, so comparing two types is comparing identities, and each pair of types is decided once,
however many bindings have it. "Upstream" is the type of the value, "downstream" the type of the
input.

Source: flytepropeller/pkg/compiler/validators/typing.go at v1.16.8. The rules are copied as they
are, also where they are surprising, because a cluster applies the same ones.
"""

from collections.abc import Iterable
from functools import cached_property

from flyteidl.core import types_pb2

from flyte_nb.compiler import json_schemas
from flyte_nb.compiler.collector import cut
from flyte_nb.compiler.flyte_text import MAX_LENGTH, go_text, type_text
from flyte_nb.wire.structs import struct_from_idl
from flyte_nb.wire.types import spoken

# `SchemaType.SchemaColumn.SchemaColumnType` -> `SimpleType`: INTEGER, FLOAT, STRING, BOOLEAN, DATETIME
# and DURATION are 0 to 5 in the first enum and 1 to 6 in the second, where 0 is NONE.
_SIMPLE_OF_COLUMN = {number: number + 1 for number in range(6)}


class TooComplex(Exception):
    """Types or bindings would take minutes to compare."""


_MAX_STEPS = 200_000
"""Comparisons in one compilation; a large workflow needs some hundreds. Unions of unions can be written
so that comparing them takes exponential time, and a backend must answer such a spec too."""


class Type:
    """A literal type; equal types of one compilation are one object (see `TypeTable`)."""

    def __init__(self, key: bytes, message: types_pb2.LiteralType, table: "TypeTable") -> None:
        self.key = key
        self.message = message
        self.table = table
        self.kind: str = message.WhichOneof("type") or ""
        self.inner: Type | None = None
        """The element type of a collection or map."""
        self.variants: tuple[Type, ...] = ()
        """The variants of a union, in their order."""

    @property
    def is_none(self) -> bool:
        """Return whether this is the type of None."""
        return self.kind == "simple" and self.message.simple == types_pb2.NONE

    @property
    def tag(self) -> str:
        """Return `structure.tag`, by which SDKs name the transformer that wrote a union's variant."""
        return self.message.structure.tag

    @cached_property
    def is_optional(self) -> bool:
        """Return whether an input of this type may be left out.

        As in Flyte: a union with a variant whose `simple` field reads as NONE. The field reads so
        for every variant that is not a simple type at all, so a union of two lists may be left out
        as well.
        """
        return any(variant.message.simple == types_pb2.NONE for variant in self.variants)

    @cached_property
    def variant_set(self) -> "frozenset[Type]":
        """Return the variants of a union as a set."""
        return frozenset(self.variants)

    @cached_property
    def values(self) -> "frozenset[str]":
        """Return the values of an enum."""
        return frozenset(self.message.enum_type.values)

    @cached_property
    def values_text(self) -> str:
        """Return the values of an enum as Flyte's error texts quote them."""
        return cut(" ".join(self.message.enum_type.values), MAX_LENGTH)

    @cached_property
    def bare(self) -> bytes:
        """Return the type's key without structure, metadata and annotation, which comparisons ignore."""
        copy = types_pb2.LiteralType()
        copy.CopyFrom(self.message)
        for name in ("structure", "metadata", "annotation"):
            copy.ClearField(name)
        return copy.SerializeToString(deterministic=True)

    @cached_property
    def json_schema(self) -> "json_schemas.Schema | None":
        """Return the JSON schema of a dataclass or model, or `None` when the type has none."""
        if not self.message.HasField("metadata"):
            return None
        return struct_from_idl(self.message.metadata)

    @cached_property
    def columns(self) -> "dict[str, Type]":
        """Return the types of the columns of a schema or structured dataset, by name."""
        table = self.table
        if self.kind == "schema":
            return {
                column.name: table.simple(_SIMPLE_OF_COLUMN.get(column.type, -1))
                for column in self.message.schema.columns
            }
        dataset = self.message.structured_dataset_type
        return {column.name: table.of(column.literal_type) for column in dataset.columns}

    @cached_property
    def readable(self) -> str:
        """Return the type as a person would write it, e.g. `list[int]`."""
        return cut(spoken(self.message), 200)

    @cached_property
    def text(self) -> str:
        """Return the type as Flyte quotes it when a constant or a promise does not fit."""
        return type_text(self.message)

    @cached_property
    def whole_text(self) -> str:
        """Return the type as Flyte quotes it when a list, a dict or a field does not fit."""
        return go_text(self.message)


class TypeTable:
    """The types of one compilation: each type once, and which type fits which."""

    def __init__(self) -> None:
        self._types: dict[bytes, Type] = {}
        # Two memos for two questions: `castable` also looks inside a union of one variant, `casts` does
        # not. Flyte asks the first one for bindings and the second one for the elements of lists.
        self._castable: dict[tuple[Type, Type], bool] = {}
        self._casts: dict[tuple[Type, Type], bool] = {}
        self._simple: dict[int, Type] = {}
        self._lists: dict[Type | None, Type] = {}
        self._maps: dict[Type | None, Type] = {}
        self._fields: dict[tuple[Type, str], Type | None] = {}
        self._untyped: dict[str, Type] = {}
        self._steps = 0
        self.hints: dict[tuple[Type, Type], str] = {}
        """Hints for pairs of types that do not fit, as `hints.mismatch_hint` found them."""
        self.none = self.simple(types_pb2.NONE)
        self.missing = self.of(types_pb2.LiteralType())
        """The type of a message that has no type."""

    def of(self, message: types_pb2.LiteralType) -> Type:
        """Return the type of this message; the message must not change afterwards."""
        # The bytes are the identity of a type. They are deterministic within one process, and no
        # table outlives a compilation.
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
        """Return the simple type with this number (`SimpleType`)."""
        found = self._simple.get(number)
        if found is None:
            message = types_pb2.LiteralType(simple=number)  # type: ignore[arg-type]  # enums are ints
            found = self._simple[number] = self.of(message)
        return found

    def collection(self, inner: "Type | None") -> Type:
        """Return the type of a list of `inner`; `None` is the element type of an empty list."""
        found = self._lists.get(inner)
        if found is None:
            element = types_pb2.LiteralType() if inner is None else inner.message
            found = self.of(types_pb2.LiteralType(collection_type=element))
            self._lists[inner] = found
        return found

    def map(self, inner: "Type | None") -> Type:
        """Return the type of a dict of `inner`; `None` is the element type of an empty dict."""
        found = self._maps.get(inner)
        if found is None:
            element = types_pb2.LiteralType() if inner is None else inner.message
            found = self._maps[inner] = self.of(types_pb2.LiteralType(map_value_type=element))
        return found

    def untyped(self, kind: str) -> Type:
        """Return the type of a value that has a kind but no type, e.g. a dataset without metadata.

        No input accepts it. It is a new object and not interned, because its message equals the
        empty one of its kind, which fits every format.
        """
        found = self._untyped.get(kind)
        if found is None:
            message = types_pb2.LiteralType()
            getattr(message, kind).SetInParent()
            found = self._untyped[kind] = Type(b"", message, self)
            found.kind = "untyped"
        return found

    def field(self, owner: Type, name: str) -> "Type | None":
        """Return the type of a dataclass's field, or `None` when it has no such field."""
        pair = (owner, name)
        if pair not in self._fields:
            fields = owner.message.structure.dataclass_type
            self._fields[pair] = self.of(fields[name]) if name in fields else None
        return self._fields[pair]

    def step(self, count: int = 1) -> None:
        """Count `count` comparisons.

        Raises:
            TooComplex: when this compilation has made more than `_MAX_STEPS`.
        """
        self._steps += count
        if self._steps > _MAX_STEPS:
            raise TooComplex

    def castable(self, upstream: Type, downstream: Type) -> bool:
        """Return whether a value of type `upstream` may be given where `downstream` is expected.

        Raises:
            TooComplex: when the types take too many steps to compare.
        """
        if upstream is downstream:
            return True
        pair = (upstream, downstream)
        known = self._castable.get(pair)
        if known is None:
            # A value of a union of one variant is a value of that variant. SDKs write such unions
            # for a literal that was given to an optional input.
            variants = upstream.variants
            known = self._castable[pair] = (
                len(variants) == 1 and self.casts(variants[0], downstream)
            ) or self.casts(upstream, downstream)
        return known

    def casts(self, upstream: Type, downstream: Type) -> bool:
        """Return what `castable` returns, without looking inside an upstream union of one variant."""
        pair = (upstream, downstream)
        known = self._casts.get(pair)
        if known is None:
            known = self._casts[pair] = self._decide(upstream, downstream)
        return known

    def _decide(self, upstream: Type, downstream: Type) -> bool:
        """Apply the rule of the downstream type; the result is kept by `casts`."""
        # Only pairs that were not decided before cost a step.
        self.step()
        kind = downstream.kind
        if kind in ("collection_type", "map_value_type"):
            if upstream.kind != kind or upstream.inner is None or downstream.inner is None:
                return False
            # An empty list has elements of type NONE and fits every list.
            return upstream.inner.is_none or self.casts(upstream.inner, downstream.inner)
        if kind == "blob":
            # Dimensionality (file or directory) is not compared: Flyte does not.
            mine, theirs = upstream.message.blob.format, downstream.message.blob.format
            return upstream.kind == "blob" and (not mine or not theirs or mine == theirs)
        if kind == "union_type":
            return self._union(upstream, downstream)
        if kind == "structured_dataset_type":
            return upstream.is_none or self._dataset(upstream, downstream)
        if kind == "schema":
            return self._schema(upstream, downstream)
        # Not `_trivial`: metadata of the type of None does not matter.
        if downstream.is_none:
            return upstream.is_none
        return self._trivial(upstream, downstream)

    def _union(self, upstream: Type, downstream: Type) -> bool:
        """Return whether `upstream` fits the union `downstream`.

        A type that is not a union must fit exactly one variant; of a union, each variant must fit
        at least one.
        """
        variants = downstream.variants
        if upstream.kind == "union_type":
            self.step(len(upstream.variants))
            # Each variant of the value's union must find a place. Being one of the expected
            # variants is the usual case and saves comparing.
            return all(
                variant in downstream.variant_set or self._fits_one(variant, variants)
                for variant in upstream.variants
            )
        self.step(len(variants))
        # Exactly one: with two, nobody could say which variant the value is stored as.
        return sum(self.castable(upstream, variant) for variant in variants) == 1

    def _fits_one(self, upstream: Type, variants: "Iterable[Type]") -> bool:
        """Return whether `upstream` fits at least one of the variants."""
        for variant in variants:
            self.step()
            if self.castable(upstream, variant):
                return True
        return False

    def _dataset(self, upstream: Type, downstream: Type) -> bool:
        """Return whether `upstream` fits a structured dataset: the format and the columns must agree."""
        expected = downstream.message.structured_dataset_type
        if upstream.kind == "schema":
            # A schema is always stored as parquet.
            return _same_format("parquet", expected.format) and self._columns(
                upstream, downstream, exact=True
            )
        if upstream.kind != "structured_dataset_type":
            return False
        given = upstream.message.structured_dataset_type
        return _same_format(given.format, expected.format) and self._columns(upstream, downstream)

    def _schema(self, upstream: Type, downstream: Type) -> bool:
        """Return whether `upstream` fits a schema: stored as parquet, with columns of exactly these types."""
        if upstream.kind == "schema":
            return self._columns(upstream, downstream, exact=True)
        if upstream.kind != "structured_dataset_type":
            return False
        given = upstream.message.structured_dataset_type
        # A schema is always stored as parquet.
        return _same_format(given.format, "parquet") and self._columns(
            upstream, downstream, exact=True
        )

    def _columns(self, upstream: Type, downstream: Type, *, exact: bool = False) -> bool:
        """Return whether every expected column is there with a fitting type; no columns means any columns.

        Args:
            upstream: the type of the value.
            downstream: the type of the input.
            exact: whether column types must be equal simple types, as for schemas.
        """
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
        """Return whether two types are equal but for structure and metadata, or meet an exception."""
        up, down = upstream.message, downstream.message
        # Enums and strings are stored alike, so either may be given for the other. The value itself
        # is checked where it is known (`bindings._scalar`).
        if upstream.kind == "enum_type" and down.simple == types_pb2.STRING:
            return True
        if downstream.kind == "enum_type" and up.simple == types_pb2.STRING:
            return True
        # A tag names the transformer that wrote a value; another transformer could not read it.
        if upstream.tag and upstream.tag != downstream.tag:
            return False
        if up.simple == types_pb2.STRUCT and down.simple == types_pb2.STRUCT:
            # Dataclasses and models are all STRUCT; only their schemas tell them apart. Without a
            # schema on both sides (a plain dict, an old SDK) Flyte lets everything through.
            mine, theirs = upstream.json_schema, downstream.json_schema
            try:
                return mine is None or theirs is None or json_schemas.fits(mine, theirs, self.step)
            except RecursionError:
                raise TooComplex from None
        return upstream.bare == downstream.bare


def _same_format(one: str, other: str) -> bool:
    """Return whether two storage formats agree, ignoring case; an empty one agrees with every other."""
    return not one or not other or one.casefold() == other.casefold()
