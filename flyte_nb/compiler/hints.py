"""Suggest what would work when a value of one type is given where another type is expected."""

from flyteidl.core import types_pb2

from flyte_nb.compiler.casting import TooComplex, Type, TypeTable


def mismatch_hint(given: "Type | None", wanted: Type) -> str:
    """Return advice about a value of type `given` where `wanted` is expected, or an empty text."""
    if given is None:
        return ""
    # Kept for each pair of types: a wrong type is usually given at many places, and a hint compares
    # types.
    known = given.table.hints
    if (given, wanted) not in known:
        try:
            known[given, wanted] = _hint(given, wanted)
        except TooComplex:
            # The steps are used up, so the compilation ends soon. The problem itself still counts.
            known[given, wanted] = ""
    return known[given, wanted]


def _hint(given: Type, wanted: Type) -> str:
    """Return the advice of the first rule that applies."""
    # The order is from the most specific rule to the most general one.
    for rule in (_none, _number, _element, _list_of_it, _optional, _variants, _dataset, _struct):
        hint = rule(given.table, given, wanted)
        if hint:
            return hint
    return f"Annotate both sides with the same type, or convert the value to {wanted.readable} in a task."


def _none(table: TypeTable, given: Type, wanted: Type) -> str:
    """Advise on None where a value is expected."""
    if not given.is_none:
        return ""
    return f"Annotate the input as Optional[{wanted.readable}], or return a value."


def _number(table: TypeTable, given: Type, wanted: Type) -> str:
    """Advise on an int for a float, or a float for an int."""
    numbers = {types_pb2.INTEGER: "int", types_pb2.FLOAT: "float"}
    one = numbers.get(given.message.simple) if given.kind == "simple" else None
    other = numbers.get(wanted.message.simple) if wanted.kind == "simple" else None
    if not one or not other:
        return ""
    example = "1.0 instead of 1" if other == "float" else "1 instead of 1.0"
    return f"Flyte does not convert numbers: write {example}, or annotate the input as {one}."


def _element(table: TypeTable, given: Type, wanted: Type) -> str:
    """Advise on a list or dict where one of its elements is expected."""
    if given.inner is None or not table.castable(given.inner, wanted):
        return ""
    if given.kind == "collection_type":
        return "Pick one item, e.g. result[0], or run the task for each item with map_task."
    return 'Pick one value, e.g. result["key"].'


def _list_of_it(table: TypeTable, given: Type, wanted: Type) -> str:
    """Advise on a single value where a list or dict of it is expected."""
    if wanted.inner is None or not table.castable(given, wanted.inner):
        return ""
    if wanted.kind == "collection_type":
        return "Put it into a list: [value]."
    return 'Put it into a dict: {"key": value}.'


def _optional(table: TypeTable, given: Type, wanted: Type) -> str:
    """Advise on a value that may be None where None is not accepted."""
    others = [variant for variant in given.variants if not variant.is_none]
    if len(others) == len(given.variants) or not others:
        return ""
    if all(table.castable(variant, wanted) for variant in others):
        return "It may be None: annotate the input as Optional, or decide about None in a task."
    return ""


def _variants(table: TypeTable, given: Type, wanted: Type) -> str:
    """Advise on a value that fits no variant, or several, of the expected union."""
    fitting = [variant for variant in wanted.variants if table.castable(given, variant)]
    if len(fitting) > 1:
        return "More than one variant of the union accepts the value; annotate a narrower type."
    return f"Give one of: {wanted.readable}." if wanted.variants else ""


def _dataset(table: TypeTable, given: Type, wanted: Type) -> str:
    """Advise on a dataset whose columns or format differ."""
    kinds = ("schema", "structured_dataset_type")
    if given.kind not in kinds or wanted.kind not in kinds:
        return ""
    have = {column.name for column in given.message.structured_dataset_type.columns}
    have |= {column.name for column in given.message.schema.columns}
    need = {column.name for column in wanted.message.structured_dataset_type.columns}
    need |= {column.name for column in wanted.message.schema.columns}
    missing = sorted(need - have)
    if have and missing:
        return f"These columns are missing: {', '.join(missing[:8])}."
    return "The formats or the columns' types differ."


def _struct(table: TypeTable, given: Type, wanted: Type) -> str:
    """Advise on two dataclasses whose fields differ."""
    both = (given.message.simple, wanted.message.simple)
    if both != (types_pb2.STRUCT, types_pb2.STRUCT):
        return ""
    have = given.message.structure.dataclass_type
    need = wanted.message.structure.dataclass_type
    missing = sorted(set(need) - set(have))
    if missing:
        return f"The value lacks these fields: {', '.join(missing[:8])}."
    return "The two classes have fields of the same names but different types."
