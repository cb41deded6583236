"""What a TARGET on the command line is: a module, a file, a package, a notebook, or spec files."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flyte_nb.api.errors import CompileFailed, UsageError
from flyte_nb.api.folders import working_folder
from flyte_nb.api.ports import Entity
from flyte_nb.api.problems import Problem
from flyte_nb.commands.terminal import WRONG_TARGET
from flyte_nb.discovery.modules import (
    ModuleRegistrar,
    entry_point_registrars,
    module_of_file,
)
from flyte_nb.discovery.specs.files import is_spec_path, paths_of
from flyte_nb.discovery.specs.registrar import read_specs
from flyte_nb.discovery.specs.spec import Spec


class Targets(NamedTuple):
    """The targets, sorted by what they are."""

    notebooks: "tuple[Path, ...]"
    modules: "tuple[str, ...]"
    specs: "tuple[str, ...]"
    problems: "tuple[Problem, ...]" = ()
    """What is wrong with targets that are none of these. The others are read all the same."""

    @property
    def has_code(self) -> bool:
        """Return whether registrars are to be asked here: unless there are only notebooks.

        A notebook's kernel asks the registrars of installed packages itself.
        """
        return bool(self.modules or self.specs) or not (self.notebooks or self.problems)


class Found(NamedTuple):
    """What modules and spec files define, and what is wrong with the targets and the files."""

    entities: "tuple[Entity, ...]"
    problems: "tuple[Problem, ...]"


def sorted_out(targets: "Sequence[str]") -> Targets:
    """Sort the targets by what they are. A target that names nothing becomes a problem."""
    found: dict[str, list[str]] = {_NOTEBOOK: [], _MODULE: [], _SPEC: []}
    problems: list[Problem] = []
    for target in dict.fromkeys(targets):
        try:
            kind, name = _recognized(target)
        except UsageError as error:
            problems.append(wrong_target(error))
        else:
            found[kind].append(name)
    return Targets(
        notebooks=tuple(map(Path, found[_NOTEBOOK])),
        modules=tuple(found[_MODULE]),
        specs=tuple(found[_SPEC]),
        problems=tuple(problems),
    )


_NOTEBOOK, _MODULE, _SPEC = "notebook", "module", "spec"


def _recognized(target: str) -> "tuple[str, str]":
    """Return what kind of target it is, and its path or its module's name.

    Raises:
        UsageError: a path that has to be there is not.
    """
    path = Path(target)
    if target.endswith(".ipynb"):
        if not path.is_file():
            raise UsageError(f"There is no notebook {path}.")
        return _NOTEBOOK, target
    if target.endswith(".py"):
        return _MODULE, module_of_file(path)
    if is_spec_path(target) or path.is_file():
        paths_of(target)  # raises when nothing is there
        return _SPEC, target
    if path.is_dir():
        return _MODULE, module_of_file(path / "__init__.py").removesuffix(".__init__")
    return _MODULE, target


def load(targets: Targets, *, version: str = "") -> Found:
    """Import the modules, read the spec files, and ask the registrars of installed packages.

    A module that does not import and a registrar that fails become problems as well.

    Raises:
        UsageError: there is no target, and no registrar finds an entity.
    """
    # By identity: a module and a registrar may both find one entity, and entities need not be hashable.
    entities: dict[int, Any] = {}
    problems = [*targets.problems]
    if targets.modules:
        # As `python -m` does; the installed command has its own folder there.
        sys.path.insert(0, working_folder())
        for name in targets.modules:
            try:
                found = ModuleRegistrar([name]).load(os.environ)
                if not found:
                    raise UsageError(f"{name} defines no task or workflow.")
            except UsageError as error:
                problems.append(wrong_target(error))
            else:
                entities.update((id(entity), entity) for entity in found)
    if targets.specs:
        read = read_specs(targets.specs)
        entities.update((id(spec), spec.versioned(version)) for spec in read.specs)
        problems += read.problems
    found, failed = _ask_registrars(version) if targets.has_code else ([], [])
    entities.update((id(entity), entity) for entity in found)
    problems += failed
    if not (entities or problems or targets.notebooks):
        raise UsageError("Name a TARGET: no registrar of an installed package finds any entity.")
    return Found(tuple(entities.values()), tuple(problems))


def _ask_registrars(version: str) -> "tuple[list[Any], list[Problem]]":
    """Return what the registrars of installed packages find, and what is wrong with them."""
    entities: list[Any] = []
    try:
        for registrar in entry_point_registrars():
            entities += registrar.load(os.environ)
    except CompileFailed as error:
        return [], list(error.problems)
    except UsageError as error:
        return [], [wrong_target(error)]
    return [each.versioned(version) if isinstance(each, Spec) else each for each in entities], []


def wrong_target(error: UsageError) -> Problem:
    """Return the problem that a target cannot be read, with the error's message."""
    return Problem(WRONG_TARGET, str(error))
