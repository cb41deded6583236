"""`with_overrides`: the options of one call."""

import re
from typing import Any

from flyte_nb.api.errors import UsageError
from flyte_nb.api.nodes import ADDED_NODES, MAX_NODE_ID
from flyte_nb.api.specs import (
    ArrayNode,
    NodeMetadata,
    OverriddenTaskNode,
    Resources,
    Target,
    TaskNode,
)
from flyte_nb.sdk.option_values import check, seconds
from flyte_nb.sdk.options import requests_and_limits

_KNOWN = (
    "cache",
    "cache_serialize",
    "cache_version",
    "container_image",
    "interruptible",
    "limits",
    "name",
    "node_name",
    "requests",
    "resources",
    "retries",
    "timeout",
)

_OF_TASKS = frozenset(_KNOWN) - {"name", "node_name", "interruptible", "retries", "timeout"}


def checked(options: "dict[str, Any]", entity: str, target: Target) -> "dict[str, Any]":
    """Return the options as given, when all of them are known and fit.

    Raises:
        UsageError: one is unknown or has a value that it cannot have.
    """
    for name in options:
        if name not in _KNOWN:
            raise UsageError(
                f"{entity}(…).with_overrides has no option {name!r}. It has: {', '.join(_KNOWN)}."
            )
    check(options)
    _resources(options)
    if not isinstance(target, (TaskNode, ArrayNode)):
        of_tasks = [name for name in options if name in _OF_TASKS]
        if of_tasks:
            raise UsageError(
                f"{entity}(…).with_overrides({of_tasks[0]}=…): that is an option of tasks, and"
                f" {entity} is none. Write it at the tasks inside."
            )
    if "container_image" in options and isinstance(target, ArrayNode):
        raise UsageError(
            f"{entity}(…).with_overrides(container_image=…): a map has the image of the task that it runs."
            " Write it in @task(container_image=…)."
        )
    ignored = getattr(options.get("cache"), "ignored_inputs", ())
    if ignored:
        raise UsageError(
            f"{entity}(…).with_overrides(cache=Cache(ignored_inputs={ignored!r})): Flyte ignores inputs for"
            " all calls of a task, not for one call. Write it in @task(cache=…)."
        )
    return options


def _resources(options: "dict[str, Any]") -> "tuple[Resources, Resources]":
    given = (options.get(name) for name in ("requests", "limits", "resources"))
    return requests_and_limits(*given)


def node_id_of(name: str) -> str:
    """Return a node's id for an author's name: lower case, with - between words (a DNS label).

    Raises:
        UsageError: it has no ASCII letter or digit, is too long, or is the id of a node that
            every workflow has.
    """
    # Kubernetes names pods after nodes, so the id must be a DNS label.
    node_id = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not node_id:
        raise UsageError(f"node_name={name!r}: write letters or digits, e.g. node_name='first'.")
    if node_id in ADDED_NODES:
        raise UsageError(f"node_name={name!r}: every workflow has a node {node_id} of its own.")
    if len(node_id) > MAX_NODE_ID:
        raise UsageError(
            f"node_name={name[:40]!r}…: it has {len(node_id)} characters; use at most {MAX_NODE_ID}."
        )
    return node_id


def apply(
    options: "dict[str, Any]", metadata: NodeMetadata, target: Target
) -> "tuple[NodeMetadata, Target]":
    """Return the node's metadata and target with the options applied; of a map, to each of its elements."""
    changed: dict[str, Any] = {}
    if "name" in options:
        changed["name"] = options["name"]
    if "retries" in options:
        changed["retries"] = options["retries"]
    if "timeout" in options:
        changed["timeout_s"] = seconds(options["timeout"])
    if "interruptible" in options:
        changed["interruptible"] = options["interruptible"]
    if "cache" in options:
        cache = options["cache"]
        if isinstance(cache, bool):
            changed["cacheable"] = cache
        else:
            changed["cacheable"] = True
            if cache.serialize:
                changed["cache_serializable"] = True
            # Without a version, it follows from the task's code, as the task's own version does.
            if cache.version or cache.salt:
                changed["cache_version"] = cache.version + cache.salt
    if "cache_version" in options:
        changed["cache_version"] = options["cache_version"]
    if "cache_serialize" in options:
        changed["cache_serializable"] = options["cache_serialize"]
    if isinstance(target, (TaskNode, ArrayNode)) and not options.keys().isdisjoint(
        ("requests", "limits", "resources")
    ):
        target = target._replace(resources=_resources(options))
    if isinstance(target, TaskNode) and options.get("container_image"):
        target = OverriddenTaskNode(*target, options["container_image"])
    if isinstance(target, ArrayNode):
        # A map is one node, which has the name, over a node for each element, which has the rest.
        named = {name: changed[name] for name in ("name",) if name in changed}
        inner = target.metadata._replace(**changed)
        return metadata._replace(**named), target._replace(metadata=inner)
    return metadata._replace(**changed), target
