"""Warn an author about what travels with a task: large data, secrets, and what may be missing elsewhere.

A remark refuses nothing. A remark about a secret names its kind and its place, and never shows its value.
"""

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType

from flyte_nb.api.specs import Location
from flyte_nb.bundle import code as code_of
from flyte_nb.bundle.fingerprint import Fingerprinter, Part
from flyte_nb.bundle.installed_packages import Requirement
from flyte_nb.bundle.local_modules import Units
from flyte_nb.bundle.module_state import ModuleState
from flyte_nb.bundle.secret_signs import named_like_a_secret, secrets_in
from flyte_nb.bundle.source_names import spoken_place
from flyte_nb.bundle.units import Unit
from flyte_nb.types.stored import Stored

LARGE_BYTES = 1 << 20
"""A captured value over this size is warned about."""

_DEEPEST = 3  # levels of containers that are searched for files
_WIDEST = 100  # members of one container that are searched for files

_HISTORY = re.compile(r"In|Out|_{1,3}|_i{1,3}|_i?\d+|_[iod]h")
"""IPython's own variables for inputs and outputs, e.g. `_`, `_12`, `_i`, `_oh`."""

DATA_KINDS = frozenset({"global", "captured", "default"})
"""Kinds of parts that are data, in contrast to code."""


def remarks(
    task: str,
    fingerprinter: Fingerprinter,
    payload: bytes,
    units: Units,
    shipped: "Sequence[Unit]",
    needed: "Sequence[Requirement]",
    state: ModuleState,
) -> "tuple[str, ...]":
    """Return the warnings about one task, as sentences.

    Args:
        task: the task as messages spell it, e.g. `train()`.
        fingerprinter: the fingerprinter that collected the task's parts.
        payload: the task's pickle.
        units: all of the author's own modules.
        shipped: the author's own modules that travel with the task.
        needed: the installed packages that the task imports.
        state: finds what the notebook set in modules.
    """
    return (
        *_of_names(task, fingerprinter),
        *_of_data(task, fingerprinter),
        *_of_files(task, fingerprinter),
        *_of_contents(task, fingerprinter, payload),
        *_of_modules(task, units, shipped),
        *_of_module_state(task, fingerprinter, shipped, state),
        *_of_needs(task, fingerprinter, units, needed),
    )


def place_of(part: Part, fingerprinter: Fingerprinter) -> "Location | None":
    """Return where the part is referred to, or for a function, where it is defined."""
    # A function has a place of its own. A value has none: what helps is where the code refers to it.
    own = fingerprinter.functions.get(part.key)
    if own is not None:
        return Location(own.__code__.co_filename, own.__code__.co_firstlineno)
    user = fingerprinter.functions.get(part.user)
    if user is None:
        return None
    return Location(user.__code__.co_filename, code_of.line_of_use(user, part.name))


def _of_names(task: str, fingerprinter: Fingerprinter) -> "Iterator[str]":
    for name, user in code_of.undefined_names(fingerprinter.functions.values()).items():
        line = code_of.line_of_use(user, name)
        place = spoken_place(user.__code__.co_filename, line)
        yield (
            f"{task} uses the name {name!r} ({place}), which is defined neither in the notebook nor in"
            " Python. Run the cell that defines it, or import it inside of the task."
        )
    for part in fingerprinter.parts.values():
        if part.kind == "global" and _HISTORY.fullmatch(part.name):
            yield (
                f"The global {part.name!r}{_used(part, fingerprinter)} is the notebook's history. It"
                f" changes with every cell, and so would the version of {task}. Give the value a name of"
                " its own."
            )


def _of_data(task: str, fingerprinter: Fingerprinter) -> "Iterator[str]":
    for part in fingerprinter.parts.values():
        if part.kind not in DATA_KINDS:
            continue
        if part.size_bytes > LARGE_BYTES:
            yield (
                f"The {_called(part)} ({part.size_bytes / 1e6:.1f} MB) travels with {task}"
                f"{_used(part, fingerprinter)}. Pass it as an input, or load it inside of the task."
            )
        if named_like_a_secret(part.name):
            yield (
                f"The {_called(part)} looks like a secret, and would be stored in clear text with"
                f" {task}. Use secret_requests=[Secret(…)] instead."
            )


def _of_files(task: str, fingerprinter: Fingerprinter) -> "Iterator[str]":
    for part in fingerprinter.parts.values():
        for path in sorted(set(_local_files(fingerprinter.values.get(part.key), 0))):
            yield (
                f"The {_called(part)} refers to {path!r}{_used(part, fingerprinter)}, which is on this"
                f" machine and does not travel with {task}. Pass it as a FlyteFile or FlyteDirectory input."
            )


def _local_files(value: object, depth: int) -> "Iterator[str]":
    """Yield paths of files, and of the folders of FlyteDirectories, in plain containers."""
    if isinstance(value, Stored):
        if not value.uri:
            yield value.path
    elif isinstance(value, Path):
        if value.is_file():
            yield str(value)
    elif depth < _DEEPEST and type(value) is dict:
        for item in list(value.values())[:_WIDEST]:
            yield from _local_files(item, depth + 1)
    elif depth < _DEEPEST and (type(value) is list or type(value) is tuple):
        for item in value[:_WIDEST]:
            yield from _local_files(item, depth + 1)


def _of_contents(task: str, fingerprinter: Fingerprinter, payload: bytes) -> "Iterator[str]":
    # The whole payload is searched first, which is quick and nearly always finds nothing.
    left = set(secrets_in(payload))
    if not left:
        return
    for part in list(fingerprinter.parts.values()):
        for kind in secrets_in(_written(part, fingerprinter)):
            left.discard(kind)
            yield (
                f"The {_called(part)} seems to contain {kind}{_used(part, fingerprinter)}, which would"
                f" be stored in clear text with {task}. Use secret_requests=[Secret(…)] instead."
            )
    # What no part explains is in the source lines that travel for tracebacks, e.g. in a comment.
    for kind in sorted(left):
        yield (
            f"The code of {task} (or a comment in it) seems to contain {kind}, which would be stored in"
            " clear text. Remove it."
        )


def _written(part: Part, fingerprinter: Fingerprinter) -> bytes:
    """Return the part's own texts and bytes."""
    function = fingerprinter.functions.get(part.key)
    if function is not None:
        return b"\n".join(_texts(function.__code__))
    # Writing a large value again, only to find which one has the secret, would take as long as packing it.
    if part.key not in fingerprinter.values or part.size_bytes > LARGE_BYTES:
        return b""
    target = io.BytesIO()
    fingerprinter.write(fingerprinter.values[part.key], target)
    return target.getvalue()


def _texts(code: CodeType) -> "Iterator[bytes]":
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _texts(const)
        else:
            yield from _texts_of(const)


def _texts_of(const: object) -> "Iterator[bytes]":
    if isinstance(const, str):
        yield const.encode("utf-8", "replace")
    elif isinstance(const, bytes):
        yield const
    elif isinstance(const, (tuple, frozenset)):
        for item in const:
            yield from _texts_of(item)


def _of_modules(task: str, units: Units, shipped: "Sequence[Unit]") -> "Iterator[str]":
    for unit in shipped:
        for path in unit.left_out:
            is_folder = path.endswith("/")
            why = (
                "has more than 16 MB or more than 5,000 files"
                if is_folder
                else "is larger than 1 MB and no Python file"
            )
            yield f"{path} {why}; it does not travel with {unit.name!r}."
        if unit.binaries:
            yield (
                f"{unit.binaries[0]} is compiled and does not travel with {unit.name!r}. Install the"
                " package where tasks run, if the task needs it."
            )
        if unit.size_bytes > LARGE_BYTES:
            yield (
                f"The local module {unit.name!r} ({unit.size_bytes / 1e6:.1f} MB) travels with {task}."
            )
        for path, kinds in unit.secrets:
            yield (
                f"{path} seems to contain {' and '.join(kinds)}, which would be stored in clear text"
                f" with {task}. Use secret_requests=[Secret(…)] instead."
            )
        if not units.is_below_a_root(unit):
            yield (
                f"The module {unit.name!r} is neither beside the notebook nor an installed package. It"
                f" travels with {task} as it is in {unit.place}."
            )


def _of_module_state(
    task: str, fingerprinter: Fingerprinter, shipped: "Sequence[Unit]", state: ModuleState
) -> "Iterator[str]":
    for setting in state.settings(fingerprinter.functions.values(), shipped):
        place = f" ({setting.place})" if setting.place else ""
        yield (
            f"{setting.path} was set in the notebook{place}. That does not travel: where {task} runs, it has"
            f" the value from {setting.home}. Set it there, or inside of the task."
        )


def _of_needs(
    task: str, fingerprinter: Fingerprinter, units: Units, needed: "Sequence[Requirement]"
) -> "Iterator[str]":
    for requirement in needed:
        if requirement.note:
            yield (
                f"{task} needs {requirement.text}: {requirement.note}. Publish it, or make it a"
                " module beside the notebook."
            )
    for name in sorted(fingerprinter.missing):
        yield (
            f"{task} imports {name!r}, which is neither installed here nor beside the notebook."
            " Install it where the task runs."
        )
    for top, (unit, reason) in sorted(units.left_behind.items()):
        if top in fingerprinter.tops:
            yield (
                f"{top!r} in {unit.place} {reason}, so it does not travel with {task}. Install it where"
                " tasks run, e.g. as a wheel."
            )


def _called(part: Part) -> str:
    kind = "captured variable" if part.kind == "captured" else part.kind
    return f"{kind} {part.name!r}"


def _used(part: Part, fingerprinter: Fingerprinter) -> str:
    place = place_of(part, fingerprinter)
    return f" ({spoken_place(*place)})" if place is not None else ""
