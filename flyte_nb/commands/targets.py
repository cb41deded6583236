"""TARGETs on a command line: modules, files, packages, notebooks, spec files and folders of them."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flyte_nb.api.errors import CompileFailed, UsageError
from flyte_nb.api.folders import working_folder
from flyte_nb.api.ports import Entity
from flyte_nb.api.problems import Problem
from flyte_nb.commands.terminal import DONE, FAILED, WRONG

HELP = "module, .py, .ipynb, package, spec file (YAML, JSON, .pb, .tgz) or folder of specs"


WRONG_TARGET = "WrongTarget"
"""The code of the problem that a target is nothing that can be read."""


class Targets(NamedTuple):
    """Targets by what they are."""

    notebooks: "tuple[Path, ...]"
    modules: "tuple[str, ...]"
    specs: "tuple[str, ...]"
    problems: "tuple[Problem, ...]" = ()
    """What is wrong with targets that are none of these; the others are looked at all the same."""

    @property
    def has_code(self) -> bool:
        """Whether there is anything but notebooks, whose kernels ask the registrars themselves."""
        return bool(self.modules or self.specs) or not (self.notebooks or self.problems)


class Found(NamedTuple):
    """What modules and spec files define, and what is wrong with the targets and the files."""

    entities: "tuple[Entity, ...]"
    problems: "tuple[Problem, ...]"


def sorted_out(targets: "Sequence[str]") -> Targets:
    """The targets by what they are; what names nothing is a problem."""
    from flyte_nb.discovery.modules import module_of_file
    from flyte_nb.discovery.specs.files import is_spec_path, paths_of

    notebooks, modules, specs = [], [], []
    problems: list[Problem] = []
    for target in dict.fromkeys(targets):
        path = Path(target)
        try:
            if target.endswith(".ipynb"):
                if not path.is_file():
                    raise UsageError(f"There is no notebook {path}.")
                notebooks.append(path)
            elif target.endswith(".py"):
                modules.append(module_of_file(path))
            elif is_spec_path(target) or path.is_file():
                paths_of(target)
                specs.append(target)
            elif path.is_dir():
                modules.append(module_of_file(path / "__init__.py").removesuffix(".__init__"))
            else:
                modules.append(target)
        except UsageError as error:
            problems.append(wrong_target(error))
    return Targets(tuple(notebooks), tuple(modules), tuple(specs), tuple(problems))


def load(targets: Targets, *, version: str = "") -> Found:
    """Import the modules, read the spec files, and ask the registrars of installed packages.

    What does not import, and a registrar that fails, is a problem as well.

    Raises:
        UsageError: there is no target, and nothing else either.
    """
    entities: dict[int, Any] = {}
    problems = [*targets.problems]
    if targets.modules:
        from flyte_nb.discovery.modules import ModuleRegistrar

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
        from flyte_nb.discovery.specs.registrar import read_specs

        read = read_specs(targets.specs)
        entities.update((id(spec), spec.versioned(version)) for spec in read.specs)
        problems += read.problems
    found, failed = _of_registrars(version) if targets.has_code else ([], [])
    entities.update((id(entity), entity) for entity in found)
    problems += failed
    if not (entities or problems or targets.notebooks):
        raise UsageError("Name a TARGET: no registrar of an installed package finds any entity.")
    return Found(tuple(entities.values()), tuple(problems))


def _of_registrars(version: str) -> "tuple[list[Any], list[Problem]]":
    """Return what the registrars of installed packages find, and what is wrong with them."""
    from flyte_nb.discovery.modules import entry_point_registrars
    from flyte_nb.discovery.specs.spec import Spec

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
    """The problem that `error` tells of a target."""
    return Problem(WRONG_TARGET, str(error))


def exit_code(problems: "Iterable[Problem]") -> int:
    """2 when a target is wrong, 1 when what the targets define is, else 0."""
    codes = {problem.code for problem in problems}
    return WRONG if WRONG_TARGET in codes else FAILED if codes else DONE
