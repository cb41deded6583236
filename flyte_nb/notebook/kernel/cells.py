"""Which cell defines what, and where a file name of a traceback lies in the notebook.

A kernel compiles each cell under a made-up file name. This registry remembers which cell that was,
so that a person reads `cell [7], line 3`. Cells are keyed by `cell_id`, which stays the same when a
cell is run again: that is how a deleted definition is noticed. It holds no reference to any value.
"""

import ast
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from flyte_nb.api.specs import Location
from flyte_nb.bundle.source_names import stable_name

_PACKED = "<cell "
"""How the names begin that cells have in a bundle: a digest of their text, see `bundle.source_names`."""


_ANONYMOUS = "#"  # begins the key of a cell without an id


class Cell(NamedTuple):
    """One cell as it was last run."""

    cell_id: str
    number: int
    """The number in its prompt."""
    filename: str
    source: str
    defines: "frozenset[str]"
    """Names bound at its top level."""

    @property
    def label(self) -> str:
        """E.g. `cell [7]`."""
        return f"cell [{self.number}]"

    @property
    def can_be_redrawn(self) -> bool:
        """Whether its outputs can be written again: not in a terminal, where cells have no ids."""
        return not self.cell_id.startswith(_ANONYMOUS)


class Removed(NamedTuple):
    """A name that its cell defined once and does not define any more."""

    name: str
    cell: Cell
    """The cell as it is now."""


def names_bound(source: str) -> "frozenset[str]":
    """Names that Python source binds at its top level; none when it does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return frozenset()
    names: set[str] = set()
    for statement in tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(statement.name)
        elif isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            names |= _targets(statement)
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            names |= {(item.asname or item.name).partition(".")[0] for item in statement.names}
    return frozenset(names)


def _targets(statement: "ast.Assign | ast.AnnAssign | ast.AugAssign") -> "set[str]":
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return {
        node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)
    }


class CellRegistry:
    """The cells of one kernel, in the order in which they were last run."""

    def __init__(self) -> None:
        self._cells: dict[str, Cell] = {}
        self._files: dict[str, tuple[str, int]] = {}
        self._removed: dict[str, str] = {}
        self._current = ""
        self._anonymous = 0

    def begin(self, *, cell_id: "str | None", number: int, filename: str, source: str) -> None:
        """A cell starts to run; what its earlier version defined and this one does not is noted."""
        # Without an id (a terminal) every run is a cell of its own, and nothing is ever "removed".
        self._anonymous += not cell_id
        key = cell_id or f"{_ANONYMOUS}{self._anonymous}"
        defines = names_bound(source)
        before = self._cells.pop(key, None)
        if before is not None:
            for name in before.defines - defines:
                self._removed[name] = key
        self._cells[key] = Cell(key, number, filename, source, defines)
        self._files[filename] = (key, number)
        self._current = key
        self._settle(defines)

    def renumber(self, number: int) -> None:
        """The running cell's prompt has this number."""
        cell = self._cells.get(self._current)
        if cell is not None and cell.number != number:
            self._cells[self._current] = cell._replace(number=number)
            self._files[cell.filename] = (cell.cell_id, number)

    def also_defines(self, names: "Iterable[str]") -> None:
        """The running cell defines `names` in a way its source does not show (a cell magic)."""
        cell = self._cells.get(self._current)
        if cell is not None:
            self._cells[self._current] = cell._replace(defines=cell.defines | frozenset(names))
            self._settle(names)

    def forget(self, cell_ids: "Iterable[str]") -> None:
        """Cells were deleted from the notebook."""
        for cell_id in cell_ids:
            cell = self._cells.get(cell_id)
            if cell is not None:
                for name in cell.defines:
                    self._removed[name] = cell_id
                self._cells[cell_id] = cell._replace(defines=frozenset())

    def _settle(self, names: "Iterable[str]") -> None:
        for name in names:
            self._removed.pop(name, None)

    @property
    def current(self) -> "Cell | None":
        """The cell that runs, or ran last."""
        return self._cells.get(self._current)

    def owner(self, name: str) -> "Cell | None":
        """The cell that defines `name`; the one that ran last where several do."""
        found = None
        for cell in self._cells.values():
            if name in cell.defines and (found is None or cell.number >= found.number):
                found = cell
        return found

    def removed(self, names: "Iterable[str]") -> "tuple[Removed, ...]":
        """Those of `names` that no cell defines any more, though one did."""
        return tuple(
            Removed(name, self._cells[self._removed[name]])
            for name in names
            if name in self._removed and self.owner(name) is None
        )

    def label(self, filename: str) -> str:
        """`cell [7]` for a file name of a cell, else an empty text."""
        known = self._files.get(filename)
        return f"cell [{known[1]}]" if known else ""

    def place(self, location: "Location | None") -> str:
        """`cell [7], line 3`; file name and line for what is not in a cell; empty for `None`."""
        if location is None:
            return ""
        label = self.label(location.filename)
        return f"{label or location.filename}, line {location.line}"

    def humanize(self, text: str) -> str:
        """The text with each known file name of a cell replaced by that cell's label.

        Tracebacks of other processes name a cell by the digest of its text; it is found by that.
        """
        packed = _PACKED in text
        for filename, (_, number) in self._files.items():
            names = (filename, stable_name(filename)) if packed else (filename,)
            for name in names:
                if name in text:
                    quoted = re.escape(name)
                    text = re.sub(rf'File "{quoted}", line', f"cell [{number}], line", text)
                    text = re.sub(rf"{quoted}:(\d+)", rf"cell [{number}], line \1", text)
                    text = text.replace(name, f"cell [{number}]")
        return text


class Stale(NamedTuple):
    """An entity whose annotations hold a class that was defined again since."""

    entity: str
    class_name: str


def stale_entities(
    functions: "Mapping[str, Any]", namespace: "Mapping[str, Any]"
) -> "tuple[Stale, ...]":
    """Entities (name → the function behind it) that speak of an earlier version of a class.

    Running the cell of a class again makes a new class. A task that was defined before keeps the old
    one in its annotations, and values of the new one do not fit it.
    """
    found = []
    for name, function in functions.items():
        annotations = getattr(function, "__annotations__", None) or {}
        for old in sorted(_own_classes(annotations.values()), key=lambda kind: kind.__name__):
            now = namespace.get(old.__name__)
            if isinstance(now, type) and now is not old:
                found.append(Stale(name, old.__name__))
    return tuple(found)


def _own_classes(annotations: "Iterable[Any]") -> "set[type]":
    classes: set[type] = set()
    for annotation in annotations:
        if isinstance(annotation, type) and annotation.__module__ == "__main__":
            classes.add(annotation)
        classes |= _own_classes(getattr(annotation, "__args__", None) or ())
    return classes
