"""Why a cached task of a local run was computed, or was not: from notes beside the results in the cache."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.tasks_pb2 import TaskTemplate

from flyte_nb.api.errors import CodecError, StorageError
from flyte_nb.api.identifiers import TASK, ExecutionId
from flyte_nb.executions import why
from flyte_nb.executions.why import Key, Known, Ran, Why, short_text
from flyte_nb.propeller.cache import dataset_of, input_hashes, key
from flyte_nb.propeller.literal_store import NodeOutputs, Values
from flyte_nb.propeller.local_catalog import LocalCatalog
from flyte_nb.propeller.resolve import inputs_of
from flyte_nb.propeller.state import NodeState
from flyte_nb.wire.identifiers import identifier_from_idl

_POPULATED = "CACHE_POPULATED"


class CachedNode(NamedTuple):
    """A node of a cached task, with what its key is made of."""

    node_id: str
    name: str
    status: str
    """`cache_status` as flyteidl has it."""
    task: TaskTemplate
    version: str
    read: "Callable[[], LiteralMap]"
    """Returns its inputs."""
    parts: Mapping[str, str]
    """Digests of the parts of the code; empty when the author set the version."""

    @property
    def key(self) -> str:
        """The key of its result."""
        return key(self.task, self.version, self.read())


def cached(
    node: NodeState, values: Values, parts: "Mapping[str, Mapping[str, str]]"
) -> "CachedNode | None":
    """Return what is needed to explain a node; `None` when it is not cached, or has not begun.

    Args:
        node: The node.
        values: The run's values. They are kept as long as the answer is.
        parts: Parts of the code, by the names of tasks.
    """
    task = node.plan.task
    if task is None or node.cache_status in ("", "CACHE_DISABLED"):
        return None

    def read() -> LiteralMap:
        try:
            return values.get(node.input_uri)
        except StorageError:  # of a hit they are not kept, and are as they were
            return inputs_of(node.plan, NodeOutputs(node, values))

    return CachedNode(
        node.node_id,
        node.plan.name,
        node.cache_status,
        task,
        node.plan.discovery_version,
        read,
        parts.get(task.id.name, {}),
    )


def note(catalog: LocalCatalog, node: CachedNode, run: str) -> None:
    """Keep, beside a result that was just computed, what its key is made of. A failure is no error."""
    if node.status != _POPULATED:
        return
    try:
        ignored, inputs = tuple(node.task.metadata.cache_ignore_input_vars), node.read()
        text = json.dumps(
            {
                "run": f"{run} at {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}",
                "node": node.node_id,
                "inputs": input_hashes(inputs, ignored),
                "ignored": ignored,
                "shown": {name: short_text(inputs, name) for name in inputs.literals},
                "parts": dict(node.parts),
            }
        )
        catalog.note(node.key, text)
    except (StorageError, CodecError):
        return  # a note explains; without it the result is as good


def explain(catalog: LocalCatalog, node: CachedNode) -> Why:
    """Return why the node's task was computed, or was not.

    Raises:
        StorageError: when the local cache cannot be read.
    """
    own = node.key
    now = _known(node, own)
    if node.status == "CACHE_HIT":
        plain = Why(node.node_id, node.name, why.HIT, "", key=now.key, ran=now.ran)
        found = catalog.notes(f"{own.rpartition('/')[0]}/")
        noted = next((text for key, text in found if key == own), "")
        if not noted:
            return plain._replace(reason="An equal call computed the result before.")
        then = _noted(own, noted, node)
        return plain._replace(
            reason=f"The call of {then.execution.name} ({then.node_id}) computed the result.",
            since=then.execution,
            since_node=then.node_id,
        )
    # The task's results of every version and interface.
    dataset = "/".join(own.split("/")[:3]) + "/"
    before = [_noted(key, text, node) for key, text in catalog.notes(dataset, before=own)]
    return why.explain(now, node.name, before)


def _known(node: CachedNode, own: str) -> Known:
    ignored, inputs = tuple(node.task.metadata.cache_ignore_input_vars), node.read()
    return Known(
        ExecutionId("", "", ""),
        node.node_id,
        "SUCCEEDED",
        node.status,
        Key(dataset_of(_version(own)), input_hashes(inputs, ignored), ignored),
        Ran(identifier_from_idl(node.task.id, TASK), node.parts),
        {name: short_text(inputs, name) for name in inputs.literals},
    )


def _noted(key: str, text: str, node: CachedNode) -> Known:
    found = json.loads(text)
    id = node.task.id
    return Known(
        ExecutionId(id.project, id.domain, found["run"]),
        found["node"],
        "SUCCEEDED",
        _POPULATED,
        Key(dataset_of(_version(key)), found["inputs"], tuple(found["ignored"])),
        Ran(identifier_from_idl(id, TASK), found["parts"]),
        found["shown"],
    )


def _version(key: str) -> str:
    """Return the dataset's version in a key."""
    return key.rpartition("/")[0].split("/", 2)[2].partition("/")[2]
