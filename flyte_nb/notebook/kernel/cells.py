"""Remember which cell defines which name, and which cell a file name in a traceback belongs to.

A kernel compiles each cell under a made-up file name. The registry remembers the cell, so that a person
reads `cell [7], line 3`. Cells are keyed by `cell_id`, which stays the same when a cell is run again. So the
registry notices that a cell does not define a name any more. It keeps names and sources, never values.
"""

import ast
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from flyte_nb.api.specs import Location
from flyte_nb.bundle.source_names import stable_name

_PACKED = "<cell "
"""How a cell's file name begins in a bundle. A digest of its text follows: see `bundle.source_names`."""


_ANONYMOUS = "#"
"""The beginning of the key of a cell without an id."""


class Cell(NamedTuple):
    """One cell as it was when it was last run."""

    cell_id: str
    number: int
    """The number in its prompt."""
    filename: str
    source: str
    defines: "frozenset[str]"
    """Names bound at its top level."""

    @property
    def label(self) -> str:
        """Return what a person calls the cell, e.g. `cell [7]`."""
        return f"cell [{self.number}]"

    @property
    def can_be_redrawn(self) -> bool:
        """Return whether its outputs can be written again; not in a terminal, where cells have no ids."""
        return not self.cell_id.startswith(_ANONYMOUS)


class Removed(NamedTuple):
    """A name that a cell defined in an earlier run and does not define any more."""

    name: str
    cell: Cell
    """The cell as it is now."""


def names_bound(source: str) -> "frozenset[str]":
    """Return the names that Python source binds at its top level; none when it does not parse."""
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
        # Every file name of every run: a function that was defined in an earlier run keeps its file name.
        self._files: dict[str, tuple[str, int]] = {}
        self._removed: dict[str, str] = {}  # the key of the cell that defined it, by name
        self._current = ""
        self._anonymous = 0

    def begin(self, *, cell_id: "str | None", number: int, filename: str, source: str) -> None:
        """Note that a cell starts to run, and which names its earlier run defined and this one does not.

        Args:
            cell_id: The notebook's id of the cell; `None` in a terminal.
            number: The number of its prompt, as far as it is known yet (see `renumber`).
            filename: The name under which the kernel compiles it.
            source: Its text, as Python.
        """
        if not cell_id:
            # Without an id every run is a cell of its own, so no name is ever "removed".
            self._anonymous += 1
        key = cell_id or f"{_ANONYMOUS}{self._anonymous}"
        defines = names_bound(source)
        before = self._cells.pop(key, None)
        if before is not None:
            for name in before.defines - defines:
                self._removed[name] = key
        self._cells[key] = Cell(
            cell_id=key, number=number, filename=filename, source=source, defines=defines
        )
        self._files[filename] = (key, number)
        self._current = key
        self._settle(defines)

    def renumber(self, number: int) -> None:
        """Correct the number of the running cell's prompt."""
        cell = self._cells.get(self._current)
        if cell is not None and cell.number != number:
            self._cells[self._current] = cell._replace(number=number)
            self._files[cell.filename] = (cell.cell_id, number)

    def also_defines(self, names: "Iterable[str]") -> None:
        """Note that the running cell defines `names`, although its source does not bind them (`%%task`)."""
        cell = self._cells.get(self._current)
        if cell is not None:
            self._cells[self._current] = cell._replace(defines=cell.defines | frozenset(names))
            self._settle(names)

    def forget(self, cell_ids: "Iterable[str]") -> None:
        """Note that cells were deleted from the notebook: nothing defines their names any more."""
        for cell_id in cell_ids:
            cell = self._cells.get(cell_id)
            if cell is not None:
                for name in cell.defines:
                    self._removed[name] = cell_id
                self._cells[cell_id] = cell._replace(defines=frozenset())

    def _settle(self, names: "Iterable[str]") -> None:
        """Note that `names` are defined again."""
        for name in names:
            self._removed.pop(name, None)

    @property
    def current(self) -> "Cell | None":
        """Return the cell that runs, or ran last; `None` before the first one."""
        return self._cells.get(self._current)

    def owner(self, name: str) -> "Cell | None":
        """Return the cell that defines `name`, the one that ran last if several do; `None` if none does."""
        found = None
        for cell in self._cells.values():
            if name in cell.defines and (found is None or cell.number >= found.number):
                found = cell
        return found

    def removed(self, names: "Iterable[str]") -> "tuple[Removed, ...]":
        """Return those of `names` that a cell defined in an earlier run and no cell defines now."""
        return tuple(
            Removed(name, self._cells[self._removed[name]])
            for name in names
            if name in self._removed and self.owner(name) is None
        )

    def label(self, filename: str) -> str:
        """Return `cell [7]` for a file name of a cell, and an empty text for any other."""
        known = self._files.get(filename)
        return f"cell [{known[1]}]" if known else ""

    def place(self, location: "Location | None") -> str:
        """Return `cell [7], line 3`; file name and line outside of cells; an empty text for `None`."""
        if location is None:
            return ""
        label = self.label(location.filename)
        return f"{label or location.filename}, line {location.line}"

    def humanize(self, text: str) -> str:
        """Return the text with the file name of each cell replaced by the cell's label.

        Tracebacks of a worker name a cell by a digest of its text, because a bundle has to be equal for
        equal cells. Such names are replaced too.
        """
        # Computing the digests reads every cell's source, so it is done only when the text has such a name.
        packed = _PACKED in text
        for filename, (_, number) in self._files.items():
            names = (filename, stable_name(filename)) if packed else (filename,)
            for name in names:
                if name in text:
                    quoted = re.escape(name)
                    # A traceback's spelling, then `file:line` of our own texts, then the bare name.
                    text = re.sub(rf'File "{quoted}", line', f"cell [{number}], line", text)
                    text = re.sub(rf"{quoted}:(\d+)", rf"cell [{number}], line \1", text)
                    text = text.replace(name, f"cell [{number}]")
        return text


class Stale(NamedTuple):
    """An entity whose annotations refer to a class that was defined again later."""

    entity: str
    class_name: str


def stale_entities(
    functions: "Mapping[str, object]", namespace: "Mapping[str, object]"
) -> "tuple[Stale, ...]":
    """Return the entities whose annotations refer to an earlier definition of a class.

    Running the cell of a class again makes a new class. A task that was defined before keeps the old class
    in its annotations, and values of the new one do not fit it.

    Args:
        functions: The function of each entity, by the entity's variable; `None` for one without a function.
        namespace: The notebook's variables.
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
    """Return the classes of the notebook in annotations, also inside of `list[…]` and unions."""
    classes: set[type] = set()
    for annotation in annotations:
        if isinstance(annotation, type) and annotation.__module__ == "__main__":
            classes.add(annotation)
        classes |= _own_classes(getattr(annotation, "__args__", None) or ())
    return classes
