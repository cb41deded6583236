"""Decide which modules are the author's own, so that they travel as files, and which of them a task needs.

The author's own modules are those below the notebook's folder, and those that Python finds elsewhere and
that no installed package brought: editable installs and folders on `PYTHONPATH`. A large or compiled
module from elsewhere counts as a part of the platform and does not travel.

The import statements of the files say which modules need each other. So a changed module changes the tasks
that import it, directly or through others, and no other task.
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
"""A larger package outside of the notebook's folder counts as a part of the platform, like Spark's."""


class Units:
    """The author's own modules. An object reads each of them once.

    Args:
        roots: folders whose modules are the author's own, usually the notebook's folder.
    """

    def __init__(self, roots: "Sequence[str | Path]") -> None:
        self._roots = [Path(os.path.abspath(root)) for root in roots]
        self._real_roots = [root.resolve() for root in self._roots]
        self._units: dict[str, Unit | None] = {}
        self._below: dict[Path, bool] = {}
        self.left_behind: dict[str, tuple[Unit, str]] = {}
        """Modules from elsewhere that do not travel because they are large or compiled, with the reason."""

    def find(self, top: str) -> "Unit | None":
        """Return the unit of the top-level module `top`, or `None` when it is not the author's own.

        Raises:
            BundleError: when one of its files cannot be read.
        """
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
        """Return whether the unit is below one of the roots, and not an editable install or on a path."""
        return self._is_below(Path(unit.place))

    def _place(self, top: str) -> "Path | None":
        if not self._roots or top in RING_PACKAGES or top == "__main__":
            return None
        # A loaded module decides: the notebook has used that one, whatever an import would find now.
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
        # It is loaded from elsewhere. It is the author's own when an import finds it there by its name,
        # as after an editable install. A module that was loaded by its path cannot be found again.
        return place if _home_of_spec(_spec(top)) == place else None

    def _is_below(self, place: Path) -> bool:
        known = self._below.get(place)
        if known is None:
            known = self._below[place] = self._lies_below(place)
        return known

    def _lies_below(self, place: Path) -> bool:
        # Compare the path as it is spelled, and then where its links lead: an author may put a link to a
        # module into the folder, or open the folder through a link.
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
        """Note the top-level module `top`, and what it imports, when it is the author's own.

        Returns:
            whether it is the author's own.

        Raises:
            BundleError: when one of its files cannot be read.
        """
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
        """Return the unit `top` and every unit that it imports, at any depth, sorted by name.

        Raises:
            BundleError: when a file of one of them cannot be read.
        """
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
        """Return all units noted so far, sorted by name."""
        return tuple(self._noted[name] for name in sorted(self._noted))


def _too_much(unit: Unit) -> str:
    """Return why a module from elsewhere counts as a part of the platform, or `""` when it does not."""
    if unit.binaries:
        return f"has compiled parts ({unit.binaries[0]})"
    if unit.size_bytes > _ELSEWHERE_BYTES:
        return f"has {unit.size_bytes / 1e6:.0f} MB"
    return ""


def _home(module: object) -> "Path | None":
    """Return the file of a loaded module, or the folder of a loaded package."""
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
    # A module inside of a zip has a path that is no file, and cannot be read as one.
    if not path or not path.endswith(".py") or not os.path.isfile(path):
        return None
    return Path(os.path.abspath(path))


def _folder(paths: object) -> "Path | None":
    first = next(iter(paths), None)  # type: ignore[call-overload]
    return Path(os.path.abspath(first)) if first and os.path.isdir(first) else None


def _spec(top: str) -> "importlib.machinery.ModuleSpec | None":
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):  # `sys.modules` has an object without a spec
        return None


def _is_module(place: Path) -> bool:
    if place.suffix == ".py":
        return place.is_file()
    return place.is_dir() and next(place.rglob("*.py"), None) is not None


def _is_of_python(place: Path) -> bool:
    """Return whether the place belongs to the standard library."""
    return any(place.is_relative_to(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))
