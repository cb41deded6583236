"""Give every fork the random numbers that a fresh process would have.

A fresh process has new random numbers, unless a module of the user seeds the generator while it is
loaded. In a zygote that happens once, before the forks. So we watch whether `random` is seeded, and
each fork begins with that state, or with a new one. Otherwise all forks would draw the same numbers.

This file does not import `random`: a process that has it pays for it in every fork. It notices when the
user's code imports it. Standard library only, because a zygote loads this file by its path.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class Seeds:
    """Watches whether the user's code seeds `random`, and prepares the generators of a fork."""

    def __init__(self) -> None:
        self._random: Any = None
        self._seed: Any = None
        self._seeded = False
        self._state: Any = None

    def start_watching(self) -> None:
        """Notice from now on whether `random` is seeded, also if it is imported later."""
        if "random" in sys.modules:
            self._observe(sys.modules["random"])
        else:
            # Before the others: the first finder that knows a module ends the search.
            sys.meta_path.insert(0, self)

    def stop_watching(self) -> None:
        """Take the generator's state if it was seeded, after the user's code was loaded."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        if self._random is not None:
            # The task must see the real function, and after loading nobody needs to know.
            self._random.seed = self._seed
            if self._seeded:
                self._state = self._random.getstate()

    def apply(self) -> None:
        """Give this fork its random numbers. Python itself has seeded `random` anew after the fork."""
        if self._seeded:
            # `random` seeds itself in every fork. A fresh process would keep the state that the user's code
            # set.
            self._random.setstate(self._state)
        numpy = sys.modules.get("numpy.random.mtrand")
        generator = getattr(getattr(numpy, "_rand", None), "_bit_generator", None)
        # numpy does not notice a fork. It has a `seed_seq` only until it is seeded by hand, so without
        # one the user's code has seeded it, and its state is the one that a fresh process would have.
        if numpy is not None and getattr(generator, "seed_seq", None) is not None:
            numpy.seed()

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Find `random` as the other finders do, and observe it once it is loaded (a finder's method)."""
        if name != "random":
            return None
        sys.meta_path.remove(self)
        # This finder has just left the path. Otherwise the search would come back here without end.
        spec = importlib.util.find_spec(name)
        loader: Any = None if spec is None else spec.loader
        # The loader of built-in and frozen modules is a class, which all of them share. It must not be
        # changed.
        if loader is not None and not isinstance(loader, type):
            execute = loader.exec_module

            def executed(module: ModuleType) -> None:
                # The attribute hid the loader's own method.
                del loader.exec_module
                execute(module)
                self._observe(module)

            loader.exec_module = executed
        return spec

    def _observe(self, random: Any) -> None:
        """Replace `random.seed` by one that notes the call, until `stop_watching`."""
        seed = random.seed

        def noted(*values: Any, **named: Any) -> None:
            # `seed()` and `seed(None)` ask for new random numbers, as a fresh process has them.
            self._seeded = any(value is not None for value in (*values, *named.values()))
            seed(*values, **named)

        random.seed = noted
        self._random, self._seed = random, seed
