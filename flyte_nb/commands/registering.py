"""`flyte-nb register`."""

import argparse
from collections.abc import Callable

from flyte_nb.api.errors import RegistrationFailed, UsageError
from flyte_nb.commands.connections import session_of
from flyte_nb.commands.targets import load, sorted_out
from flyte_nb.commands.terminal import DONE, FAILED, out, show
from flyte_nb.registering.staging_places import Baked
from flyte_nb.registering.views import RegisteredEntity, Registration
from flyte_nb.unattended.notebook_runs import register_notebook


def register(options: argparse.Namespace) -> int:
    """Register what modules, notebooks or spec files define; return the exit code.

    Notebooks are executed, one after the other, and register what they define themselves.

    Raises:
        UsageError: `--bake` is used with a notebook, or there is nothing to register.
        RegistrationFailed: a target cannot be read; nothing was registered.
    """
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
        code = register_notebook(
            notebook, dry_run=options.dry_run, restage=options.restage, say=out
        )
        worst = max(worst, code)
    if targets.has_code:
        print_one: Callable[[RegisteredEntity], None] | None = (
            None if options.output == "json" else _print_entity
        )
        session = session_of(options)
        if options.bake is not None:
            session.baked = Baked(options.bake, options.baked_at)
        registration = session.register(
            *found.entities, on_progress=print_one, dry_run=options.dry_run, restage=options.restage
        )
        show(options, _registration_dict(registration), _registered(registration))
        if options.bake is not None and options.output == "text":
            out(f"The image needs: COPY {options.bake} {options.baked_at}")
        worst = max(worst, DONE if registration.ok else FAILED)
    return worst


def _print_entity(entity: RegisteredEntity) -> None:
    why = entity.why_beside_problems
    out(f"{entity.state:<10}{entity.id.resource_type:<12}{entity.id.name}  ({why})")
    for warning in entity.warnings:
        out(f"          warning: {warning}")


def _registered(registration: Registration) -> str:
    changed = sum(entity.state in ("new", "changed") for entity in registration.entities)
    return (
        f"{changed} of {len(registration.entities)} registered,"
        f" {registration.uploaded_bytes} bytes uploaded, {registration.rpcs} calls,"
        f" {registration.elapsed_s:.2f} s"
    )


def _registration_dict(registration: Registration) -> "dict[str, object]":
    return {
        "entities": [
            {**entity.id._asdict(), "state": entity.state, "why": entity.why}
            for entity in registration.entities
        ],
        "uploaded_bytes": registration.uploaded_bytes,
        "rpcs": registration.rpcs,
        "elapsed_s": registration.elapsed_s,
    }
