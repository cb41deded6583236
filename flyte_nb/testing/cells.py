"""A notebook's cells without a kernel: compiled as ipykernel does, in a namespace `__main__`."""

import linecache
import os
from typing import Any


class Cells:
    """A notebook: it runs cells one after the other in one namespace."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
        self._count = 0

    def run(self, source: str) -> None:
        """Run a cell.

        As in a kernel, the code's file name has the process id in it, and its lines are in `linecache`, where
        `inspect.getsource` and tracebacks look for them.
        """
        self._count += 1
        filename = f"/tmp/ipykernel_{os.getpid()}/{abs(hash(source))}.py"
        lines = source.splitlines(keepends=True)
        linecache.cache[filename] = (len(source), None, lines, filename)
        exec(compile(source, filename, "exec"), self.namespace)

    def __getitem__(self, name: str) -> Any:
        """Return the notebook's variable."""
        return self.namespace[name]
