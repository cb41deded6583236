"""Decide whether a value of one JSON schema may be used where another one is expected.

This is the rule for dataclasses and models. Flyte compares with the library
gitlab.com/yvesf/json-schema-compare (a900c04201f7): the expected ("downstream") schema must be a
subset of the given ("upstream") one: each of its fields is there, with the same type.

The library lists keywords that it does not implement (`additionalProperties`, `patternProperties`,
…). Flyte ignores them, and so does this module, except inside `anyOf`, `allOf`, `oneOf` and `if`,
where a schema with such a keyword fits nothing.

Source: flytepropeller/pkg/compiler/validators/typing.go `isSuperTypeInJSON`.
"""

from collections.abc import Callable, Iterator

_DRAFTS = ("draft-04", "draft-06", "draft-07")

Schema = dict[str, object]

_ANYTHING, _TRUE, _FALSE = Schema(), Schema(), Schema()
"""Stand for the schema `true`, the schema `false`, and a value that is not a schema. They are told apart
by identity; none of them has a keyword to compare."""


def fits(upstream: Schema, downstream: Schema, step: "Callable[[], None]" = lambda: None) -> bool:
    """Return whether a value described by `upstream` can be read as `downstream`.

    Args:
        upstream: the schema of the value.
        downstream: the schema that is expected.
        step: called for every pair of parts that is compared; it may raise to end the comparison.
    """
    if upstream == downstream:
        return True
    if not (_readable(upstream) and _readable(downstream)):
        return False
    return _SchemaComparison(downstream, upstream, step).part(downstream, upstream)


def _readable(schema: Schema) -> bool:
    """Return whether the library can read this version of JSON schema."""
    # It knows drafts 4 to 7. For any other it cannot load the meta schema, and Flyte refuses the value.
    draft = schema.get("$schema", "")
    return not draft or any(known in str(draft) for known in _DRAFTS)


class _SchemaComparison:
    """One comparison of two schemas, with the pairs of parts that were compared before."""

    def __init__(
        self, subset_root: Schema, superset_root: Schema, step: "Callable[[], None]"
    ) -> None:
        self._subset_root = subset_root
        self._superset_root = superset_root
        self._step = step
        self._open: set[tuple[int, int, bool]] = set()
        self._assumed = 0
        """How often a pair was found inside itself and therefore assumed to fit."""
        self._known: dict[tuple[int, int, bool], bool] = {}
        """Results that rest on no assumption. Definitions with many references are compared once."""

    def part(self, subset: object, superset: object, strict: bool = False) -> bool:
        """Return whether `subset` is a subset of `superset`.

        Args:
            subset: a part of the expected schema.
            superset: the part of the given schema at the same place.
            strict: whether a keyword that is not compared makes the answer no.
        """
        subset = _resolved(subset, self._subset_root)
        superset = _resolved(superset, self._superset_root)
        if subset is None or superset is None:
            return False  # a reference to nowhere: the schema does not compile
        # `true` and `false` equal only themselves where every keyword counts.
        if strict and _always(subset) is not _always(superset):
            return False
        # Schemas may refer to themselves (a tree of nodes). A pair that is being compared already
        # is assumed to fit: were it not to, the outer comparison of the same pair finds that out.
        pair = (id(subset), id(superset), strict)
        if pair in self._open:
            self._assumed += 1
            return True
        if pair in self._known:
            return self._known[pair]
        self._step()
        self._open.add(pair)
        assumed = self._assumed
        found = all(self._checks(subset, superset, strict))
        self._open.discard(pair)
        # A "yes" that was reached with an assumption holds only as long as the assumption does, so it is
        # not kept. A "no" is always certain.
        if not found or assumed == self._assumed:
            self._known[pair] = found
        return found

    def _checks(self, subset: Schema, superset: Schema, strict: bool) -> "Iterator[bool]":
        """Yield the outcome of each comparison of two resolved schemas; all must be true."""
        types, other = _types(subset), _types(superset)
        yield types <= other
        # A schema without a type describes objects, for the library.
        yield all(name in types or (name == "object" and not types) for name in other)
        if strict:
            yield not (_says_more(subset, types) or _says_more(superset, types))
        if "string" in types:
            yield _string_part(subset, superset)
        if "number" in types:
            yield _number_part(subset, superset)
        if "array" in types:
            yield self._array_part(subset, superset, strict)
        if "object" in types or not types:
            yield self._object_part(subset, superset, strict)
        for word in ("allOf", "anyOf", "oneOf"):
            yield self._combined_part(_list(subset, word), _list(superset, word))
        if "const" in subset:
            yield "const" in superset and subset["const"] == superset["const"]

    def _combined_part(self, subset: "list[object]", superset: "list[object]") -> bool:
        """Compare `allOf`, `anyOf` or `oneOf`: each given schema must contain one of the expected ones."""
        if bool(subset) != bool(superset):
            return False
        return all(any(self.part(mine, theirs, True) for mine in subset) for theirs in superset)

    def _object_part(self, subset: Schema, superset: Schema, strict: bool) -> bool:
        """Compare objects: required fields, sizes, conditions, and each expected field."""
        if not set(_texts(subset, "required")) <= set(_texts(superset, "required")):
            return False
        if not (
            _at_least(subset, superset, "minProperties")
            and _at_most(subset, superset, "maxProperties")
        ):
            return False
        mine, theirs = _conditions(subset), _conditions(superset)
        if mine.keys() != theirs.keys():
            return False
        if not all(self.part(condition, theirs[word], True) for word, condition in mine.items()):
            return False
        fields, others = _dict(subset, "properties"), _dict(superset, "properties")
        return all(
            name in others and self.part(field, others[name], strict)
            for name, field in fields.items()
        )

    def _array_part(self, subset: Schema, superset: Schema, strict: bool) -> bool:
        """Compare arrays: sizes, uniqueness, and the schema of the items or of each position."""
        if not (_at_least(subset, superset, "minItems") and _at_most(subset, superset, "maxItems")):
            return False
        if subset.get("uniqueItems") and not superset.get("uniqueItems"):
            return False
        items, others = subset.get("items"), superset.get("items")
        # An expected array without `items` takes any items.
        if items is None:
            return True
        if isinstance(items, list) and isinstance(others, list):
            return len(items) == len(others) and all(
                self.part(item, other, strict) for item, other in zip(items, others, strict=True)
            )
        if isinstance(items, (dict, bool)) and isinstance(others, (dict, bool)):
            return self.part(items, others, strict)
        return False


def _conditions(schema: Schema) -> Schema:
    """Return `if`, `then` and `else` of a schema; nothing without `if`, or with `if` alone."""
    found = {word: schema[word] for word in ("if", "then", "else") if schema.get(word) is not None}
    return found if "if" in found and len(found) > 1 else {}


def _always(schema: Schema) -> "bool | None":
    """Return `True` or `False` for the schemas `true` and `false`, and `None` for any other."""
    return True if schema is _TRUE else False if schema is _FALSE else None


def _says_more(schema: Schema, types: "set[str]") -> bool:
    """Return whether the schema has keywords for the compared types that are not compared."""
    if "number" in types:
        multiple = schema.get("multipleOf", 1)
        exact = isinstance(multiple, (int, float)) and multiple % 1 == 0
        bounds = (schema.get(f"exclusive{end}", False) for end in ("Minimum", "Maximum"))
        if not exact or any(bound is not False for bound in bounds):
            return True
    if "array" in types and isinstance(schema.get("items"), list):
        return True
    if types and "object" not in types:
        return False
    if "not" in schema or schema.get("additionalProperties", True) is not True:
        return True
    return any(_dict(schema, word) for word in ("dependencies", "patternProperties"))


def _string_part(subset: Schema, superset: Schema) -> bool:
    """Compare strings: format, values, pattern and length."""
    # A date and a plain text are both strings; the format tells them apart.
    if subset.get("format", "") != superset.get("format", ""):
        return False
    if "enum" in subset:
        allowed = {repr(item) for item in _list(subset, "enum")}
        if not all(repr(item) in allowed for item in _list(superset, "enum")):
            return False
    if "pattern" in subset and subset["pattern"] != superset.get("pattern"):
        return False
    return _at_most(subset, superset, "maxLength") and _at_least(subset, superset, "minLength")


def _number_part(subset: Schema, superset: Schema) -> bool:
    """Compare numbers: multiples and bounds."""
    multiple, other = subset.get("multipleOf"), superset.get("multipleOf")
    if multiple is not None or other is not None:
        if not (isinstance(multiple, (int, float)) and isinstance(other, (int, float))):
            return False
        if multiple and other % multiple:
            return False
    return _at_most(subset, superset, "maximum") and _at_least(subset, superset, "minimum")


def _at_least(subset: Schema, superset: Schema, word: str) -> bool:
    """Return whether the superset's bound `word` is at least the subset's; without one, any will do."""
    mine, theirs = subset.get(word), superset.get(word)
    if not isinstance(mine, (int, float)):
        return True
    return isinstance(theirs, (int, float)) and theirs >= mine


def _at_most(subset: Schema, superset: Schema, word: str) -> bool:
    """Return whether the superset's bound `word` is at most the subset's; without one, any will do."""
    mine, theirs = subset.get(word), superset.get(word)
    if not isinstance(mine, (int, float)):
        return True
    return isinstance(theirs, (int, float)) and theirs <= mine


def _types(schema: Schema) -> "set[str]":
    """Return the values of `type`, which may be one text or a list."""
    types = schema.get("type")
    return {types} if isinstance(types, str) else set(_texts(schema, "type"))


def _list(schema: Schema, word: str) -> "list[object]":
    """Return the list under this keyword, or an empty one when there is no list."""
    found = schema.get(word)
    return found if isinstance(found, list) else []


def _texts(schema: Schema, word: str) -> "list[str]":
    """Return the texts in the list under this keyword."""
    return [item for item in _list(schema, word) if isinstance(item, str)]


def _dict(schema: Schema, word: str) -> Schema:
    """Return the object under this keyword, or an empty one when there is no object."""
    found = schema.get(word)
    return found if isinstance(found, dict) else {}


def _resolved(schema: object, root: Schema) -> "Schema | None":
    """Return the schema with `$ref` followed; `None` for a reference to nowhere."""
    # References may form a ring; 64 of them in a row are taken for one.
    for _ in range(64):
        if not isinstance(schema, dict):
            return _TRUE if schema is True else _FALSE if schema is False else _ANYTHING
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        schema = _pointed(reference, root)
        if schema is None:
            return None
    return None


def _pointed(reference: str, root: Schema) -> object:
    """Return the part of the schema that a JSON pointer (RFC 6901) refers to, or `None`."""
    if not reference.startswith("#"):
        return None
    found: object = root
    for step in reference[1:].split("/"):
        if step:
            step = step.replace("~1", "/").replace("~0", "~")
            found = found.get(step) if isinstance(found, dict) else None
    return found
