"""The value of an input as it is written after `name=`, in a magic's line or in a terminal.

A text is read as JSON or Python first: what `repr` or `json.dumps` wrote of a value gives that value. Else
it is text, with backslashes and all, and is read by the input's type: `90s`, `2026-11-01`, `a,b`.
"""

import enum
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from flyte_nb.api import literal_types as lt
from flyte_nb.api import literals as li
from flyte_nb.api.literals import Literal
from flyte_nb.executions.made import FOREIGN, FRAMES, decoded, fits, made_of
from flyte_nb.executions.notation import Evaluate, NoNotation, is_quoted, parsed
from flyte_nb.executions.reading import Unreadable, is_simple, quoted, read
from flyte_nb.types.unions import UnionCodec


class Names(NamedTuple):
    """What a text can refer to: the notebook's variables."""

    variables: "Mapping[str, Any]" = MappingProxyType({})
    evaluate: "Evaluate | None" = None
    """Returns the value of a Python expression; raises what that raises."""
    expand: "Callable[[str], str]" = str
    """Returns the text with `{expression}` and `$name` replaced as IPython does."""


def value_of(text: str, codec: Any, names: Names = Names()) -> Any:  # noqa: B008 - it is immutable
    """Return the value that the text stands for.

    Args:
        text: What is written after `name=`.
        codec: Of the input's type.
        names: What `{name}`, `$name` and a bare name refer to.

    Raises:
        Unreadable: the text is no value of the type; the message says why.
    """
    if names.evaluate is not None:
        found = _inserted(text, names.evaluate)
        if found is not _NOTHING:
            return found if fits(found, codec) else value_of(str(found), codec)
    if is_simple(codec.literal_type, lt.STRING):
        return decoded(Literal(li.STRING, _text(text, names)), codec)
    if codec.literal_type.kind in FRAMES:
        return _frame(_text(text, names), codec, names)
    try:
        data = parsed(text, _known(names))
    except NoNotation:
        return _from_text(text, codec, names)
    if _is_comma_list(text, data, codec):
        return _from_text(text, codec, names)
    try:
        return made_of(data, codec)
    except Unreadable:
        if isinstance(data, str):  # in quotes as a shell wants them: n='3', xs='["a"]'
            return value_of(data, codec, names._replace(evaluate=None))
        if isinstance(data, _SCALARS) or _takes_text(codec):
            return _from_text(text, codec, names)
        raise


_SCALARS = (int, float, type(None))
"""What may be text all the same: `20241101` is a date."""


def _takes_text(codec: Any) -> bool:
    """Whether any text is a value of the type: of a path, and where a string is one of several types."""
    if codec.literal_type.kind == lt.BLOB:
        return getattr(codec.literal_type.value, "format", "") not in FOREIGN
    return isinstance(codec, UnionCodec) and any(
        is_simple(each.literal_type, lt.STRING) for each in codec.variants
    )


def _from_text(text: str, codec: Any, names: Names) -> Any:
    """Return the value of what is no notation."""
    expanded = names.expand(text)
    if expanded != text:
        return value_of(expanded, codec, Names(names.variables))
    bare = text.strip()
    if bare.startswith("{{") and bare.endswith("}}"):  # braces as IPython wants them
        try:
            return made_of(parsed(bare[1:-1]), codec)
        except (NoNotation, Unreadable):
            pass
    member = _member(bare, codec.python_type)
    if member is not _NOTHING:
        return member
    known = names.variables.get(bare, _NOTHING) if _is_name(bare) else _NOTHING
    try:
        return _read(text, codec, known)
    except Unreadable:
        if known is not _NOTHING and fits(known, codec):
            return known
        raise


def _read(text: str, codec: Any, known: Any) -> Any:
    kind = codec.literal_type
    if kind.kind == lt.BLOB and getattr(kind.value, "format", "") in FOREIGN:
        if known is _NOTHING and codec.python_type is Any:
            return text
        raise Unreadable(f"is no value of the type: {quoted(text)}; give the name of a variable")
    if isinstance(codec, UnionCodec):
        return _text_variant(text, codec, known)
    return decoded(read(text, kind), codec)


def _text_variant(text: str, codec: UnionCodec, known: Any) -> Any:
    """Return the text by the first variant that reads it; any text is a string, so that comes last."""
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
    """Return the member of an enum that is written as in Python: `Colour.RED`."""
    if not isinstance(kind, enum.EnumMeta):
        return _NOTHING
    owner, _, name = text.rpartition(".")
    members: Mapping[str, Any] = kind.__members__
    return (
        members[name] if name in members and owner.rpartition(".")[2] == kind.__name__ else _NOTHING
    )


def _frame(text: str, codec: Any, names: Names) -> Any:
    """Return the frame that a variable holds, or that is in a file."""
    if text in names.variables:
        return names.variables[text]
    if "/" not in text and "." not in text:
        said = f"there is no variable {text!r} in the notebook" if _is_name(text) else "is no name"
        raise Unreadable(said)
    return frame_from(text)


def frame_from(path: str) -> Any:
    """Return the frame in a CSV or parquet file, or at a URI. Raises `Unreadable`."""
    if "://" not in path and not Path(path).expanduser().exists():
        raise Unreadable(f"there is no file {path!r}")
    try:
        import pandas as pd
    except ImportError:
        raise Unreadable("a path needs pandas; install it, or name a variable") from None
    try:
        if Path(path).suffix.lower() in (".csv", ".tsv"):
            return pd.read_csv(path, sep="\t" if path.lower().endswith(".tsv") else ",")
        return pd.read_parquet(path)
    except Exception as error:  # noqa: BLE001 - pandas raises whatever it stumbles over
        raise Unreadable(f"{path!r} cannot be read as a frame: {error}") from None


def _text(text: str, names: Names) -> str:
    """Return what a text input is: what is in the quotes, else the text as it stands."""
    if is_quoted(text) or text.lstrip()[:1] in ("f", "F"):
        try:
            data = parsed(text, _known(names))
        except NoNotation:
            data = None
        if isinstance(data, str):
            return data
    return names.expand(text)


def _inserted(text: str, evaluate: Evaluate) -> Any:
    """Return the value of an expression in braces, as IPython inserts it; else `_NOTHING`."""
    bare = text.strip()
    if not (bare.startswith("{") and bare.endswith("}")) or bare.startswith("{{"):
        return _NOTHING
    try:
        parsed(bare)  # a dict or a set
    except NoNotation:
        pass
    else:
        return _NOTHING
    try:
        return evaluate(bare[1:-1])
    except Exception:  # noqa: BLE001 - any code; then the braces mean something else
        return _NOTHING


def _known(names: Names) -> "Evaluate | None":
    """Return what evaluates an expression inside of a literal; what fails is no notation."""
    evaluate = names.evaluate
    if evaluate is None:
        return None

    def value(expression: str) -> Any:
        try:
            return evaluate(expression)
        except Exception as error:  # noqa: BLE001 - any code
            raise NoNotation(str(error)) from None

    return value


class _Nothing:
    """No value: `None` is one."""


_NOTHING = _Nothing()


def _is_name(text: str) -> bool:
    return text.isidentifier() and not text.startswith("_")


def _is_comma_list(text: str, data: Any, codec: Any) -> bool:
    """Whether it is `1.50, 2` for a list of texts: then the items are read as they stand."""
    if not isinstance(data, tuple) or text.lstrip().startswith("("):
        return False
    return not all(isinstance(item, str) for item in data)
