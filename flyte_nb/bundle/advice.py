"""What to do about a value that cannot travel, by what kind of thing it is."""

from collections.abc import Sequence
from typing import Any

_MADE_INSIDE = "Create it inside of the task, or pass the data that it is made from."
_KERNELS = ("flyte_nb.", "IPython.", "ipykernel.", "traitlets.", "ipywidgets.")

_BY_KIND: "tuple[tuple[tuple[str, ...], str], ...]" = (
    (
        ("generator", "iterator", "map", "filter", "zip", "enumerate", "coroutine"),
        "It can be gone through once, here. Make a list of it, or make it inside of the task.",
    ),
    (
        ("TextIOWrapper", "BufferedReader", "BufferedWriter", "BufferedRandom", "FileIO", "mmap"),
        "It is open in this process. Pass the file as a FlyteFile input, or open it inside of the"
        " task.",
    ),
    (
        ("Connection", "Cursor", "Engine", "Client", "Session", "socket", "SSLSocket", "Channel"),
        "It is connected from this process. Connect inside of the task; let the address be an input,"
        " and credentials a Secret.",
    ),
    (
        (
            "Thread",
            "Process",
            "Popen",
            "ThreadPoolExecutor",
            "ProcessPoolExecutor",
            "Task",
            "Future",
        ),
        "It runs in this process. Start it inside of the task.",
    ),
)
_ON_A_DEVICE = ("cuda", "device", "gpu", "mps", "tpu")


def is_of_the_kernel(value: Any) -> bool:
    """Whether the value belongs to the notebook itself: a session, the shell, a widget."""
    return f"{type(value).__module__}.".startswith(_KERNELS)


def advice(values: "Sequence[Any]", reason: "Exception | None") -> str:
    """What the author can do about what cannot travel.

    Args:
        values: the culprit, and the variable's value that it lies in.
        reason: what pickling raised.
    """
    for value in values:
        if is_of_the_kernel(value):
            return (
                "It belongs to this notebook and means nothing where the task runs. Leave it out."
            )
        names = [kind.__name__ for kind in type(value).__mro__]
        for kinds, said in _BY_KIND:
            if any(_is_called(name, kind) for name in names for kind in kinds):
                return said
        text = f"{type(value).__name__} {reason}".lower()
        if any(word in text for word in _ON_A_DEVICE):
            return "Move it to the CPU first (and pass that), or load it inside of the task."
    if "recursion" in str(reason):
        return "It is nested too deeply. Flatten it, or pass it as a file."
    return _MADE_INSIDE


def _is_called(name: str, kind: str) -> bool:
    return name == kind or (kind[0].isupper() and name.endswith(kind))
