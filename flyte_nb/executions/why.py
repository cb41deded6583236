"""Why a cached result was found, or was not and because of what: compare a node with earlier ones. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.propeller.cache import Dataset

HIT = "hit"
MISS = "miss"
SKIPPED = "overwritten"
NOT_CACHED = "not cached"
RECOVERED = "recovered"
UNKNOWN = "unknown"

_SHORT = 32


class Change(NamedTuple):
    """One part of a key that differs from an earlier node's."""

    part: str
    """`code`, `cache version`, `input`, `inputs` or `outputs` (their names and types)."""
    name: str
    """Which input, or which part of the code (`body`, `helper features()`, `global labels`, …)."""
    text: str
    """The change in words."""


class Ran(NamedTuple):
    """What a node ran: the task's version, and the fingerprints of the parts of its code."""

    task: Identifier
    parts: Mapping[str, str]
    """Digests by name: `body`, `helper …`, `global …`, `class …`; empty for a task of another SDK."""
    python: str = ""
    sdk: str = ""
    image: str = ""


class Key(NamedTuple):
    """The parts of a result's catalog key."""

    dataset: Dataset
    inputs: Mapping[str, str]
    """A hash of each input that counts."""
    ignored: "tuple[str, ...]" = ()
    """Inputs that do not count (`cache_ignore_input_vars`)."""


class Known(NamedTuple):
    """All that a node is compared by."""

    execution: ExecutionId
    node_id: str
    phase: str
    status: str
    """`cache_status` as flyteidl has it."""
    key: "Key | None"
    ran: "Ran | None"
    shown: Mapping[str, str] = {}
    """Each input as a short text."""


class Why(NamedTuple):
    """Why a node ran, or did not."""

    node_id: str
    name: str
    outcome: str
    """`hit`, `miss`, `overwritten`, `not cached`, `recovered` or `unknown`."""
    reason: str
    """One or two sentences."""
    changes: "tuple[Change, ...]" = ()
    """What differs from the earlier node that is most alike."""
    since: "ExecutionId | None" = None
    """The execution of that node; with a hit, the one that computed the result."""
    since_node: str = ""
    key: "Key | None" = None
    ran: "Ran | None" = None

    def __repr__(self) -> str:
        return "\n".join(
            [f"{self.node_id} {self.name}: {self.outcome}. {self.reason}", *self._rest()]
        )

    def _rest(self) -> "list[str]":
        lines = []
        if self.key is not None:
            version = _cut(self.key.dataset.cache_version)
            lines.append(f"  key: cache version {version!r}, names and types, and these inputs")
            lines += [f"    {name}: {digest[:12]}" for name, digest in self.key.inputs.items()]
            lines += [f"    {name}: ignored" for name in self.key.ignored]
        if self.ran is not None:
            task = self.ran.task
            lines.append(f"  ran: {task.name} {task.version}".rstrip())
            lines += [f"    {name}: {digest[:12]}" for name, digest in self.ran.parts.items()]
        return lines


def explain(node: Known, name: str, before: "Sequence[Known]") -> Why:
    """Return why the node looked for a result and found one, or did not.

    Args:
        node: The node.
        name: What people call it.
        before: Earlier nodes that ran the same task, the newest first.
    """
    why = Why(node.node_id, name, MISS, "", key=node.key, ran=node.ran)
    compared = [(changes_between(node, other), other) for other in before if other.key is not None]
    if not compared:
        return why._replace(reason="No earlier result of this task is known here.")
    # The fewest changes explain most; of equal ones the newest, which comes first.
    changes, other = min(compared, key=lambda pair: len(pair[0]))
    where = f"{other.execution.name} ({other.node_id})"
    why = why._replace(changes=changes, since=other.execution, since_node=other.node_id)
    if changes:
        listed = "; ".join(change.text for change in changes)
        return why._replace(reason=f"Since {where}: {listed}.")
    if other.status == "CACHE_PUT_FAILURE":
        return why._replace(reason=f"{where} computed it, and the result could not be kept.")
    if other.phase not in ("SUCCEEDED", "RECOVERED"):
        return why._replace(
            reason=f"{where} looked for the same result and is {other.phase}: it left none."
        )
    return why._replace(
        reason=f"{where} computed the same, and its result is no longer kept, or was not yet."
    )


def changes_between(now: Known, then: Known) -> "tuple[Change, ...]":
    """Return what differs between the keys of two nodes that ran the same task."""
    if now.key is None or then.key is None:
        return ()
    changes: list[Change] = []
    mine, theirs = now.key.dataset, then.key.dataset
    if mine.cache_version != theirs.cache_version:
        changes += _version_changes(now, then)
    for part in ("inputs", "outputs"):
        if getattr(mine, part) != getattr(theirs, part):
            changes.append(Change(part, "", f"names or types of the {part} changed"))
    for name, digest in now.key.inputs.items():
        known = then.key.inputs.get(name)
        if known is not None and known != digest:
            changes.append(Change("input", name, f"{name} is {_moved(name, now, then)}"))
        elif known is None:
            changes.append(Change("input", name, f"{name} counts now"))
    changes += [
        Change("input", name, f"{name} no longer counts")
        for name in then.key.inputs
        if name not in now.key.inputs
    ]
    return tuple(changes)


def code_changes(now: "Ran | None", then: "Ran | None") -> "tuple[Change, ...]":
    """Return which parts of the code differ between what two nodes ran."""
    if now is None or then is None:
        return ()
    texts = [
        (name, f"{name} changed")
        for name in now.parts
        if then.parts.get(name, now.parts[name]) != now.parts[name]
    ]
    texts += [(name, f"it now depends on {name}") for name in now.parts if name not in then.parts]
    texts += [
        (name, f"it no longer depends on {name}") for name in then.parts if name not in now.parts
    ]
    return tuple(Change("code", name, text) for name, text in texts)


def _version_changes(now: Known, then: Known) -> "list[Change]":
    """Return why the cache version differs: the code, where the version follows it."""
    assert now.key is not None
    assert then.key is not None
    changes = code_changes(now.ran, then.ran)
    if changes:
        return list(changes)
    mine, theirs = now.key.dataset.cache_version, then.key.dataset.cache_version
    return [
        Change("cache version", "", f"the cache version is {_cut(mine)!r} and was {_cut(theirs)!r}")
    ]


def _moved(name: str, now: Known, then: Known) -> str:
    mine, theirs = now.shown.get(name, ""), then.shown.get(name, "")
    if not mine or not theirs or mine == theirs:
        return "another value"
    return f"{mine} and was {theirs}"


def _cut(text: str) -> str:
    return text if len(text) <= 16 else f"{text[:15]}…"


def short_text(inputs: LiteralMap, name: str) -> str:
    """Return an input as a short text; empty when it has none."""
    literal = inputs.literals[name]
    if literal.WhichOneof("value") != "scalar" or literal.scalar.WhichOneof("value") != "primitive":
        return ""
    primitive = literal.scalar.primitive
    kind = primitive.WhichOneof("value")
    if kind in (None, "datetime", "duration"):
        return ""
    text = repr(getattr(primitive, kind))
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"
