"""Names and kinds of nodes: the nodes that the compiler adds, and the ids that a run composes."""

START_NODE = "start-node"
"""Its outputs are the workflow's inputs."""

END_NODE = "end-node"
"""Its inputs are the workflow's outputs."""

ADDED_NODES = frozenset({START_NODE, END_NODE})
"""Nodes that no author wrote (flytepropeller/pkg/compiler/common/id_set.go at v1.16.8)."""

# Kinds of nodes: what a node runs. The first six are the targets of flyteidl/core/workflow.proto's `Node`.
TASK_NODE = "task"
WORKFLOW_NODE = "workflow"
LAUNCH_PLAN_NODE = "launch_plan"
BRANCH_NODE = "branch"
GATE_NODE = "gate"
ARRAY_NODE = "array"
START_KIND = "start"
END_KIND = "end"

_ALPHABET = "abcdefghijklmnopqrstuvwxyz123456"
_MAX_NODE_ID = 20


def fnv32a(text: str) -> int:
    """Return the 32-bit FNV-1a hash of the UTF-8 bytes (draft-eastlake-fnv)."""
    value = 0x811C9DC5
    for byte in text.encode("utf-8"):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def fnv64a(text: str) -> int:
    """Return the 64-bit FNV-1a hash of the UTF-8 bytes (draft-eastlake-fnv)."""
    value = 0xCBF29CE484222325
    for byte in text.encode("utf-8"):
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def fixed_length_id(text: str, max_length: int) -> str:
    """Return `text` when it is short enough, else `f` and its hash in base 32 (8 characters).

    Source: flyteplugins/go/tasks/pluginmachinery/encoding/encoder.go at v1.16.8.
    """
    if len(text) <= max_length:
        return text
    bits = fnv32a(text) << 3  # 32 bits → 7 × 5
    return "f" + "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(30, -1, -5))


def child_execution_name(parent: str, node_id: str, attempt: int) -> str:
    """Return the name of the execution that a launch plan node starts: `<parent>-<node>-<attempt>`.

    A name of more than 20 characters is hashed: `f` and 64 bits in base 32 (13 characters). The same node
    gives the same name after every restart, so it can never start two executions.

    Source: flytepropeller/pkg/controller/nodes/subworkflow/util.go (`GetChildWorkflowExecutionIDV2`) at
    v1.16.8.
    """
    text = f"{parent}-{node_id}-{attempt}"
    if len(text) <= _MAX_NODE_ID:
        return text
    bits = fnv64a(text) << 1  # 64 bits → 13 × 5
    return "f" + "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(60, -1, -5))


def unique_node_id(parent_id: str, parent_attempt: int, node_id: str) -> str:
    """Return the id of a node in its execution: `n0`, or `n1-0-n0` below a parent.

    An id of more than 20 characters is hashed.

    Source: flytepropeller/pkg/controller/nodes/common/utils.go at v1.16.8.
    """
    joined = f"{parent_id}-{parent_attempt}-{node_id}" if parent_id else node_id
    return fixed_length_id(joined, _MAX_NODE_ID)


def further_node_id(parent_id: str, parent_attempt: int, node_id: str, number: int) -> str:
    """Return another id for a node whose `unique_node_id` another node has; `number` counts from 1.

    Ids collide when an author's name looks like a composed id, and when two hashes of 32 bits are equal by
    chance, which is likely among some ten thousand nodes.
    """
    joined = f"{parent_id}-{parent_attempt}-{node_id}#{number}"
    return fixed_length_id(joined.rjust(_MAX_NODE_ID + 1), _MAX_NODE_ID)


MAX_NODE_ID = 200
"""Most characters of a node's id in a template: it names a folder, and most disks allow 255 bytes."""


def is_node_id(text: str) -> bool:
    """Return whether a node may have this id: letters, digits, `-` and `_`, beginning with a letter or digit.

    It becomes a part of the paths below which the node's values are stored.
    """
    plain = text.replace("-", "").replace("_", "")
    return len(text) <= MAX_NODE_ID and text[:1].isalnum() and plain.isalnum() and text.isascii()
