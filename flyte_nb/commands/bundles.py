"""`flyte-nb bundle list|check|verify|gc`: list, check, verify and remove staged bundles."""

import argparse
import time

from flyte_nb.api.errors import UsageError
from flyte_nb.bundle.inventory import CleanupPlan, Damage, Inventory, Removal
from flyte_nb.commands.connections import session_of
from flyte_nb.commands.terminal import DONE, FAILED, out, show
from flyte_nb.registering.staged import StagedBundles

_RESTAGE = "`flyte-nb register … --restage` stages again what is missing."
_KEPT_HOURS = 24.0
"""`gc` keeps what is younger: a registration may have staged it, and not registered its tasks yet."""


def bundle(options: argparse.Namespace) -> int:
    """Do the action on staged bundles; return the exit code.

    Raises:
        UsageError: an option does not belong to the action, or no location is known.
    """
    if options.action != "gc" and (options.yes or options.older_than is not None):
        raise UsageError(f"--yes and --older-than belong to gc; {options.action} removes nothing.")
    act = {"list": _list, "check": _check, "verify": _verify, "gc": _gc}[options.action]
    return act(options)


def _list(options: argparse.Namespace) -> int:
    bundles = session_of(options).bundles
    needed = bundles.referred()
    found = [bundles.held(location) for location in _locations(options, bundles)]
    lines = [line for held in found for line in _inventory_lines(held, needed)]
    show(options, [_inventory_dict(held, needed) for held in found], "\n".join(lines))
    return DONE


def _check(options: argparse.Namespace) -> int:
    """Look whether each member is there in its full length; that reads no bytes."""
    bundles = session_of(options).bundles
    named = [options.location] if options.location else []
    if named and not named[0].endswith(".json"):
        named = [item.uri for item in bundles.held(named[0].rstrip("/")).indexes]
    return _show_damages(options, *bundles.check(*named), hint=_RESTAGE)


def _verify(options: argparse.Namespace) -> int:
    bundles = session_of(options).bundles
    return _show_damages(options, *bundles.verify(*_locations(options, bundles)))


def _show_damages(
    options: argparse.Namespace, damages: list[Damage], whole: int, hint: str = ""
) -> int:
    document = {"damaged": [item._asdict() for item in damages], "whole": whole}
    lines = [_damage_line(item) for item in damages]
    lines.append(f"{whole} objects are whole, {len(damages)} are not.")
    lines += [hint] if hint and damages else []
    show(options, document, "\n".join(lines))
    return FAILED if damages else DONE


def _gc(options: argparse.Namespace) -> int:
    hours = _KEPT_HOURS if options.older_than is None else options.older_than
    if hours < 0:
        raise UsageError(f"--older-than {hours:g}: write a number of hours, 0 or more.")
    bundles = session_of(options).bundles
    documents = []
    for location in _locations(options, bundles):
        planned = bundles.plan(location, min_age_s=hours * 3600)
        removed = bundles.collect(location, planned) if options.yes else []
        documents.append(_plan_dict(planned, location, removed))
        if options.output == "text":
            _print_plan(planned, location, removed if options.yes else None)
    if options.output == "json":
        show(options, documents, "")
    return DONE


def _locations(options: argparse.Namespace, bundles: StagedBundles) -> "list[str]":
    if options.location:
        return [options.location.rstrip("/")]
    found = bundles.locations()
    if not found:
        raise UsageError(
            "No registered task refers to a bundle here. Name a location: a folder or a URI."
        )
    return found


def _inventory_lines(held: Inventory, needed: "dict[str, list[str]]") -> "list[str]":
    lines = [
        f"{held.root}: {len(held.indexes)} bundles, {len(held.members)} members,"
        f" {held.stored_bytes:,} bytes"
    ]
    for item in held.indexes:
        names = needed.get(item.digest, [])
        by = f"registered: {', '.join(names)}" if names else "no registered task refers to it"
        lines.append(
            f"  {item.digest[:12]}  {item.bundle_bytes:>12,} bytes  {_age(item.modified_s):>10}"
            f"  {', '.join(item.tasks) or item.problem}  ({by})"
        )
    return lines


def _inventory_dict(held: Inventory, needed: "dict[str, list[str]]") -> "dict[str, object]":
    return {
        "location": held.root,
        "stored_bytes": held.stored_bytes,
        "members": len(held.members),
        "bundles": [
            {
                "uri": item.uri,
                "tasks": list(item.tasks),
                "bytes": item.bundle_bytes,
                "modified_s": item.modified_s,
                "registered": needed.get(item.digest, []),
                "problem": item.problem,
            }
            for item in held.indexes
        ],
    }


def _damage_line(item: Damage) -> str:
    stops = f"; it stops {', '.join(item.tasks)}" if item.tasks else ""
    return f"{item.name} at {item.uri}: {item.what}{stops}"


def _print_plan(planned: CleanupPlan, location: str, removed: "list[Removal] | None") -> None:
    shown = planned.removals if removed is None else removed
    for item in shown:
        out(f"  {item.what:<7}{item.size:>12,} bytes  {item.name[:60]}  {item.uri}")
    verb = "would remove" if removed is None else "removed"
    recent = f"; {planned.too_recent} are too recent" if planned.too_recent else ""
    out(
        f"{location}: {verb} {len(shown)} objects, {sum(item.size for item in shown):,} bytes;"
        f" {planned.kept_indexes} bundles stay{recent}."
    )
    if shown and removed is None:
        out("Nothing was removed. Add --yes to remove it.")


def _plan_dict(
    planned: CleanupPlan, location: str, removed: "list[Removal]"
) -> "dict[str, object]":
    return {
        "location": location,
        "removable": [item._asdict() for item in planned.removals],
        "bytes": planned.size,
        "kept_bundles": planned.kept_indexes,
        "too_young": planned.too_recent,
        "removed": [item.uri for item in removed],
    }


def _age(modified_s: "float | None") -> str:
    if modified_s is None:
        return "age ?"
    hours = max(0.0, time.time() - modified_s) / 3600
    return f"{hours:.1f} h old" if hours < 48 else f"{hours / 24:.0f} d old"
