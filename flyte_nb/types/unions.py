"""Codec of Union and Optional. A literal of a union names the variant that its value has."""

# ruff: noqa: D102 - `Codec` documents these methods
import typing
from typing import TYPE_CHECKING, Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import (
    Annotation,
    Codec,
    JsonSchema,
    NeedsStore,
    mismatch,
    unexpected,
)

if TYPE_CHECKING:
    from flyte_nb.types.lookup import CodecLookup


class UnionCodec(Codec):
    """Codec of a union: a value gets the variant that is exactly its type, else the first that fits.

    So `1` is an int for `float | int`, although float, which is first, would accept it. Variants that are
    pickled come last, because they accept almost anything.
    """

    transformer = "Typed Union"

    def __init__(self, python_type: Annotation, variants: "list[Codec]") -> None:
        self._types = [_tagged(variant) for variant in variants]
        union = LiteralType(literal_types.UNION, tuple(self._types))
        super().__init__(python_type, union)
        self._variants = tuple(variants)
        self.packs = all(variant.packs for variant in variants)
        self.imports = tuple(name for variant in variants for name in variant.imports)

    @property
    def variants(self) -> "tuple[Codec, ...]":
        return self._variants

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        index, encoded = self._first("encode", value, data)
        # Cache keys use the hash of the union's literal, not that of the value inside.
        return Literal(literals.UNION, (encoded, self._types[index]), encoded.hash)

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        inner, order = literal, list(range(len(self._variants)))
        if literal.kind == literals.UNION:
            inner, stored = literal.value
            # The literal says which variant it has. Trying all of them could take `1` for a float.
            # A literal without a tag tells nothing about its variant. Then all are tried in their order.
            if stored.tag:
                order = self._candidates(stored)
        for index in order:
            try:
                # A variant that cannot read the literal raises, which only means that it is another one's.
                return self._variants[index].decode(inner, data)
            except CodecError:
                continue
        raise unexpected(self, inner)

    def pack(self, value: object, data: "DataAccess | None") -> object:
        return self._first("pack", value, data)[1]

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        # As in `_first`, exact types come first: 1 is an int for `float | int`.
        exact = [variant for variant in self._variants if variant.accepts_exactly(plain)]
        for variant in [*exact, *self._variants]:
            try:
                return variant.unpack(plain, data)
            except CodecError:
                continue
        raise mismatch(self, plain)

    def schema(self) -> JsonSchema:
        return {"anyOf": [variant.schema() for variant in self._variants]}

    def nearest(self, value: object) -> object:
        for variant in self._variants:
            near = variant.nearest(value)
            if near is not None:
                return near
        return None

    def accepts_exactly(self, value: object) -> bool:
        return any(variant.accepts_exactly(value) for variant in self._variants)

    def _first(self, method: str, value: object, data: "DataAccess | None") -> "tuple[int, Any]":
        """Return the index of the first variant that accepts the value, and what its `method` returned.

        Raises:
            CodecError: when no variant accepts the value.
            NeedsStore: when the only variants that accept it need a store.
        """
        order = [i for i, variant in enumerate(self._variants) if variant.accepts_exactly(value)]
        rest = [i for i in range(len(self._variants)) if i not in order]
        # The sort is stable: all others keep the order in which the author wrote them.
        rest.sort(key=lambda index: self._variants[index].transformer == "FlytePickle")
        unstored: NeedsStore | None = None
        for index in order + rest:
            try:
                return index, getattr(self._variants[index], method)(value, data)
            except NeedsStore as error:
                unstored = unstored or error  # it fits; another variant may do without a store
            except CodecError:
                continue
        if unstored is not None:
            raise unstored
        raise mismatch(self, value)

    def _candidates(self, stored: LiteralType) -> "list[int]":
        """Return the indices of the variants that may have written the literal, the likely ones first.

        An equal type is certain. An equal tag is likely: another SDK describes a type with other metadata.
        """
        same = [i for i, type in enumerate(self._types) if type == stored]
        tagged = [i for i, type in enumerate(self._types) if type.tag == stored.tag]
        return same + [index for index in tagged if index not in same]


def union_codec(python_type: Annotation, registry: "CodecLookup") -> Codec:
    """Return the codec of `Union[…]`, `Optional[…]` or `A | B`.

    Raises:
        CodecError: when a variant has no codec.
    """
    return UnionCodec(
        python_type, [registry.codec(variant) for variant in typing.get_args(python_type)]
    )


def _tagged(variant: Codec) -> LiteralType:
    # flytekit replaces the whole `structure` by one with the tag alone, and equal types need equal bytes.
    return variant.literal_type._replace(tag=variant.transformer, dataclass_type=None)
