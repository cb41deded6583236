"""Random numbers of a fork are those of a fresh process: new ones, or as the user's code seeded.

`random` is not imported here, for a process in which it is pays for it in every fork: it is met when
the user's code imports it. Standard library only: a zygote loads this file by its path.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class Seeds:
    """Notes whether the user's code seeds `random`, and brings that about in a fork."""

    def __init__(self) -> None:
        self._random: Any = None
        self._seed: Any = None
        self._seeded = False
        self._state: Any = None

    def watch(self) -> None:
        """From now on note whether somebody seeds."""
        if "random" in sys.modules:
            self._meet(sys.modules["random"])
        else:
            sys.meta_path.insert(0, self)

    def look(self) -> None:
        """The user's code is loaded."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        if self._random is not None:
            self._random.seed = self._seed
            if self._seeded:
                self._state = self._random.getstate()

    def plant(self) -> None:
        """In a fork; Python has seeded `random` anew there."""
        if self._seeded:
            self._random.setstate(self._state)
        numpy = sys.modules.get("numpy.random.mtrand")
        generator = getattr(getattr(numpy, "_rand", None), "_bit_generator", None)
        # numpy forgets what it began with when it is seeded by hand.
        if numpy is not None and getattr(generator, "seed_seq", None) is not None:
            numpy.seed()

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """As of a finder on `sys.meta_path`: the module as it is found anyway, and met when loaded."""
        if name != "random":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        loader: Any = None if spec is None else spec.loader
        if loader is not None and not isinstance(loader, type):
            execute = loader.exec_module

            def executed(module: ModuleType) -> None:
                del loader.exec_module
                execute(module)
                self._meet(module)

            loader.exec_module = executed
        return spec

    def _meet(self, random: Any) -> None:
        seed = random.seed

        def noted(*values: Any, **named: Any) -> None:
            self._seeded = any(value is not None for value in (*values, *named.values()))
            seed(*values, **named)

        random.seed = noted
        self._random, self._seed = random, seed
