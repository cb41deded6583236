"""TARGETs on a command line: modules, files, packages, notebooks, spec files and folders of them."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flyte_nb.api.errors import UsageError
from flyte_nb.api.problems import Problem

HELP = "module, .py, .ipynb, package, spec file (YAML, JSON, .pb, .tgz) or folder of specs"


class Targets(NamedTuple):
    """Targets by what they are."""

    notebooks: "tuple[Path, ...]"
    modules: "tuple[str, ...]"
    specs: "tuple[str, ...]"


class Found(NamedTuple):
    """What modules and spec files define, and what is wrong with the files."""

    entities: "tuple[Any, ...]"
    problems: "tuple[Problem, ...]"


def sorted_out(targets: "Sequence[str]") -> Targets:
    """The targets by what they are. Raises `UsageError` for a file that is not there."""
    from flyte_nb.discovery.modules import module_of_file
    from flyte_nb.discovery.specs.files import is_spec_path

    notebooks, modules, specs = [], [], []
    for target in targets:
        path = Path(target)
        if target.endswith(".ipynb"):
            notebooks.append(path)
        elif target.endswith(".py"):
            modules.append(module_of_file(path))
        elif is_spec_path(target) or path.is_file():
            specs.append(target)
        elif path.is_dir():
            modules.append(module_of_file(path / "__init__.py").removesuffix(".__init__"))
        else:
            modules.append(target)
    return Targets(tuple(notebooks), tuple(modules), tuple(specs))


def load(targets: Targets, *, version: str = "") -> Found:
    """Import the modules and read the spec files.

    Raises:
        UsageError: a module does not import, a target names nothing, or none defines anything.
    """
    entities: list[Any] = []
    problems: tuple[Problem, ...] = ()
    if targets.modules:
        from flyte_nb.discovery.modules import ModuleRegistrar

        sys.path.insert(0, os.getcwd())
        entities += ModuleRegistrar(targets.modules).load(os.environ)
        if not entities:
            raise UsageError(f"{', '.join(targets.modules)} defines no task or workflow.")
    if targets.specs:
        from flyte_nb.discovery.specs.registrar import read_specs

        found = read_specs(targets.specs)
        entities += [spec.versioned(version) for spec in found.specs]
        problems = found.problems
    return Found(tuple(entities), problems)
