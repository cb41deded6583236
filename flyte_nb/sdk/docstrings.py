"""Read what a docstring says about a function and its parameters (Google, NumPy and Sphinx style)."""

import re
import textwrap

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Params|Returns|Outputs):\s*$")
_ANY_SECTION = re.compile(r"^[A-Z]\w*( \w+)?:\s*$")
_GOOGLE = re.compile(r"^(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_SPHINX = re.compile(r"^:(?:param|parameter|arg)(?:\s+[^:]+?)?\s+(\w+)\s*:\s*(.*)$")
_NUMPY = re.compile(r"^(\w+)\s*(?::.*)?$")


def clean(doc: str) -> str:
    """Return the docstring without the indentation that it has in the source."""
    first, _, rest = doc.partition("\n")
    return (first.strip() + "\n" + textwrap.dedent(rest.expandtabs())).strip()


def variable_descriptions(doc: str) -> "dict[str, str]":
    """Return the description of each parameter or output that the docstring names, as one line each."""
    lines = clean(doc).splitlines()
    found: dict[str, list[str]] = {}
    for index, line in enumerate(lines):
        # The three styles are recognized line by line, because docstrings mix them.
        sphinx = _SPHINX.match(line)
        if sphinx:
            found[sphinx.group(1)] = [sphinx.group(2), *_deeper(lines[index + 1 :], 0)]
        elif _SECTION.match(line):
            _google(lines[index + 1 :], found)
        elif line in ("Parameters", "Returns") and _underlined(lines, index):
            _numpy(lines[index + 2 :], found)
    return {name: " ".join(filter(None, parts)) for name, parts in found.items() if any(parts)}


def _google(lines: "list[str]", found: "dict[str, list[str]]") -> None:
    entry_indent = 0
    for index, line in enumerate(lines):
        if not line.strip():
            continue
        indent = _indent(line)
        if indent == 0 or _ANY_SECTION.match(line):
            return
        entry_indent = entry_indent or indent
        match = _GOOGLE.match(line.strip()) if indent == entry_indent else None
        if match:
            found[match.group(1)] = [match.group(2), *_deeper(lines[index + 1 :], indent)]


def _numpy(lines: "list[str]", found: "dict[str, list[str]]") -> None:
    for index, line in enumerate(lines):
        if _underlined(lines, index):
            return
        match = _NUMPY.match(line) if line and _indent(line) == 0 else None
        if match:
            found[match.group(1)] = _deeper(lines[index + 1 :], 0)


def _deeper(lines: "list[str]", indent: int) -> "list[str]":
    """Return the lines that continue an entry: those indented more than it, up to the next one."""
    more = []
    for line in lines:
        if not line.strip() or _indent(line) <= indent:
            break
        more.append(line.strip())
    return more


def _underlined(lines: "list[str]", index: int) -> bool:
    return index + 1 < len(lines) and lines[index + 1].startswith("---")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
