"""`flyte-nb register`."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import UsageError
from flyte_nb.commands.terminal import DONE, FAILED, out, session_of, show

if TYPE_CHECKING:
    from flyte_nb.client.views import Registration


def register(options: argparse.Namespace) -> int:
    """Register what modules, files or notebooks define."""
    from flyte_nb.discovery.modules import ModuleRegistrar, module_of_file

    notebooks = [target for target in options.targets if target.endswith(".ipynb")]
    names = [
        module_of_file(Path(target)) if target.endswith(".py") else target
        for target in options.targets
        if target not in notebooks
    ]
    worst = DONE
    for notebook in notebooks:
        from flyte_nb.notebook_runs import register_notebook

        worst = max(worst, register_notebook(Path(notebook), dry_run=options.dry_run, say=out))
    if names:
        sys.path.insert(0, os.getcwd())
        entities = ModuleRegistrar(names).load(os.environ)
        if not entities:
            raise UsageError(f"{', '.join(names)} defines no task or workflow.")
        told: Callable[..., None] | None = None if options.output == "json" else _print_entity
        registration = session_of(options).register(
            *entities, on_progress=told, dry_run=options.dry_run
        )
        show(options, _registration_dict(registration), _registered(registration))
        worst = max(worst, DONE if registration.ok else FAILED)
    return worst


def _print_entity(entity: Any) -> None:
    out(f"{entity.state:<10}{entity.id.resource_type:<12}{entity.id.name}  ({entity.why})")
    for warning in entity.warnings:
        out(f"          warning: {warning}")


def _registered(registration: "Registration") -> str:
    changed = sum(entity.state in ("new", "changed") for entity in registration.entities)
    return (
        f"{changed} of {len(registration.entities)} registered anew,"
        f" {registration.uploaded_bytes} bytes uploaded, {registration.rpcs} calls,"
        f" {registration.elapsed_s:.2f} s"
    )


def _registration_dict(registration: "Registration") -> "dict[str, Any]":
    return {
        "entities": [
            {**entity.id._asdict(), "state": entity.state, "why": entity.why}
            for entity in registration.entities
        ],
        "uploaded_bytes": registration.uploaded_bytes,
        "rpcs": registration.rpcs,
        "elapsed_s": registration.elapsed_s,
    }
