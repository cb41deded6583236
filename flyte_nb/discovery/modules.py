"""Find entities outside of notebooks: in importable modules, in files, and through entry points."""

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType

from flyte_nb.api.errors import UsageError
from flyte_nb.api.ports import Entity, Registrar
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.task import Task
from flyte_nb.sdk.workflow import Workflow

GROUP = "flyte_nb.registrars"
"""Entry points of this group are called without arguments and return a `Registrar`."""

_INSTALLED = frozenset({"site-packages", "dist-packages"})


class ModuleRegistrar:
    """Entities that importable modules define; of a package, those of its modules too."""

    def __init__(self, modules: "Sequence[str]") -> None:
        """Name the modules.

        Args:
            modules: Dotted names, e.g. `pipelines.daily`.
        """
        self._modules = tuple(modules)

    def load(self, env: "Mapping[str, str]") -> "list[Entity]":
        """Import the modules, and return every entity that is defined in them, each once.

        Raises:
            UsageError: a module cannot be found or does not import; the message has the reason.
        """
        found: dict[int, Entity] = {}
        for name in self._modules:
            for module in _with_submodules(_import(name)):
                for entity in entities_of(module):
                    found.setdefault(id(entity), entity)
        return list(found.values())


def entities_of(module: ModuleType) -> "Iterable[Definition]":
    """Yield the tasks, workflows and launch plans that `module` defines, in order."""
    for value in list(vars(module).values()):
        if isinstance(value, (Task, Workflow, LaunchPlan)) and value.module == module.__name__:
            yield value


def import_roots(entities: "Iterable[Entity]") -> "list[Path]":
    """Return the folders from which the entities' own modules were imported, without installed packages.

    Modules in these folders travel with the code, as modules beside a notebook do.
    """
    roots: dict[Path, None] = {}
    for name in {entity.module.partition(".")[0] for entity in entities}:
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if file is None or name == "__main__":
            continue
        place = Path(file).resolve()
        root = place.parent.parent if place.name == "__init__.py" else place.parent
        if _INSTALLED.isdisjoint(root.parts):
            roots[root] = None
    return sorted(roots)


def module_of_file(path: Path) -> str:
    """Return the dotted name by which a `.py` file is imported, and put its root on `sys.path`.

    Raises:
        UsageError: there is no such file, or its name cannot be imported.
    """
    file = path.resolve()
    if not file.is_file():
        raise UsageError(f"There is no file {path}.")
    parts = [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    if not all(part.isidentifier() for part in parts):
        raise UsageError(f"{path} cannot be imported: {'.'.join(parts)} is not a module's name.")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return ".".join(parts)


def entry_point_registrars() -> "list[Registrar]":
    """Return the registrars that installed packages bring.

    Raises:
        UsageError: one cannot be loaded or is not a registrar.
    """
    registrars: list[Registrar] = []
    # Read anew each time: a package may be installed while the kernel runs.
    for point in metadata.entry_points(group=GROUP):
        try:
            registrar = point.load()()
        except Exception as error:
            raise UsageError(
                f"The registrar {point.name} ({point.value}) cannot be loaded:"
                f" {type(error).__name__}: {error}. Update or uninstall the package that brings it."
            ) from error
        if not callable(getattr(registrar, "load", None)):
            raise UsageError(
                f"The registrar {point.value} returned {registrar!r}, which has no load()."
                " Update or uninstall the package that brings it."
            )
        registrars.append(registrar)
    return registrars


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise UsageError(
                f"There is no module {name}. Give a dotted name, a .py file, a notebook, or spec files"
                " (YAML, JSON, .pb, .tgz, or a folder of them)."
            ) from error
        raise UsageError(f"{name} does not import: {error}.") from error
    except Exception as error:
        where = _last_line(error)
        raise UsageError(
            f"{name} does not import: {type(error).__name__}: {error}{where}"
        ) from error


def _with_submodules(module: ModuleType) -> "Iterable[ModuleType]":
    yield module
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if found.name != "__main__":
            yield from _with_submodules(_import(f"{module.__name__}.{found.name}"))


def _last_line(error: Exception) -> str:
    trace = error.__traceback__
    place = ""
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        # The mistake is in the module that was imported, not in what imports it.
        ours = filename == __file__ or "importlib" in filename
        if not filename.startswith("<frozen") and not ours:
            place = f" ({filename}:{trace.tb_lineno})"
        trace = trace.tb_next
    return place
