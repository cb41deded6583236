"""`flyte-nb register`."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import RegistrationFailed, UsageError
from flyte_nb.commands.targets import load, sorted_out
from flyte_nb.commands.terminal import DONE, FAILED, out, session_of, show

if TYPE_CHECKING:
    from flyte_nb.registering.views import RegisteredEntity, Registration


def register(options: argparse.Namespace) -> int:
    """Register what modules, notebooks or spec files define."""
    from flyte_nb.registering.staging_places import Baked

    if options.bake is not None and any(each.endswith(".ipynb") for each in options.targets):
        raise UsageError("--bake takes modules. In a notebook: session.baked = Baked(folder).")
    targets = sorted_out(options.targets)
    found = load(targets, version=options.version or "")
    if found.problems:
        raise RegistrationFailed(
            "Nothing was registered: these problems come first.", found.problems
        )
    worst = DONE
    for notebook in targets.notebooks:
        from flyte_nb.unattended.notebook_runs import register_notebook

        code = register_notebook(
            notebook, dry_run=options.dry_run, restage=options.restage, say=out
        )
        worst = max(worst, code)
    if targets.has_code:
        told: Callable[..., None] | None = None if options.output == "json" else _print_entity
        session = session_of(options)
        if options.bake is not None:
            session.baked = Baked(options.bake, options.baked_at)
        registration = session.register(
            *found.entities, on_progress=told, dry_run=options.dry_run, restage=options.restage
        )
        show(options, _registration_dict(registration), _registered(registration))
        if options.bake is not None and options.output == "text":
            out(f"The image needs: COPY {options.bake} {options.baked_at}")
        worst = max(worst, DONE if registration.ok else FAILED)
    return worst


def _print_entity(entity: "RegisteredEntity") -> None:
    why = entity.why_beside_problems
    out(f"{entity.state:<10}{entity.id.resource_type:<12}{entity.id.name}  ({why})")
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
