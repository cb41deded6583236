"""Give a fork the random numbers that a fresh process would have.

A fork inherits its zygote's random state. A fresh process would have new numbers, or those of the seed that
the user's code sets when it is loaded. `Seeds` records whether the code seeds, and sets the state in a fork.

`random` is not imported here, because every fork of a process with `random` seeds it again, which takes
time. It is watched from the moment when the user's code imports it. The file imports the standard library
only, because a zygote loads it by its path.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class Seeds:
    """Records whether the user's code seeds `random`, and repeats that in a fork.

    Call `watch` before the user's code is loaded, `look` after it, and `plant` in each fork.
    """

    def __init__(self) -> None:
        self._random: Any = None
        self._seed: Any = None
        self._seeded = False
        self._state: Any = None

    def watch(self) -> None:
        """Begin to record whether `random` is seeded."""
        if "random" in sys.modules:
            self._wrap_seed(sys.modules["random"])
        else:
            sys.meta_path.insert(0, self)

    def look(self) -> None:
        """Stop recording, and keep the state of `random` when the code has seeded it."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        if self._random is not None:
            self._random.seed = self._seed
            if self._seeded:
                self._state = self._random.getstate()

    def plant(self) -> None:
        """Set the random state in a fork, where Python has seeded `random` with new numbers already."""
        if self._seeded:
            self._random.setstate(self._state)
        numpy = sys.modules.get("numpy.random.mtrand")
        generator = getattr(getattr(numpy, "_rand", None), "_bit_generator", None)
        # After a seed by hand numpy's generator has no `seed_seq`: then its state is what the user wants.
        if numpy is not None and getattr(generator, "seed_seq", None) is not None:
            numpy.seed()

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Return the spec of `random` with a loader that also begins to watch it; `None` for other modules.

        `sys.meta_path` calls it for every import. It removes itself after `random` was found.
        """
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
                self._wrap_seed(module)

            loader.exec_module = executed
        return spec

    def _wrap_seed(self, random: Any) -> None:
        """Replace `random.seed` by a function that also records the call."""
        seed = random.seed

        def noted(*values: Any, **named: Any) -> None:
            self._seeded = any(value is not None for value in (*values, *named.values()))
            seed(*values, **named)

        random.seed = noted
        self._random, self._seed = random, seed
