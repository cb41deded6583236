"""Which modules are the author's own, and so travel as files, and which of them a task needs.

The author's own are those below the notebook's folder, and those that Python finds elsewhere without
an installed package having brought them: editable installs, folders on `PYTHONPATH`. Which belong
together is read from the import statements of their files, so that a change in one reaches those that
import it and no other.
"""

import importlib.machinery
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from flyte_nb.api.ring import RING_PACKAGES
from flyte_nb.bundle.units import Unit, read_unit

_INSTALLED = frozenset({"site-packages", "dist-packages"})

_ELSEWHERE_BYTES = 16 << 20
"""A larger package that lies elsewhere is taken for a part of the platform, as Spark's is."""


class Units:
    """The author's own modules, each read once in its life.

    Args:
        roots: folders whose modules are the author's own, usually the notebook's.
    """

    def __init__(self, roots: "Sequence[str | Path]") -> None:
        self._roots = [Path(os.path.abspath(root)) for root in roots]
        self._real_roots = [root.resolve() for root in self._roots]
        self._units: dict[str, Unit | None] = {}
        self._below: dict[Path, bool] = {}
        self.left_behind: dict[str, tuple[Unit, str]] = {}
        """Modules that lie elsewhere and would be the author's own, with what keeps them from it."""

    def find(self, top: str) -> "Unit | None":
        """The unit of the top-level module `top`, or `None` when it is not the author's own."""
        if top not in self._units:
            place = self._place(top)
            unit = None if place is None else read_unit(top, place)
            if unit is not None and not self.is_below_a_root(unit):
                reason = _too_much(unit)
                if reason:
                    self.left_behind[top] = (unit, reason)
                    unit = None
            self._units[top] = unit
        return self._units[top]

    def is_below_a_root(self, unit: Unit) -> bool:
        """Whether it lies in one of the folders; else it comes from an editable install or a path."""
        return self._is_below(Path(unit.place))

    def _place(self, top: str) -> "Path | None":
        if not self._roots or top in RING_PACKAGES or top == "__main__":
            return None
        loaded = sys.modules.get(top)
        if loaded is not None:
            return self._own(_home(loaded), top)
        if top in sys.stdlib_module_names:
            return None
        for root in self._roots:
            for candidate in (root / top, root / f"{top}.py"):
                if _is_module(candidate) and self._is_below(candidate):
                    return candidate
        return self._own(_home_of_spec(_spec(top)), top)

    def _own(self, place: "Path | None", top: str) -> "Path | None":
        if place is None:
            return None
        if self._is_below(place):
            return place
        if _is_of_python(place) or not _INSTALLED.isdisjoint(place.parts):
            return None
        # Loaded from elsewhere: the author's if the name leads there, as after an editable install.
        return place if _home_of_spec(_spec(top)) == place else None

    def _is_below(self, place: Path) -> bool:
        known = self._below.get(place)
        if known is None:
            known = self._below[place] = self._lies_below(place)
        return known

    def _lies_below(self, place: Path) -> bool:
        # As it is called, and where links lead to: both are the author's way of putting it there.
        for spelled, roots in ((place, self._roots), (place.resolve(), self._real_roots)):
            for root in roots:
                if spelled.is_relative_to(root):
                    return _INSTALLED.isdisjoint(spelled.relative_to(root).parts)
        return False


class LocalModules:
    """The author's own modules that one task refers to."""

    def __init__(self, units: Units) -> None:
        self._units = units
        self._noted: dict[str, Unit] = {}

    def note(self, top: str) -> bool:
        """Ship the top-level module `top`, and what it imports, if it is the author's own."""
        if top in self._noted:
            return True
        unit = self._units.find(top)
        if unit is None:
            return False
        self._noted[top] = unit
        for name in unit.imports:
            self.note(name)
        return True

    def reached(self, top: str) -> "tuple[Unit, ...]":
        """The unit `top` and every one of the author's own that it imports, sorted by name."""
        seen: dict[str, Unit] = {}
        waiting = [top]
        while waiting:
            name = waiting.pop()
            unit = self._units.find(name)
            if unit is not None and name not in seen:
                seen[name] = unit
                waiting.extend(unit.imports)
        return tuple(seen[name] for name in sorted(seen))

    def noted(self) -> "tuple[Unit, ...]":
        """Everything noted, sorted by name."""
        return tuple(self._noted[name] for name in sorted(self._noted))


def _too_much(unit: Unit) -> str:
    """Why a module from elsewhere is rather a platform's than the author's; empty when it is not."""
    if unit.binaries:
        return f"has compiled parts ({unit.binaries[0]})"
    if unit.size_bytes > _ELSEWHERE_BYTES:
        return f"has {unit.size_bytes / 1e6:.0f} MB"
    return ""


def _home(module: object) -> "Path | None":
    """The file of a loaded module, or the folder of a package."""
    paths = getattr(module, "__path__", None)
    if paths is not None:
        return _folder(paths)
    file = getattr(module, "__file__", None)
    return _python_file(file)


def _home_of_spec(spec: "importlib.machinery.ModuleSpec | None") -> "Path | None":
    if spec is None:
        return None
    if spec.submodule_search_locations is not None:
        return _folder(spec.submodule_search_locations)
    return _python_file(spec.origin)


def _python_file(path: "str | None") -> "Path | None":
    # What lies in a zip is no file, and travels by nobody's hand.
    if not path or not path.endswith(".py") or not os.path.isfile(path):
        return None
    return Path(os.path.abspath(path))


def _folder(paths: object) -> "Path | None":
    first = next(iter(paths), None)  # type: ignore[call-overload]
    return Path(os.path.abspath(first)) if first and os.path.isdir(first) else None


def _spec(top: str) -> "importlib.machinery.ModuleSpec | None":
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):  # made by hand, or half loaded
        return None


def _is_module(place: Path) -> bool:
    if place.suffix == ".py":
        return place.is_file()
    return place.is_dir() and next(place.rglob("*.py"), None) is not None


def _is_of_python(place: Path) -> bool:
    """Whether the place is the standard library's."""
    return any(place.is_relative_to(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))
