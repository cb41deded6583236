"""Read YAML and JSON text into plain data that remembers its lines, in bounded time and memory.

YAML is built from the parser's events, without recursion and by YAML 1.2's core schema (`yes`, `on`
and `2024-01-01` are text). An unquoted scalar keeps its spelling, so that `version: 1.10` becomes the text
"1.10" in a field that wants text.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

MAX_DEPTH = 200
"""Levels; protobuf itself allows at most 100 messages inside of each other."""
MAX_NODES = 1_000_000
"""Values in one file, each use of an alias counted."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?[0-9]{1,40}")
_BASED = re.compile(r"0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{f"{sign}{inf}": float(f"{sign}inf") for sign in ("", "+", "-") for inf in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}  # fmt: skip
_TAGS = frozenset({"!", *(f"tag:yaml.org,2002:{name}" for name in ("str", "binary", "map", "seq"))})
_RESOLVED = frozenset(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float"))


class Fault(Exception):
    """The text cannot be read further; `line` counts from 1 and is 0 when it is not known."""

    def __init__(self, message: str, line: int = 0, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.line, self.hint = message, line, hint


class Word(NamedTuple):
    """An unquoted YAML scalar that is no plain text: `1.10`, `true`, `null`."""

    text: str
    value: "float | bool | None"


class Table(dict[str, Any]):
    """A mapping; `lines` has the line of each key, where it is known."""

    __slots__ = ("lines",)

    def __init__(self, pairs: Any = ()) -> None:
        super().__init__(pairs)
        self.lines: dict[str, int] = {}


class Items(list[Any]):
    """A sequence; `lines` has the line of each item."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []


class Document:
    """One document of a file: its data, its number from 1, and the line where it begins."""

    def __init__(self, data: Any, number: int, line: int, text: str = "") -> None:
        self.data, self.number, self.line = data, number, line
        self.is_json = bool(text)
        self._text = text
        """JSON text, which is read without lines. Lines are looked up in it when they are needed."""
        self._lined: Any = None if text else data

    def line_of(self, path: "tuple[str | int, ...]") -> int:
        """Return the line of the value at `path`, or of the nearest value around it."""
        if self._lined is None and path:
            try:
                self._lined = next(yaml_documents(self._text)).data
            except (Fault, StopIteration):
                self._lined = ()
        line, data = self.line, self._lined
        for step in path:
            lines = getattr(data, "lines", None)
            try:
                line = lines[step] if lines else line
                data = data[step]
            except (KeyError, IndexError, TypeError):
                break
        return line


def plain(data: Any) -> Any:
    """Return the data with plain values in place of `Word`s, as JSON has it."""
    if isinstance(data, Word):
        return data.value
    if isinstance(data, dict):
        return {key: plain(value) for key, value in data.items()}
    return [plain(item) for item in data] if isinstance(data, list) else data


def decoded(data: bytes) -> str:
    """Return the bytes as text: UTF-8, or UTF-16 and UTF-32 with a byte order mark.

    Raises:
        Fault: they are no text.
    """
    encoding = "utf-8-sig"
    for mark, name in ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"),
                       (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):  # fmt: skip
        if data.startswith(mark):
            encoding = name
            break
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Fault(
            f"The byte 0x{data[error.start]:02x} at offset {error.start} is no {error.encoding} text.",
            line,
            "Save the file as UTF-8.",
        ) from None


def json_document(text: str) -> Document:
    """Return JSON text as its one document.

    Raises:
        Fault: it is no JSON, too deep, or has a key twice.
    """
    twice: list[str] = []

    def table(pairs: "list[tuple[str, Any]]") -> Table:
        made = Table(pairs)
        if len(made) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            twice.extend(name for name in made if counts[name] > 1)
        return made

    try:
        data = json.loads(text, object_pairs_hook=table)
    except json.JSONDecodeError as error:
        raise Fault(f"It is no JSON: {error.msg}, column {error.colno}.", error.lineno) from None
    except RecursionError:
        raise Fault(f"It is nested more than {MAX_DEPTH} levels deep.") from None
    except ValueError as error:  # a number of thousands of digits
        raise Fault(f"It is no JSON: {error}.") from None
    # JSON is read by the fast parser, which has no lines; the YAML reader finds the line of a repetition.
    if twice:
        for _ in yaml_documents(text):  # which says where
            pass
        raise Fault(f"The key {twice[0]!r} is there twice.")
    return Document(data, 1, 1, text)


def yaml_documents(text: str) -> "Iterator[Document]":
    """Yield the documents of YAML text, without those that are empty.

    Raises:
        Fault: it is no YAML, too deep, too large, or has a key twice.
    """
    number = line = 0
    tree = _Tree()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.DocumentStartEvent):
                number, line, tree = number + 1, 0, _Tree(tree.nodes)
            elif isinstance(event, yaml.DocumentEndEvent):
                if tree.root is not None and not _is_null(tree.root):
                    yield Document(tree.root, number, line)
            elif isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                at = tree.take(event)
                line = line or at
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(part for part in (error.context, error.problem) if part)
        raise Fault(f"It is no YAML: {said}.", mark.line + 1 if mark else 0) from None
    except yaml.YAMLError as error:
        raise Fault(f"It is no YAML: {str(error).splitlines()[0]}.") from None


def _is_null(value: Any) -> bool:
    return isinstance(value, Word) and value.value is None


class _Open:
    """A collection that is still open while its events come."""

    def __init__(self, value: "Table | Items", anchor: "str | None", line: int) -> None:
        self.value, self.anchor, self.line = value, anchor, line
        self.key: str | None = None
        self.key_line = line
        self.size = 1
        self.merged: list[tuple[Any, int]] = []

    def put(self, value: Any, line: int) -> None:
        """Add the next item, the next key, or the value of the last key."""
        if isinstance(self.value, Items):
            self.value.append(value)
            self.value.lines.append(line)
        elif self.key is None:
            self.key, self.key_line = _key(value, line), line
        else:
            key, self.key = self.key, None
            if key == "<<":
                self.merged.append((value, line))
                return
            first = self.value.lines.get(key)
            if first is not None:
                raise Fault(
                    f"The key {key!r} is there twice, first in line {first}.", self.key_line
                )
            self.value[key] = value
            self.value.lines[key] = self.key_line


class _Tree:
    """Builds one document, event by event."""

    def __init__(self, nodes: int = 0) -> None:
        self.nodes = nodes
        self.root: Any = None
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}

    def take(self, event: Any) -> int:
        """Add the next event of the document, and return its line."""
        line: int = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            self._add(_scalar(event, line), 1, line, event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise Fault(
                    f"The alias *{event.anchor} has no anchor before it, or contains itself.", line
                )
            value, size = self._anchors[event.anchor]
            self._add(value, size, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self._open.pop()
            if isinstance(done.value, Table):
                _merge(done.value, done.merged)
            self._add(done.value, done.size, done.line, done.anchor)
        else:
            _check_tag(event, line)
            if len(self._open) >= MAX_DEPTH:
                raise Fault(f"It is nested more than {MAX_DEPTH} levels deep.", line)
            value = Table() if isinstance(event, yaml.MappingStartEvent) else Items()
            self._open.append(_Open(value, event.anchor, line))
        return line

    def _add(self, value: Any, size: int, line: int, anchor: "str | None" = None) -> None:
        if anchor is not None:
            self._anchors[anchor] = (value, size)
        if not self._open:
            self.root = value
            return
        around = self._open[-1]
        around.size += size
        # An alias counts with all that it stands for: nine levels of nine aliases are a billion values.
        if around.size > MAX_NODES or self.nodes > MAX_NODES:
            raise Fault(
                f"It expands to more than {MAX_NODES:,} values.", line, "Use fewer aliases."
            )
        self.nodes += 1
        around.put(value, line)


def _merge(table: Table, parts: "list[tuple[Any, int]]") -> None:
    """Add the keys that `<<` brings and that the mapping does not have itself."""
    for value, line in parts:
        for part in value if isinstance(value, Items) else [value]:
            if not isinstance(part, Table):
                raise Fault("What << merges is no mapping.", line)
            for name, item in part.items():
                if name not in table:
                    table[name] = item
                    table.lines[name] = part.lines.get(name, line)


def _key(value: Any, line: int) -> str:
    if isinstance(value, Word):
        return value.text
    if isinstance(value, str):
        return value
    raise Fault("A key is no text.", line)


def _check_tag(event: Any, line: int) -> None:
    if event.tag is not None and event.tag not in _TAGS and event.tag not in _RESOLVED:
        raise Fault(f"The tag {event.tag} has no meaning in a spec.", line, "Remove it.")


def _scalar(event: Any, line: int) -> Any:
    _check_tag(event, line)
    text: str = event.value
    resolved = event.tag in _RESOLVED or (event.tag is None and event.implicit[0])
    if not resolved:
        return text
    if text in _WORDS:
        return Word(text, _WORDS[text])
    if _INT.fullmatch(text):
        return Word(text, int(text))
    if _BASED.fullmatch(text):
        return Word(text, int(text, 0))
    if _FLOAT.fullmatch(text):
        return Word(text, float(text))
    return text
