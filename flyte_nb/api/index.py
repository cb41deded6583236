"""The index of a staged bundle: its members, where they are stored, and their digests.

It is canonical JSON: keys sorted, no spaces, UTF-8, entries sorted by name. So equal indexes have equal
bytes. The digest of those bytes is part of the index's own file name (`index_name`), which the task's
template pins: what was registered is what runs.
"""

import hashlib
import json
from typing import Any, NamedTuple

from flyte_nb.api.errors import BundleError
from flyte_nb.api.identifiers import LAUNCH_PLAN, Identifier

FORMAT = 1

RING = "ring"  # zip of the travelling ring (kind of an entry)
TASK = "task"  # a pickled task
BUFFER = "buffer"  # an out-of-band buffer of a pickled task (pickle protocol 5)
LOCK = "lock"  # a task's requirements, pinned by version and hash
MODULE = "module"  # zip of a local module, or of a part of a large package

_KINDS = frozenset({RING, TASK, BUFFER, MODULE, LOCK})
_HEX = frozenset("0123456789abcdef")
_LARGEST = 1 << 62
"""Bytes; a larger size is refused as damage, because no store has such objects."""
_SHOWN = 200  # characters of a wrong value that a message quotes
_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What reading JSON that is not an index can raise."""


class IndexEntry(NamedTuple):
    """One member, stored at `uri`. Members are content-addressed."""

    name: str
    uri: str
    size: int
    """Bytes."""
    sha256: str
    """Lower-case hex of the stored bytes."""
    kind: str


class TaskEntry(NamedTuple):
    """What one task needs: its pickle, the buffers in order, and the modules."""

    payload: str
    """Name of the entry with the pickle."""
    buffers: "tuple[str, ...]" = ()
    modules: "tuple[str, ...]" = ()
    fingerprint: str = ""
    """For a task that runs inside a dynamic one: it changes when the code does. Such a task has no template
    of its own that could hold it. Empty for every other task."""
    lock: str = ""
    """Name of the entry with its locked requirements; empty when it has none."""


class Index(NamedTuple):
    """The table of contents of one bundle.

    It has the registered task. For a dynamic task it also has the tasks that its body can call, which
    `flyte-nb execute --task <name of an inner task>` runs from the same index.
    """

    sdk_version: str
    protocol: int
    python: str
    """`major.minor` of the interpreter that pickled it."""
    entries: "tuple[IndexEntry, ...]"
    tasks: "dict[str, TaskEntry]"
    requirements: "tuple[str, ...]" = ()
    """Installed packages that the tasks' code imports, with the versions of the machine that packed it
    (PEP 508: `numpy==1.26.4`, `mine @ git+https://…@<commit>`), sorted. They record what the code was
    written with, without their own dependencies. Nothing is installed because of them."""
    format: int = FORMAT
    launch_plans: "tuple[Identifier, ...]" = ()
    """The launch plans that a dynamic task's body can start, as they were registered with it. An empty
    project or domain means that of the task."""

    def entry(self, name: str, kind: str = "") -> IndexEntry:
        """Return the member of that name.

        Args:
            name: the member's name.
            kind: its kind; empty for any.

        Raises:
            BundleError: when the index has no such member.
        """
        for entry in self.entries:
            if entry.name == name and kind in ("", entry.kind):
                return entry
        noun = f"{kind} " if kind else ""
        raise BundleError(
            f"The index has no {noun}member {name!r}.",
            code="SYSTEM:BundleMemberMissing",
            hint="Register again to stage the bundle again.",
        )


def dumps(index: Index) -> bytes:
    """Return the index as canonical JSON. It is the inverse of `loads`."""
    document = {
        "format": index.format,
        "protocol": index.protocol,
        "sdk_version": index.sdk_version,
        "python": index.python,
        "requirements": sorted(index.requirements),
        "entries": [entry._asdict() for entry in sorted(index.entries)],
        "tasks": {name: _task_document(task) for name, task in index.tasks.items()},
    }
    if index.launch_plans:  # without `resource_type`, which is the same for all
        document["launch_plans"] = sorted([*id[1:]] for id in index.launch_plans)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8")


def loads(data: bytes) -> Index:
    """Return the index in `data`.

    Raises:
        BundleError: when its format is not the one of this release, or it is damaged. Bytes of any kind
            may come from a store, and none of them raises anything else.
    """
    try:
        document = json.loads(data)
        if document["format"] != FORMAT:
            raise BundleError(
                f"The bundle's index has the format {document['format']}; this release reads {FORMAT}.",
                code="SYSTEM:BundleFormat",
                hint="Upgrade flyte-nb where the task runs, or register again with this release.",
            )
        return Index(
            sdk_version=_text(document["sdk_version"]),
            protocol=_whole(document["protocol"]),
            python=_text(document["python"]),
            requirements=_texts(document["requirements"]),
            entries=tuple(_entry(item) for item in _list(document["entries"])),
            tasks={
                _text(name): TaskEntry(
                    payload=_text(task["payload"]),
                    buffers=_texts(task["buffers"]),
                    modules=_texts(task["modules"]),
                    fingerprint=_text(task.get("fingerprint", "")),
                    lock=_text(task.get("lock", "")),
                )
                for name, task in document["tasks"].items()
            },
            launch_plans=tuple(
                _launch_plan(*item) for item in _list(document.get("launch_plans", []))
            ),
        )
    # Any of these means that the document is not what `dumps` writes.
    except _DAMAGE as error:
        raise BundleError(
            f"The bundle's index is damaged: {type(error).__name__}: {error}.",
            code="SYSTEM:BundleIndexDamaged",
            hint="Register again to stage the bundle again.",
        ) from error


def digest(data: bytes) -> str:
    """Return the sha256 of `data` as lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def index_name(data: bytes) -> str:
    """Return the file name of the index with these bytes: `index-<sha256>.json`."""
    return f"index-{digest(data)}.json"


def digest_in_name(uri: str) -> str:
    """Return the sha256 in the file name of an index's URI, or an empty text when the name has none."""
    name = uri.rpartition("/")[2]
    pinned = name[len("index-") : -len(".json")]
    if name.startswith("index-") and name.endswith(".json") and _is_sha256(pinned):
        return pinned
    return ""


def _task_document(task: TaskEntry) -> "dict[str, Any]":
    # Optional fields are left out when empty, so that older indexes keep their bytes and digests.
    document: dict[str, Any] = {
        "payload": task.payload,
        "buffers": list(task.buffers),
        "modules": list(task.modules),
    }
    if task.fingerprint:
        document["fingerprint"] = task.fingerprint
    if task.lock:
        document["lock"] = task.lock
    return document


def _launch_plan(project: object, domain: object, name: object, version: object) -> Identifier:
    return Identifier(
        resource_type=LAUNCH_PLAN,
        project=_text(project),
        domain=_text(domain),
        name=_text(name),
        version=_text(version),
    )


def _entry(document: "dict[str, Any]") -> IndexEntry:
    entry = IndexEntry(
        name=_text(document["name"]),
        uri=_text(document["uri"]),
        size=document["size"],
        sha256=_text(document["sha256"]),
        kind=_text(document["kind"]),
    )
    if not 0 <= _whole(entry.size) < _LARGEST:
        raise ValueError(f"size of {entry.name!r} is {entry.size!r}")
    if not _is_sha256(entry.sha256):
        raise ValueError(f"sha256 of {entry.name!r} is {entry.sha256!r}")
    if entry.kind not in _KINDS:
        raise ValueError(f"kind of {entry.name!r} is {entry.kind!r}")
    return entry


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r}"[:_SHOWN])
    value.encode()  # raises for a lone surrogate, which can be neither written nor shown
    return value


def _texts(value: object) -> "tuple[str, ...]":
    return tuple(_text(item) for item in _list(value))


def _list(value: object) -> "list[Any]":
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {value!r}"[:_SHOWN])
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"expected a whole number, got {value!r}"[:_SHOWN])
    return value


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and _HEX.issuperset(text)
