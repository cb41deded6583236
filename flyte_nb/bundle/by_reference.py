"""Decide what travels by reference and what by value, and note the local modules that travel along.

A function or class travels by reference, as a module's name and its own, when the worker can import it:
from an installed package, or from a local module that travels as a file. Everything else is pickled by
value: what the notebook defines, and what a name does not lead to any more.
"""

import functools
import sys
from typing import Any

from flyte_nb.api.identifiers import MAIN_MODULE
from flyte_nb.api.ring import RING_PACKAGES
from flyte_nb.bundle.canonical import Measured
from flyte_nb.bundle.local_modules import LocalModules, Units
from flyte_nb.bundle.shaded import cloudpickle
from flyte_nb.sdk.callee import Callee

CACHED = type(functools.lru_cache(lambda: None))
"""The type of what `functools.lru_cache` and `cache` make. Pickle can write it by name only."""


class PackingCache:
    """What the tasks of one packing share, so that each module, object and value is examined once."""

    def __init__(self) -> None:
        self.importable: dict[str, bool] = {}
        """Whether the worker can import a module, by its full name."""
        self.installed: dict[int, object] = {}
        """Functions and classes of installed modules that are found by name, by their ids."""
        self.plain: set[str] = set()
        """Top-level modules of the standard library that no local module shadows."""
        self.file_names: dict[str, str] = {}
        """Stable names of files and cells, by their names in this process."""
        self.measured: dict[int, tuple[object, Measured]] = {}
        """Plain data that refers to no function or module, and its digest, by its id."""


class References:
    """Decides for one task, and notes every local module that it refers to.

    Args:
        units: the local modules.
        known: what the tasks of one packing share.
    """

    def __init__(self, units: Units, known: PackingCache) -> None:
        self.local = LocalModules(units)
        self._importable = known.importable
        self.installed = known.installed
        self._plain = known.plain
        self.file_names = known.file_names
        self.measured = known.measured
        # cloudpickle's own rule knows modules that were made by hand, and names that lead to other objects.
        self._by_name = cloudpickle()._should_pickle_by_reference
        self.modules: set[str] = set()
        """Full names of the modules that the worker imports and that do not travel: they have to be
        installed there."""
        self._user_by_value = _registered_by_the_user()

    def is_plain(self, top: str) -> bool:
        """Return whether the top-level module is known to be Python's own, so that nothing travels for it."""
        return top in self._plain

    def by_reference(self, value: object) -> bool:
        """Return whether the worker finds the function or class by its name.

        Raises:
            BundleError: when a local module cannot be read.
        """
        if id(value) in self.installed:
            self.modules.add(str(value.__module__))
            return True
        if not self._by_name(value):
            return False
        module = str(value.__module__)
        found = self.importable(module)
        if found and not self.local.note(module.partition(".")[0]):
            self.installed[id(value)] = value  # holds the object, so that its id is not reused
        return found

    def importable(self, module: str) -> bool:
        """Return whether the worker can import `module`. A local module is noted to travel.

        Raises:
            BundleError: when a local module cannot be read.
        """
        top = module.partition(".")[0]
        if top in self._plain:
            return True
        # Noted on every call, also when the answer is known: the note belongs to this task, the answer to
        # all tasks of the packing.
        is_local = top not in RING_PACKAGES and self.local.note(top)
        known = self._importable.get(module)
        if known is None:
            by_value = module in self._user_by_value or top in self._user_by_value
            known = not by_value and module != MAIN_MODULE and (is_local or _find(top))
            self._importable[module] = known
            if known and not is_local and top in sys.stdlib_module_names:
                self._plain.add(top)
        if known and not is_local:
            self.modules.add(module)
        return known

    def entity_path(self, entity: Callee) -> "tuple[str, str] | None":
        """Return module and attribute path of a task or workflow, or `None` when it cannot be imported."""
        return self._path(entity, entity.module, entity.short_name)

    def cached_path(self, function: Any) -> "tuple[str, str] | None":
        """Return module and attribute path of a cached function, or `None` when it cannot be imported."""
        return self._path(function, str(function.__module__), function.__qualname__)

    def generic_path(self, value: Any) -> "tuple[str, str] | None":
        """Return module and attribute path of a type variable, new type or alias, or `None`."""
        return self._path(value, str(value.__module__), str(value.__name__))

    def _path(self, value: object, module: str, path: str) -> "tuple[str, str] | None":
        if not self.importable(module):
            return None
        found: object = sys.modules.get(module)
        for part in path.split("."):
            found = getattr(found, part, None)
        # The name may lead to another object by now, e.g. after a reload. Then the value itself travels.
        return (module, path) if found is value else None


def _find(top: str) -> bool:
    if top in RING_PACKAGES or top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return True
    return any(
        finder.find_spec(top, None) is not None
        for finder in sys.meta_path
        if hasattr(finder, "find_spec")
    )


def _registered_by_the_user() -> "frozenset[str]":
    """Return the modules for which the user called `cloudpickle.register_pickle_by_value`."""
    theirs = sys.modules.get("cloudpickle.cloudpickle")
    return frozenset(getattr(theirs, "_PICKLE_BY_VALUE_MODULES", ()))
