"""Read the value of an input that is written after `name=`, in a magic's line or in a terminal.

A text is read as JSON or Python first, so that what `repr` or `json.dumps` writes for a value gives that
value again. A text that is neither is read by the input's type, as in a field of a form: `90s`, `2026-11-01`,
`a,b`. In a notebook, `{expression}` and `$name` are replaced as IPython replaces them in shell commands.
"""

import enum
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from flyte_nb.api import literal_types as lt
from flyte_nb.api import literals as li
from flyte_nb.api.literals import Literal
from flyte_nb.executions.field_text import Unreadable, is_simple, quoted, read
from flyte_nb.executions.notation import Evaluate, NoNotation, is_quoted, parsed
from flyte_nb.executions.values_from_data import FOREIGN, FRAMES, decoded, fits, made_of
from flyte_nb.types.codec import Codec
from flyte_nb.types.datasets import StructuredDataset
from flyte_nb.types.unions import UnionCodec


class Names(NamedTuple):
    """What a text can refer to in a notebook. Without arguments, it can refer to nothing."""

    variables: "Mapping[str, Any]" = MappingProxyType({})
    evaluate: "Evaluate | None" = None
    """Returns the value of a Python expression; raises whatever the expression raises."""
    expand: "Callable[[str], str]" = str
    """Returns the text with `{expression}` and `$name` replaced, as IPython does it."""


def value_of(text: str, codec: Codec, names: Names = Names()) -> Any:  # noqa: B008 - it is immutable
    """Return the value that the text stands for.

    Args:
        text: What is written after `name=`.
        codec: The codec of the input's type.
        names: What `{name}`, `$name` and a bare name refer to.

    Raises:
        Unreadable: the text is not a value of the type. The message says why.
    """
    # Braces around the whole text insert an object of any class, not its text.
    if names.evaluate is not None:
        found = _inserted(text, names.evaluate)
        if found is not _NOTHING:
            return found if fits(found, codec) else value_of(str(found), codec)
    # For these two kinds of types no notation is tried first: 1e5 is a text for a string.
    if is_simple(codec.literal_type, lt.STRING):
        return decoded(Literal(li.STRING, _text(text, names)), codec)
    if codec.literal_type.kind in FRAMES:
        return _fitting(_frame(_text(text, names), names), codec)
    try:
        data = parsed(text, _known(names))
    except NoNotation:
        return _from_text(text, codec, names)
    if _is_comma_list(text, data, codec):
        return _from_text(text, codec, names)
    try:
        return made_of(data, codec)
    except Unreadable:
        # Quotes that people write for a shell: n='3', xs='["a"]'. Nothing in them is inserted.
        if isinstance(data, str):
            return value_of(data, codec, names._replace(evaluate=None))
        if isinstance(data, _SCALARS) or _takes_text(codec):
            return _from_text(text, codec, names)
        raise


_SCALARS = (int, float, type(None))
"""Classes of data that the type may read as text all the same: `20241101` is a number, and may be a date."""


def _takes_text(codec: Codec) -> bool:
    """Return whether any text is a value of the type: for a path, and for a union with a string."""
    if codec.literal_type.kind == lt.BLOB:
        return getattr(codec.literal_type.value, "format", "") not in FOREIGN
    return isinstance(codec, UnionCodec) and any(
        is_simple(each.literal_type, lt.STRING) for each in codec.variants
    )


def _from_text(text: str, codec: Codec, names: Names) -> Any:
    """Return the value of a text that is not in Python's or JSON's notation.

    These are tried in order: names that IPython replaces, double braces, an enum member, what the type reads,
    and a variable of the notebook.
    """
    # What was inserted is read like a text that was typed, but nothing is inserted into it again.
    expanded = names.expand(text)
    if expanded != text:
        return value_of(expanded, codec, Names(names.variables))
    bare = text.strip()
    # People double the braces of a dict, because IPython takes single ones for an expression.
    if bare.startswith("{{") and bare.endswith("}}"):
        try:
            return made_of(parsed(bare[1:-1]), codec)
        except (NoNotation, Unreadable):
            pass
    member = _member(bare, codec.python_type)
    if member is not _NOTHING:
        return member
    # What the type reads wins over a variable of that name: `mode=fast` is the choice `fast`.
    known = names.variables.get(bare, _NOTHING) if _is_name(bare) else _NOTHING
    try:
        return _read(text, codec, known)
    except Unreadable:
        if known is not _NOTHING and fits(known, codec):
            return known
        raise


def _read(text: str, codec: Codec, known: Any) -> Any:
    """Return the value of a text as the type reads it; `known` is the variable of that name, if any."""
    kind = codec.literal_type
    if kind.kind == lt.BLOB and getattr(kind.value, "format", "") in FOREIGN:
        # For an input of any type, a text that is nothing else is a text.
        if known is _NOTHING and codec.python_type is Any:
            return text
        raise Unreadable(f"is not a value of the type: {quoted(text)}; give the name of a variable")
    if isinstance(codec, UnionCodec):
        return _text_variant(text, codec, known)
    return decoded(read(text, kind), codec)


def _text_variant(text: str, codec: UnionCodec, known: Any) -> Any:
    """Return the value by the first variant that reads the text. A string comes last: it reads any text."""
    # An empty text would also be a string. Where None is allowed, it is what people mean by it.
    nothing = [each for each in codec.variants if is_simple(each.literal_type, lt.NONE)]
    if not text.strip() and nothing:
        return None
    reasons = []
    strings_last = sorted(codec.variants, key=lambda each: is_simple(each.literal_type, lt.STRING))
    for variant in strings_last:
        if variant in nothing:
            continue
        try:
            return _read(text, variant, known)
        except Unreadable as error:
            reasons.append(str(error))
    raise Unreadable(" and ".join(reasons) or "fits no variant")


def _member(text: str, kind: Any) -> Any:
    """Return the member of an enum that is written as in Python, `Colour.RED`; else `_NOTHING`."""
    if not isinstance(kind, enum.EnumMeta):
        return _NOTHING
    # `colours.Colour.RED` and `Colour.RED` are accepted, and `RED` alone is not: it may be a value.
    owner, _, name = text.rpartition(".")
    members: Mapping[str, Any] = kind.__members__
    return (
        members[name] if name in members and owner.rpartition(".")[2] == kind.__name__ else _NOTHING
    )


def _fitting(table: Any, codec: Codec) -> Any:
    """Return the table, in a StructuredDataset where the codec does not take it as it is."""
    return table if fits(table, codec) else StructuredDataset(table)


def _frame(text: str, names: Names) -> Any:
    """Return the frame that a variable holds, or that is in a file."""
    if text in names.variables:
        return names.variables[text]
    if "/" not in text and "." not in text:
        if _is_name(text):
            raise Unreadable(f"there is no variable {text!r} in the notebook")
        raise Unreadable("is neither a variable's name nor a path")
    return frame_from(text)


def frame_from(path: str) -> Any:
    """Return the frame in a CSV or parquet file at a path or URI.

    Raises:
        Unreadable: there is no such file, it cannot be read, or pandas is not installed.
    """
    if "://" not in path and not Path(path).expanduser().exists():
        raise Unreadable(f"there is no file {path!r}")
    try:
        import pandas as pd  # optional
    except ImportError:
        raise Unreadable("a path needs pandas; install it, or name a variable") from None
    try:
        if Path(path).suffix.lower() in (".csv", ".tsv"):
            return pd.read_csv(path, sep="\t" if path.lower().endswith(".tsv") else ",")
        return pd.read_parquet(path)
    except Exception as error:  # noqa: BLE001 - pandas and its readers raise many classes
        raise Unreadable(f"{path!r} cannot be read as a frame: {error}") from None


def _text(text: str, names: Names) -> str:
    """Return the value of a text input: what is in quotes, else the text itself, with names replaced."""
    # An f-string is parsed as well, because its expressions are evaluated.
    if is_quoted(text) or text.lstrip()[:1] in ("f", "F"):
        try:
            data = parsed(text, _known(names))
        except NoNotation:
            data = None
        if isinstance(data, str):
            return data
    return names.expand(text)


def _inserted(text: str, evaluate: Evaluate) -> Any:
    """Return the value of an expression in braces; `_NOTHING` when the text is something else."""
    bare = text.strip()
    if not (bare.startswith("{") and bare.endswith("}")) or bare.startswith("{{"):
        return _NOTHING
    # `{1, 2}` and `{"a": 1}` are values by themselves: a set and a dict.
    try:
        parsed(bare)
    except NoNotation:
        pass
    else:
        return _NOTHING
    try:
        return evaluate(bare[1:-1])
    except Exception:  # noqa: BLE001 - an expression may raise anything; then it is plain text
        return _NOTHING


def _known(names: Names) -> "Evaluate | None":
    """Return `names.evaluate` with every error turned into `NoNotation`, as `parsed` wants it."""
    evaluate = names.evaluate
    if evaluate is None:
        return None

    def value(expression: str) -> Any:
        try:
            return evaluate(expression)
        except Exception as error:  # noqa: BLE001 - an expression may raise anything
            raise NoNotation(str(error)) from None

    return value


class _Nothing:
    """The class of `_NOTHING`, which stands for "no value": `None` is a value."""


_NOTHING = _Nothing()


def _is_name(text: str) -> bool:
    return text.isidentifier() and not text.startswith("_")


def _is_comma_list(text: str, data: Any, codec: Any) -> bool:
    """Return whether the text is items with commas, like `1.50, 2` for a list of texts.

    Python reads a tuple of numbers there. The type must read the items, so that `1.50` keeps its zero.
    """
    if not isinstance(data, tuple) or text.lstrip().startswith("("):
        return False
    return not all(isinstance(item, str) for item in data)
