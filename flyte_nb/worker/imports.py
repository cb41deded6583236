"""Find which modules a Python source imports, from its text."""

import re

_IMPORTS = re.compile(
    rb"(?:^|[;:])[ \t]*(?:from[ \t]+(\w+)[\w.]*[ \t]+import\b|import[ \t]+([^\n#;]+))"
)
_BY_NAME = re.compile(rb"(?:\bimport_module|\b__import__|\brun_module)\(\s*['\"](\w+)")
"""Calls that import a module by a constant name."""
_IMPORTS_BY_NAME = re.compile(rb"importlib|import_module|__import__|runpy")


def imported_by(source: bytes) -> "set[str]":
    """Return the top-level names that the source imports.

    It uses patterns, because parsing costs a second for a thousand files, and looks at lines with the word
    `import` only, because searching every line costs 80 ms. It also finds imports in docstrings: at worst a
    module travels that nobody needs.
    """
    names: set[str] = set()
    by_name = False
    at = source.find(b"import")
    if at < 0:
        return names
    if b"\\\n" in source:
        source = source.replace(b"\\\n", b" ")
        at = source.find(b"import")
    while at >= 0:
        start = source.rfind(b"\n", 0, at) + 1
        end = source.find(b"\n", at)
        line = source[start:] if end < 0 else source[start:end]
        for from_name, listed in _IMPORTS.findall(line):
            names |= _tops(from_name, listed)
        by_name = by_name or _IMPORTS_BY_NAME.search(line) is not None
        at = source.find(b"import", end) if end >= 0 else -1
    if by_name:  # the whole text is searched only where such a call is possible
        names |= {name.decode("utf-8", "replace") for name in _BY_NAME.findall(source)}
    return names


def _tops(from_name: bytes, listed: bytes) -> "set[str]":
    if from_name:
        return {from_name.decode("utf-8", "replace")}
    items = [item.split()[0].partition(b".")[0] for item in listed.split(b",") if item.strip()]
    return {item.decode("utf-8", "replace") for item in items}
