"""The worked examples of `docs/adding.md` are tests: this module runs them, and pytest collects them.

The blocks of one section are one module. Names that begin with `test_` or `Test`, and fixtures, are taken
from it.
"""

import linecache
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "adding.md"
TEXT = PAGE.read_text(encoding="utf-8")
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples():
    """Yield the code of each section: its heading, and the source on the page's own line numbers."""
    starts = list(_SECTION.finditer(TEXT))
    ends = [match.start() for match in starts[1:]] + [len(TEXT)]
    for section, end in zip(starts, ends, strict=True):
        source, line = "", 1
        for block in _BLOCK.finditer(TEXT, section.start(), end):
            first = TEXT.count("\n", 0, block.start(1)) + 1
            source += "\n" * (first - line) + block.group(1)
            line = first + block.group(1).count("\n")
        if source:
            yield section.group(1), source


def run(heading, source):
    """Return the names that a section defines, run as a module of its own."""
    name = f"{PAGE} ({heading})"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace = {"__name__": "__main__"}  # as in a notebook
    exec(compile(source, name, "exec"), namespace)
    return namespace


def collected(namespace):
    """Return what pytest shall find: tests, classes of tests, and fixtures; not what was imported."""
    return {
        name: value
        for name, value in namespace.items()
        if name.startswith(("test_", "Test")) or "Fixture" in type(value).__name__
    }


SECTIONS = {heading: collected(run(heading, source)) for heading, source in examples()}
for _section in SECTIONS.values():
    globals().update(_section)


def test_no_name_is_defined_in_two_sections():
    names = [name for section in SECTIONS.values() for name in section]
    assert sorted(set(names)) == sorted(names)


def test_every_row_of_the_table_has_an_example_with_a_test():
    rows = re.findall(r"^\| \[(.+?)\]\(#(.+?)\)", TEXT, re.MULTILINE)
    assert len(rows) == 7
    assert {anchor for _, anchor in rows} == {
        heading.lower().replace(" ", "-") for heading, section in SECTIONS.items() if section
    }
