"""The notebook (or script) of this process: its name, what it defines, and the folders of its modules."""

import linecache
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flyte_nb.api.errors import UsageError
from flyte_nb.api.folders import working_folder
from flyte_nb.api.identifiers import MAIN_MODULE, Scope
from flyte_nb.api.ports import Entity
from flyte_nb.discovery.modules import entry_point_registrars, import_roots
from flyte_nb.discovery.names import NotebookName, notebook_name, renamed
from flyte_nb.discovery.notebook import Missing, NotebookRegistrar
from flyte_nb.sdk.reachable import reachable
from flyte_nb.types.registry import Registry


class Here:
    """What a session asks about the notebook it is in. It is read anew each time. Thread-safe."""

    def __init__(
        self,
        given_name: "str | None",
        *,
        namespace: "Mapping[str, Any]",
        env: "Mapping[str, str]",
        cwd: "Callable[[], Path] | None" = None,
    ) -> None:
        """Look at one namespace.

        Args:
            given_name: The notebook's name, when a person chose it; empty means that there is no notebook.
            namespace: `vars(__main__)`.
            env: The process's environment.
            cwd: Gives the working directory; `None` means this process's.
        """
        self._given_name = given_name
        self._namespace = namespace
        self._env = env
        self._cwd = cwd or _working_folder
        self._registrar = NotebookRegistrar(namespace)
        self._lock = threading.Lock()
        self._name: NotebookName | None = None
        self._cells = 0
        self._settled = False

    @property
    def notebook(self) -> NotebookName:
        """The notebook's name. As long as it depends on the cells, it may change while more of them run."""
        with self._lock:
            # Finding the name out reads files and processes, so it is kept until more cells ran. IPython
            # counts cells in `In`; under nbval there is no `In`, but each cell's lines are cached.
            cells = len(self._namespace.get("In", ())) + len(linecache.cache)
            kept = self._name is not None and (
                self._settled or self._name.is_certain or cells == self._cells
            )
            if self._name is None or not kept:
                self._cells = cells
                # A name that was given needs no folder, and the working one may be gone.
                cwd = self._cwd() if self._given_name is None else Path()
                self._name = notebook_name(
                    self._env, self._namespace, cwd=cwd, given=self._given_name
                )
            return self._name

    def settle(self, entities: "Iterable[Any]" = ()) -> None:
        """Keep the name from now on, because these entities are registered under it.

        Raises:
            UsageError: the name is part of theirs, and several notebooks may be this one.
        """
        name = self.notebook
        named_by_it = any(getattr(entity, "module", "") == MAIN_MODULE for entity in entities)
        if name.doubt and named_by_it:
            raise UsageError(name.doubt)
        with self._lock:
            self._settled = name.source != "default"

    def load(self) -> "list[Entity]":
        """Return what is defined now, and what installed registrars find.

        Raises:
            UsageError: an installed registrar cannot be loaded, or what it reads cannot.
        """
        found: list[Entity] = list(self._registrar.load(self._env))
        for registrar in entry_point_registrars():
            found.extend(registrar.load(self._env))
        return found

    def missing(self, registry: Registry, scope: Scope) -> "list[Missing]":
        """Return definitions that the notebook no longer has: still used, or known from before.

        Raises:
            CompileFailed: workflows use each other in a circle, or two entities share a name.
        """
        everything = reachable(self._registrar.load(self._env), registry, scope)
        return self._registrar.missing(everything)

    def renamed(self) -> "str | None":
        """Return the notebook's new name if its file was renamed meanwhile, else `None`."""
        return renamed(self.notebook, self._namespace, cwd=self._cwd())

    def roots(self, entities: "Sequence[Entity]" = ()) -> "list[Path]":
        """Return the folders whose modules travel: the notebook's own, and those of the entities' modules."""
        named = self.notebook
        path = Path(named.path) if named.path else None
        here = self._cwd()
        beside = path.parent if path is not None and path.is_absolute() else here
        # papermill runs a notebook in another folder than its own, and imports find modules there.
        both = [here, beside] if named.source == "papermill" and beside != here else [beside]
        return [*both, *import_roots(entities)]


def _working_folder() -> Path:
    return Path(working_folder())
