"""Pack a task: its fingerprint, its payload, what travels with it, and what one should know of that."""

import hashlib
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

from flyte_nb.api.errors import BundleError
from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.fingerprint import Fingerprinter, Part
from flyte_nb.bundle.modules import Unit, Units
from flyte_nb.bundle.pickler import dump
from flyte_nb.bundle.reach import is_dynamic, reach
from flyte_nb.bundle.references import Known, References
from flyte_nb.bundle.unpicklable import explain
from flyte_nb.sdk.callee import Callee
from flyte_nb.sdk.task import Task
from flyte_nb.types.registry import Registry

LARGE_BYTES = 1 << 20
"""A captured value over this size is warned about."""

_SECRET_WORDS = frozenset(
    {
        "token", "password", "passwd", "pwd", "passphrase", "secret", "secrets", "apikey",
        "credential", "credentials",
    }
)  # fmt: skip
_SECRET_PAIRS = frozenset({("api", "key"), ("access", "key"), ("private", "key"), ("auth", "key")})
_DATA_KINDS = frozenset({"global", "captured", "default"})


class Buffer(NamedTuple):
    """An out-of-band buffer."""

    data: memoryview
    sha256: str


class Captured(NamedTuple):
    """Something that travels with a task."""

    name: str
    size_bytes: int
    kind: str
    """`function`, `helper`, `task`, `class`, `global`, `captured`, `default` or `module`."""
    secret_like: bool
    """Whether its name looks like a secret's."""


class PackedTask(NamedTuple):
    """A task, ready to be staged."""

    name: str
    """Its registered name, `<notebook>.<function>`."""
    fingerprint: str
    """Equal for equal code, in every kernel; 64 hex digits."""
    payload: bytes
    payload_sha256: str
    buffers: "tuple[Buffer, ...]"
    modules: "tuple[Unit, ...]"
    """Local modules, each as a zip."""
    captured: "tuple[Captured, ...]"
    """What travels, largest first."""
    warnings: "tuple[str, ...]"
    parts: "dict[str, str]"
    """The fingerprint's parts by what they are, e.g. `helper features()`, `global labels`."""
    python: str
    """`major.minor` of this interpreter, which alone can read the payload."""
    inner: "tuple[PackedTask, ...]" = ()
    """Of a dynamic task: the tasks that its body can call, each packed as it would be alone."""

    @property
    def size_bytes(self) -> int:
        """Bytes that travel, without the ring."""
        members = [len(unit.data) for unit in self.modules]
        members += [buffer.data.nbytes for buffer in self.buffers]
        return len(self.payload) + sum(members)


def pack(
    task: Task,
    *,
    scope: Scope,
    registry: "Registry | None" = None,
    local_roots: "Sequence[str | Path]" = (),
) -> PackedTask:
    """Pack `task` as it is now; nothing is remembered from an earlier time.

    Args:
        task: the task.
        scope: names the task; stands for `__main__` in its registered name.
        registry: unused by plain tasks; kinds of tasks may need its codecs.
        local_roots: folders whose modules are the author's own and travel as files, usually the
            notebook's.

    Raises:
        BundleError: when something in it cannot travel; it names the variable, the path and the cell.
    """
    return Packer(scope=scope, registry=registry, local_roots=local_roots).pack(task)


class Packer:
    """Packs the tasks of one registration: shared arrays and modules are read and digested once.

    Use a new one each time, for it does not look again at what it has seen. Arguments as of `pack`.
    """

    def __init__(
        self,
        *,
        scope: Scope,
        registry: "Registry | None" = None,
        local_roots: "Sequence[str | Path]" = (),
    ) -> None:
        self._scope = scope
        self._registry = registry
        self._units = Units(local_roots)
        self._known = Known()
        self._digests = _BufferDigests()

    def pack(self, task: Task) -> PackedTask:
        """Pack one task; of a dynamic one also the tasks that its body can call.

        Raises:
            BundleError: when something in it cannot travel.
        """
        if not is_dynamic(task):
            return self._pack(task, ())
        called = reach(task)
        tasks = [item for item in called if isinstance(item, Task)]
        inner = [self._pack(item, reach(item) if is_dynamic(item) else ()) for item in tasks]
        return self._pack(task, called)._replace(inner=tuple(inner))

    def _pack(self, task: Task, called: "Sequence[Any]") -> PackedTask:
        references = References(self._units, self._known)
        fingerprinter = Fingerprinter(references, self._digests)
        try:
            fingerprinter.task(task)
            for item in called:  # it becomes a node whose options come from here, and nowhere else
                if isinstance(item, Callee):
                    fingerprinter.note("options of", f"{item.short_name}()", list(item.options))
            pickled = dump(task, references, fingerprinter, with_options=is_dynamic(task))
        except BundleError:
            raise
        except Exception as error:
            raise explain(task, error, self._failure) from error
        parts = sorted(fingerprinter.parts.values(), key=lambda part: part.key)
        units = references.local.noted()
        return PackedTask(
            name=self._scope.full_name(task.module, task.short_name),
            fingerprint=fingerprinter.fingerprint(),
            payload=pickled.payload,
            payload_sha256=hashlib.sha256(pickled.payload).hexdigest(),
            buffers=tuple(Buffer(raw, self._digests(raw)) for raw in pickled.buffers),
            modules=units,
            captured=_captured(parts),
            warnings=_warnings(task, parts, units),
            parts={part.key: part.digest for part in parts},
            python=f"{sys.version_info[0]}.{sys.version_info[1]}",
        )

    def _failure(self, value: Any) -> "Exception | None":
        """What pickling `value` alone raises."""
        if isinstance(value, FunctionType):
            return None
        references = References(self._units, self._known)
        try:
            dump(value, references, Fingerprinter(references, lambda raw: ""))
        except Exception as error:  # noqa: BLE001 - any class may refuse; this asks whether it does
            return error
        return None


class _BufferDigests:
    """Digests of buffers, each computed once: fingerprint and payload meet the same ones."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[Any, str]] = {}

    def __call__(self, raw: memoryview) -> str:
        key = (id(raw.obj), raw.nbytes)
        known = self._known.get(key)
        if known is None:
            # The buffer's owner is held too: its id means nothing after it died.
            known = self._known[key] = (raw.obj, hashlib.sha256(raw).hexdigest())
        return known[1]


def _captured(parts: "list[Part]") -> "tuple[Captured, ...]":
    found = [Captured(part.name, part.size_bytes, part.kind, _looks_secret(part)) for part in parts]
    return tuple(sorted(found, key=lambda item: (-item.size_bytes, item.name)))


def _warnings(task: Task, parts: "list[Part]", units: "tuple[Unit, ...]") -> "tuple[str, ...]":
    found = []
    for part in parts:
        what = f"{part.kind} variable" if part.kind == "captured" else part.kind
        if part.kind in _DATA_KINDS and part.size_bytes > LARGE_BYTES:
            found.append(
                f"The {what} {part.name!r} ({part.size_bytes / 1e6:.1f} MB) travels with"
                f" {task.short_name}(). Pass it as an input, or load it inside of the task."
            )
        if _looks_secret(part):
            found.append(
                f"The {what} {part.name!r} looks like a secret, and would be stored in clear text"
                f" with {task.short_name}(). Use secret_requests=[Secret(…)] in its place."
            )
    for unit in units:
        found.extend(
            f"{path} is over 1 MB and no Python file; it does not travel with {unit.name!r}."
            for path in unit.left_out
        )
        if len(unit.data) > LARGE_BYTES:
            found.append(
                f"The local module {unit.name!r} ({len(unit.data) / 1e6:.1f} MB) travels with"
                f" {task.short_name}()."
            )
    return tuple(found)


def _looks_secret(part: Part) -> bool:
    if part.kind not in _DATA_KINDS:
        return False
    words = _words(part.name)
    pairs = set(itertools.pairwise(words))
    return not _SECRET_WORDS.isdisjoint(words) or not _SECRET_PAIRS.isdisjoint(pairs)


def _words(name: str) -> "list[str]":
    """`openaiApiKey` and `OPENAI_API_KEY` alike: openai, api, key."""
    spaced = []
    for before, letter in zip(" " + name, name, strict=False):
        spaced.append(f"_{letter}" if before.islower() and letter.isupper() else letter)
    return [word for word in "".join(spaced).lower().split("_") if word]


__all__ = ["Buffer", "Captured", "PackedTask", "Packer", "pack"]
