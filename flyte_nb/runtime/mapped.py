"""Take the inputs of one element of a map. Propeller passes the whole lists to every element, and its number.

Decoding lists of ten thousand items for each of ten thousand elements would take longer than the tasks. So an
element's items are cut out of the file's bytes, and only they are decoded. A warm host keeps the file, and
where its items are, for the other elements.

Source: flytekit/core/array_node_map_task.py; flyteplugins sets the variables for arrays.
"""

import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flyte_nb.api import literals
from flyte_nb.api.errors import SYSTEM, USER, ErrorInfo, TaskFailed
from flyte_nb.api.literals import Literal
from flyte_nb.wire.encoding import varint

NAME_VARIABLE = "BATCH_JOB_ARRAY_INDEX_VAR_NAME"
"""Names the variable that holds the element's number, e.g. `FLYTE_K8S_ARRAY_INDEX`."""
OFFSET_VARIABLE = "BATCH_JOB_ARRAY_INDEX_OFFSET"

_KEPT = 4
"""Files of inputs that a warm host keeps: those of so many maps at a time."""
_KEPT_BYTES = 32 * 1024 * 1024
"""The largest file that is kept."""


class _Lists(NamedTuple):
    """The bytes of a map's `inputs.pb`, and where the items of its lists begin and end."""

    data: bytes
    whole: "tuple[bytes, ...]"
    """The entries of inputs that every element gets as they are."""
    items: "dict[bytes, array[int]]"
    """By name: the beginning and the end of each item, one after the other."""


class _Kept:
    """The lists that this process read last. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lists: OrderedDict[tuple[str, tuple[str, ...]], _Lists | None] = OrderedDict()

    def get(self, uri: str, mapped: "tuple[str, ...]", read: "Callable[[], bytes]") -> "_Lists":
        """Return the lists at `uri`, which never change.

        Raises:
            ValueError: when they have another form than the lists of a map.
        """
        with self._lock:
            found = self._lists.get((uri, mapped))
        if found is None:
            # Outside of the lock: reading takes long, and two threads that read the same do no harm.
            found = _lists_in(read(), mapped)
            if len(found.data) <= _KEPT_BYTES:
                with self._lock:
                    self._lists[uri, mapped] = found
                    if len(self._lists) > _KEPT:
                        self._lists.popitem(last=False)
        return found


_kept = _Kept()


def element_bytes(
    uri: str, read: "Callable[[], bytes]", mapped: "tuple[str, ...]", env: "Mapping[str, str]"
) -> "bytes | None":
    """Return the `LiteralMap` of one element; `None` when only `element_of` can say what it is.

    Args:
        uri: Where the inputs of the whole map are.
        read: Reads them.
        mapped: The names of the inputs that are lists, of which each element gets one item.
        env: The attempt's variables, which have the element's number.

    Raises:
        TaskFailed: when the environment names no element.
    """
    index = _index(env)
    try:
        lists = _kept.get(uri, mapped, read)
        parts = list(lists.whole)
        for name, bounds in lists.items.items():
            start, end = bounds[2 * index], bounds[2 * index + 1]
            item = lists.data[start:end]
            value = b"\x12" + varint(len(item)) + item
            entry = b"\x0a" + varint(len(name)) + name + value
            parts.append(b"\x0a" + varint(len(entry)) + entry)
    # `element_of` decodes everything. It is slow, and its errors name the input.
    except (IndexError, ValueError):
        return None
    return b"".join(parts) if index >= 0 else None


def element_of(
    inputs: "Mapping[str, Literal]", mapped: "tuple[str, ...]", env: "Mapping[str, str]"
) -> "dict[str, Literal]":
    """Return the inputs of the element that the environment names: its item of each mapped list.

    Other inputs are passed to every element unchanged.

    Args:
        inputs: The inputs of the whole map.
        mapped: The names of the inputs that are lists, of which each element gets one item.
        env: The attempt's variables, which have the element's number.

    Raises:
        TaskFailed: when the environment names no element, or a mapped input is not a list with that item.
    """
    index = _index(env)
    return {
        name: _item(name, literal, index) if name in mapped else literal
        for name, literal in inputs.items()
    }


def _index(env: "Mapping[str, str]") -> int:
    name = env.get(NAME_VARIABLE, "")
    number, offset = env.get(name, ""), env.get(OFFSET_VARIABLE) or "0"
    try:
        return int(number) + int(offset)
    except ValueError:
        message = (
            f"This is one element of a map, and the environment does not say which one: {NAME_VARIABLE}"
            f" is {name!r}, {name or 'the variable that it names'} is {number!r}, and"
            f" {OFFSET_VARIABLE} is {offset!r}. The platform that runs the map must set them."
        )
        raise TaskFailed(ErrorInfo("SYSTEM:MapIndexMissing", message, SYSTEM)) from None


def _item(name: str, literal: Literal, index: int) -> Literal:
    kind, value = literal.kind, literal.value
    if kind == literals.COLUMN:
        items: Any = value[1]
    elif kind == literals.COLLECTION:
        items = value
    else:
        message = (
            f"The input {name!r} of a map must be a list, and it is {kind}. Bind a list to it."
        )
        raise TaskFailed(ErrorInfo("USER:MapInputMismatch", message, USER))
    if not 0 <= index < len(items):
        message = (
            f"The input {name!r} of a map has {len(items)} items, and this is element {index},"
            " counted from 0. All lists that a map takes must have the same length."
        )
        raise TaskFailed(ErrorInfo("USER:MapInputMismatch", message, USER))
    return Literal(value[0], items[index]) if kind == literals.COLUMN else items[index]


def _lists_in(data: bytes, mapped: "tuple[str, ...]") -> _Lists:
    """Return where the items of the mapped lists are in the bytes of a `LiteralMap`.

    Raises:
        ValueError: when the bytes have another form.
        IndexError: when they end too early.
    """
    names = {name.encode() for name in mapped}
    whole: list[bytes] = []
    items: dict[bytes, array[int]] = {}
    place = 0
    while place < len(data):
        start, end = _field(data, place, 0x0A)
        name_start, name_end = _field(data, start, 0x0A)
        name = data[name_start:name_end]
        # Only the mapped lists are looked into. All else is copied without being decoded.
        if name in names:
            literal_start, literal_end = _field(data, name_end, 0x12)
            list_start, list_end = _field(data, literal_start, 0x12)
            if list_end != literal_end or literal_end != end or name in items:
                raise ValueError("a hash, metadata or another entry of the same name follows")
            items[name] = _bounds(data, list_start, list_end)
        else:
            whole.append(data[place:end])
        place = end
    if len(items) != len(names):
        raise ValueError("an input is missing")
    return _Lists(data, tuple(whole), items)


def _bounds(data: bytes, place: int, end: int) -> "array[int]":
    # A list of Python's ints would take several times the memory for the same numbers.
    bounds = array("Q")
    add = bounds.append
    while place < end:
        if data[place] != 0x0A:
            raise ValueError("not an item")
        size = data[place + 1]
        place += 2
        if size > 127:  # the length has more bytes
            start, stop = _field(data, place - 2, 0x0A)
            place, size = start, stop - start
        add(place)
        place += size
        add(place)
    if place != end:
        raise ValueError("the last item is cut off")
    return bounds


def _field(data: bytes, place: int, tag: int) -> "tuple[int, int]":
    """Return where the value of the length-delimited field at `place` begins and ends."""
    if data[place] != tag:
        raise ValueError("another field")
    size = shift = 0
    while True:
        place += 1
        byte = data[place]
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    if place + 1 + size > len(data):
        raise ValueError("the value is cut off")
    return place + 1, place + 1 + size
