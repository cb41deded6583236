"""`with_overrides`: options of one call of a task."""

import re
from typing import Any

from flyte_nb.api.errors import UsageError
from flyte_nb.api.specs import ArrayNode, NodeMetadata, TaskNode
from flyte_nb.sdk.drafts import Target

_KNOWN = (
    "cache",
    "cache_version",
    "interruptible",
    "limits",
    "name",
    "node_name",
    "requests",
    "resources",
    "retries",
    "timeout",
)


def checked(options: "dict[str, Any]", entity: str) -> "dict[str, Any]":
    """The options as given, when all of them are known and have a value that can be meant."""
    for name, value in options.items():
        if name not in _KNOWN:
            raise UsageError(
                f"{entity}(…).with_overrides has no option {name!r}. It has: {', '.join(_KNOWN)}."
            )
        if name == "retries" and (not isinstance(value, int) or value < 0):
            raise UsageError(f"retries={value!r}: write a number of further attempts.")
    return options


def node_id_of(name: str) -> str:
    """A node's id from a name of the author's: lower case, with - between words (a DNS label)."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def apply(
    options: "dict[str, Any]", metadata: NodeMetadata, target: Target
) -> "tuple[NodeMetadata, Target]":
    """The node's metadata and target with the options applied; of a map, to each of its elements."""
    changed: dict[str, Any] = {}
    if "name" in options:
        changed["name"] = options["name"]
    if "retries" in options:
        changed["retries"] = options["retries"]
    if "timeout" in options:
        timeout = options["timeout"]
        seconds = timeout.total_seconds() if hasattr(timeout, "total_seconds") else timeout
        changed["timeout_s"] = float(seconds)
    if "interruptible" in options:
        changed["interruptible"] = options["interruptible"]
    if "cache" in options:
        cache = options["cache"]
        if isinstance(cache, bool):
            changed["cacheable"] = cache
        else:
            changed["cacheable"] = True
            changed["cache_version"] = cache.version + cache.salt
    if "cache_version" in options:
        changed["cache_version"] = options["cache_version"]
    if isinstance(target, (TaskNode, ArrayNode)) and not options.keys().isdisjoint(
        ("requests", "limits", "resources")
    ):
        from flyte_nb.sdk.options import requests_and_limits

        pair = requests_and_limits(
            options.get("requests"), options.get("limits"), options.get("resources")
        )
        target = target._replace(resources=pair)
    if isinstance(target, ArrayNode):
        named = {name: changed[name] for name in ("name",) if name in changed}
        inner = target.metadata._replace(**changed)
        return metadata._replace(**named), target._replace(metadata=inner)
    return metadata._replace(**changed), target
