"""Advise an author what to do about a value that cannot travel, by the kind of value."""

from collections.abc import Sequence

_MADE_INSIDE = "Create it inside of the task, or pass the data that it is made from."
_KERNELS = ("flyte_nb.", "IPython.", "ipykernel.", "traitlets.", "ipywidgets.")

_BY_KIND: "tuple[tuple[tuple[str, ...], str], ...]" = (
    (
        ("generator", "iterator", "map", "filter", "zip", "enumerate", "coroutine"),
        "It can be read only once, and only in this process. Make a list of it, or create it inside"
        " of the task.",
    ),
    (
        ("TextIOWrapper", "BufferedReader", "BufferedWriter", "BufferedRandom", "FileIO", "mmap"),
        "It is open in this process only. Pass the file as a FlyteFile input, or open it inside of"
        " the task.",
    ),
    (
        ("Connection", "Cursor", "Engine", "Client", "Session", "socket", "SSLSocket", "Channel"),
        "It is a connection of this process. Connect inside of the task; pass the address as an input"
        " and the credentials as a Secret.",
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
        "It runs in this process only. Start it inside of the task.",
    ),
)
_ON_A_DEVICE = ("cuda", "device", "gpu", "mps", "tpu")


def is_of_the_kernel(value: object) -> bool:
    """Return whether the value belongs to the notebook itself: a session, the shell, a widget."""
    return f"{type(value).__module__}.".startswith(_KERNELS)


def advice(values: "Sequence[object]", reason: "Exception | None") -> str:
    """Return a sentence that says what the author can do about a value that cannot travel.

    Args:
        values: the value that cannot be pickled, then the variable's value that contains it.
        reason: the exception that pickling raised.
    """
    for value in values:
        if is_of_the_kernel(value):
            return (
                "It belongs to this notebook and means nothing where the task runs. Leave it out."
            )
        # By class name, so that no library has to be imported here to recognise its objects.
        names = [kind.__name__ for kind in type(value).__mro__]
        for kinds, sentence in _BY_KIND:
            if any(_is_called(name, kind) for name in names for kind in kinds):
                return sentence
        text = f"{type(value).__name__} {reason}".lower()
        if any(word in text for word in _ON_A_DEVICE):
            return "Move it to the CPU first (and pass that), or load it inside of the task."
    if "recursion" in str(reason):
        return "It is nested too deeply. Flatten it, or pass it as a file."
    return _MADE_INSIDE


def _is_called(name: str, kind: str) -> bool:
    # A prefix is usual for classes (`SSLSocket`, `AsyncClient`), not for the lower-case built-ins.
    return name == kind or (kind[0].isupper() and name.endswith(kind))
