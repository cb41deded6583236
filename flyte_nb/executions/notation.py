"""Read a value in Python's or JSON's notation, and find where such a value ends in a line. Pure.

It reads what `repr` and `json.dumps` write: literals of both languages, and the `repr` of dates, paths, enum
members, numpy's scalars and dataclasses. The text is parsed, never evaluated: only a few constructors of the
standard library are called. The `repr` of any other class becomes a `ReprCall`, and the codec of the input's
type decides what it means.
"""

import ast
import datetime
import json
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn


class NoNotation(ValueError):
    """Raised when a text is no value in Python's or JSON's notation."""


@dataclass(frozen=True)
class ReprCall:
    """The parsed `repr` of an object: `Point(x=1, y=2)`. No named tuple, because tuples are values here."""

    name: str
    arguments: "tuple[Any, ...]"
    fields: "Mapping[str, Any]"


Evaluate = Callable[[str], Any]
"""Returns the value of an expression in the notebook."""


def parsed(text: str, evaluate: "Evaluate | None" = None) -> Any:
    """Return the value that a text stands for: plain data, a date, or a `ReprCall` inside it.

    Args:
        text: JSON or Python.
        evaluate: Evaluates f-strings, and `{name}` inside a list or dict. `None` refuses them.

    Raises:
        NoNotation: the text is neither.
    """
    bare = text.strip()
    try:
        # JSON comes first: it joins the two halves of an escaped emoji, and Python does not.
        return json.loads(bare)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Python warns of "\d", which is usual in what people type
            tree = ast.parse(_with_members_as_calls(bare), mode="eval")
        return _Reader(evaluate).value(tree.body)
    except (
        SyntaxError,
        ValueError,
        TypeError,
        OverflowError,
        MemoryError,
        RecursionError,
    ) as error:
        raise NoNotation(str(error)) from None


def is_quoted(text: str) -> bool:
    """Return whether the whole text is one string literal of Python."""
    bare = text.strip()
    return bare[-1:] in ("'", '"') and _STRING.fullmatch(bare) is not None


def end_of_value(line: str, start: int) -> int:
    """Return where the value that begins at `start` ends: at white space outside brackets and quotes.

    Text with a bracket that is never closed ends at the first white space.

    Args:
        line: A whole line, e.g. `xs=[1, 2] name="a b"`.
        start: The index of the value's first character.

    Raises:
        NoNotation: a quote is never closed.
    """
    # What follows a closing quote without white space belongs to the value: `"a"b`.
    string = _STRING.match(line, start)
    if string is not None:
        return _next_space(line, string.end())
    if line[start : start + 1] in ("'", '"'):
        raise NoNotation("A quote is left open")
    if _STRUCTURED.match(line, start):
        end = _balanced(line, start)
        if end is not None:
            return _next_space(line, end)
    return _next_space(line, start)


# A string literal of Python: a prefix, then three quotes or one. One quote must not begin three of them.
_STRING = re.compile(
    r"""[rbuf]{0,2}(?:'''(?:[^\\]|\\.)*?'''|\"\"\"(?:[^\\]|\\.)*?\"\"\""""
    r"""|'(?!'')(?:[^'\\]|\\.)*'|"(?!"")(?:[^"\\]|\\.)*"|''(?!')|""(?!"))""",
    re.IGNORECASE | re.DOTALL,
)
_STRUCTURED = re.compile(r"[\[({]|[^\W\d][\w.]*[(]|<[\w.|]+: ")
"""The beginning of a value with a structure: a bracket, a call, or an enum member `<Colour.RED: 'red'>`."""

_MEMBER = re.compile(r"<[\w.|]+: ")
"""The beginning of an enum member's `repr`, which Python cannot parse."""
_CLOSED_BY = {"(": ")", "[": "]", "{": "}"}


def _next_space(line: str, start: int) -> int:
    """Return the index of the next white space; white space inside `{…}` does not count."""
    at = start
    while at < len(line) and not line[at].isspace():
        end = _balanced(line, at) if line[at] == "{" else None
        at = end if end is not None else at + 1
    return at


def _balanced(line: str, start: int) -> "int | None":
    """Return the index after the bracket that closes the first open one; `None` when it is not closed."""
    waiting: list[str] = []  # the brackets that have to come, the innermost last
    at = start
    while at < len(line):
        string = _STRING.match(line, at) if line[at] in "'\"" else None
        member = _MEMBER.match(line, at)
        if string is not None:
            at = string.end()
            continue
        if member is not None:
            waiting.append(">")
            at = member.end()
            continue
        char = line[at]
        at += 1
        if char in _CLOSED_BY:
            waiting.append(_CLOSED_BY[char])
        elif waiting and char == waiting[-1]:
            waiting.pop()
            if not waiting:
                return at
        # A bracket that closes another one, or a quote that opens no string: the text has no structure.
        elif char in ")]}'\"":
            return None
    return None


def _with_members_as_calls(text: str) -> str:
    """Return the text with each `<Colour.RED: 'red'>` as a call of `__member__`, which Python can parse."""
    if "<" not in text:
        return text
    done: list[str] = []
    depth = at = 0
    while at < len(text):
        string = _STRING.match(text, at) if text[at] in "'\"" else None
        member = _MEMBER.match(text, at)
        if string is not None:
            done.append(string.group())
            at = string.end()
        elif member is not None:
            done.append(f"{_MEMBER_CALL}(")
            depth += 1
            at = member.end()
        elif text[at] == ">" and depth:
            done.append(")")
            depth -= 1
            at += 1
        else:
            done.append(text[at])
            at += 1
    return "".join(done)


_MEMBER_CALL = "__member__"
# Names that stand for values, beside Python's `True`, `False` and `None`: those of JSON, and of `repr`.
_NAMES: "Mapping[str, Any]" = {
    "true": True,
    "false": False,
    "null": None,
    "nan": float("nan"),
    "NaN": float("nan"),
    "inf": float("inf"),
    "Infinity": float("inf"),
}
_SCALAR = re.compile(r"(u?int|float)\d+|bool_?|str_|float|int|str")
"""Classes whose `repr` has the value as its only argument: numpy's scalars, and Python's."""


class _Reader:
    """Makes values of a syntax tree. Each method `_<name of the node's class>` reads one kind of node."""

    def __init__(self, evaluate: "Evaluate | None") -> None:
        self._evaluate = evaluate

    def value(self, node: ast.expr) -> Any:
        """Return the value of an expression.

        Raises:
            NoNotation: the expression is not the notation of a value.
        """
        read = getattr(self, f"_{type(node).__name__.lower()}", None)
        return read(node) if read is not None else _refuse(node)

    def _constant(self, node: ast.Constant) -> Any:
        return node.value if node.value is not ... else _refuse(node)

    def _name(self, node: ast.Name) -> Any:
        return _NAMES[node.id] if node.id in _NAMES else _refuse(node)

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        # Negative numbers are an operator and a number to Python's parser.
        value = self.value(node.operand)
        if not isinstance(value, (int, float, complex)) or isinstance(value, bool):
            _refuse(node)
        if isinstance(node.op, ast.USub):
            return -value
        return value if isinstance(node.op, ast.UAdd) else _refuse(node)

    def _binop(self, node: ast.BinOp) -> Any:
        """Return a complex number: `repr` writes `1+2j`. No other sum is a notation."""
        left, right = self.value(node.left), self.value(node.right)
        if not isinstance(right, complex) or not isinstance(left, (int, float)):
            _refuse(node)
        if isinstance(node.op, ast.Add):
            return left + right
        return left - right if isinstance(node.op, ast.Sub) else _refuse(node)

    def _list(self, node: ast.List) -> Any:
        return [self.value(each) for each in node.elts]

    def _tuple(self, node: ast.Tuple) -> Any:
        return tuple(self.value(each) for each in node.elts)

    def _set(self, node: ast.Set) -> Any:
        try:
            return {self.value(each) for each in node.elts}
        except NoNotation:
            # `{name}` is a set to Python's parser, and in a magic's line an expression to insert.
            if self._evaluate is None or len(node.elts) != 1:
                raise
            return self._evaluate(ast.unparse(node.elts[0]))

    def _dict(self, node: ast.Dict) -> Any:
        if None in node.keys:  # `**other`
            _refuse(node)
        keys = [self.value(key) for key in node.keys if key is not None]
        return dict(zip(keys, map(self.value, node.values), strict=True))

    def _joinedstr(self, node: ast.JoinedStr) -> Any:
        return self._evaluate(ast.unparse(node)) if self._evaluate is not None else _refuse(node)

    def _attribute(self, node: ast.Attribute) -> Any:
        return datetime.timezone.utc if _ends(node) == "utc" else _refuse(node)

    def _call(self, node: ast.Call) -> Any:
        name = _ends(node.func)
        arguments = tuple(self.value(each) for each in node.args)
        fields = {}
        for keyword in node.keywords:
            if keyword.arg is None:  # `**other`
                _refuse(node)
            # numpy writes `dtype=float32` without quotes, which is a name to Python's parser.
            if name == "array" and keyword.arg == "dtype":
                fields["dtype"] = ast.unparse(keyword.value).strip("'\"")
            else:
                fields[keyword.arg] = self.value(keyword.value)
        return _called(name, arguments, fields)


def _called(name: str, arguments: "tuple[Any, ...]", fields: "dict[str, Any]") -> Any:
    """Return what a call in a `repr` stands for: a value, or a `ReprCall` of an unknown class."""
    if name == _MEMBER_CALL or (_SCALAR.fullmatch(name) and len(arguments) == 1 and not fields):
        (value,) = arguments
        return _NAMES.get(value, value) if name == "float" and isinstance(value, str) else value
    if name in _MAKERS:
        return _MAKERS[name](*arguments, **fields)
    return ReprCall(name, arguments, fields)


def _path(*parts: str) -> str:
    return "/".join(parts)


def _zone(key: str) -> datetime.tzinfo:
    import zoneinfo  # imported here, because it searches for files, and few values name a zone

    return zoneinfo.ZoneInfo(key)


# The constructors that are called, by the last part of their names. pandas' timestamps become datetimes, and
# its durations become texts that the codec of a duration reads.
_MAKERS: "Mapping[str, Callable[..., Any]]" = {
    "datetime": datetime.datetime,
    "date": datetime.date,
    "timedelta": datetime.timedelta,
    "timezone": datetime.timezone,
    "ZoneInfo": _zone,
    "Timestamp": lambda text, **rest: datetime.datetime.fromisoformat(text),
    "Timedelta": lambda text, **rest: text,
    **dict.fromkeys(("Path", "PosixPath", "WindowsPath", "PurePosixPath"), _path),
    "set": set,
    "frozenset": frozenset,
    "OrderedDict": dict,
    "dict": dict,
    "Counter": dict,
    "bytearray": bytearray,
}


def _ends(node: ast.expr) -> str:
    """Return the last part of a dotted name; raise `NoNotation` for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else _refuse(node)


def _refuse(node: ast.AST) -> NoReturn:
    raise NoNotation(f"{type(node).__name__} is not the notation of a value")
