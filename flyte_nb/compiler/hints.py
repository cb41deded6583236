"""The nearest thing that would work, when a type does not fit another."""

from flyteidl.core import types_pb2

from flyte_nb.compiler.casting import TooIntricate, Type, TypeTable


def mismatch_hint(given: "Type | None", wanted: Type) -> str:
    """What to do about a value of type `given` where `wanted` is expected."""
    if given is None:
        return ""
    known = given.table.hints
    if (given, wanted) not in known:
        try:
            known[given, wanted] = _hint(given, wanted)
        except TooIntricate:
            known[given, wanted] = ""
    return known[given, wanted]


def _hint(given: Type, wanted: Type) -> str:
    for rule in (_none, _number, _element, _list_of_it, _optional, _variants, _dataset, _struct):
        hint = rule(given.table, given, wanted)
        if hint:
            return hint
    return f"Annotate one side as the other, or convert it in a task: {wanted.spoken}."


def _none(table: TypeTable, given: Type, wanted: Type) -> str:
    if not given.is_none:
        return ""
    return f"Annotate the input as Optional[{wanted.spoken}], or return a value."


def _number(table: TypeTable, given: Type, wanted: Type) -> str:
    numbers = {types_pb2.INTEGER: "int", types_pb2.FLOAT: "float"}
    one = numbers.get(given.message.simple) if given.kind == "simple" else None
    other = numbers.get(wanted.message.simple) if wanted.kind == "simple" else None
    if not one or not other:
        return ""
    example = "1.0 instead of 1" if other == "float" else "1 instead of 1.0"
    return f"Flyte converts no numbers: write {example}, or annotate the input as {one}."


def _element(table: TypeTable, given: Type, wanted: Type) -> str:
    if given.inner is None or not table.castable(given.inner, wanted):
        return ""
    if given.kind == "collection_type":
        return "Pick one item, e.g. result[0], or run the task for each item by map_task."
    return 'Pick one value, e.g. result["key"].'


def _list_of_it(table: TypeTable, given: Type, wanted: Type) -> str:
    if wanted.inner is None or not table.castable(given, wanted.inner):
        return ""
    if wanted.kind == "collection_type":
        return "Put it into a list: [value]."
    return 'Put it into a dict: {"key": value}.'


def _optional(table: TypeTable, given: Type, wanted: Type) -> str:
    others = [variant for variant in given.variants if not variant.is_none]
    if len(others) == len(given.variants) or not others:
        return ""
    if all(table.castable(variant, wanted) for variant in others):
        return "It may be None: annotate the input as Optional, or decide about None in a task."
    return ""


def _variants(table: TypeTable, given: Type, wanted: Type) -> str:
    fitting = [variant for variant in wanted.variants if table.castable(given, variant)]
    if len(fitting) > 1:
        return "More than one variant of the union would take it; annotate a narrower type."
    return f"Give one of: {wanted.spoken}." if wanted.variants else ""


def _dataset(table: TypeTable, given: Type, wanted: Type) -> str:
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
    both = (given.message.simple, wanted.message.simple)
    if both != (types_pb2.STRUCT, types_pb2.STRUCT):
        return ""
    have = given.message.structure.dataclass_type
    need = wanted.message.structure.dataclass_type
    missing = sorted(set(need) - set(have))
    if missing:
        return f"The value lacks these fields: {', '.join(missing[:8])}."
    return "The two classes have fields of other types."
