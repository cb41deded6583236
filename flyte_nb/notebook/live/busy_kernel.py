"""Let widgets answer while a cell runs.

A kernel reads messages of the page in its main thread, which a running cell occupies. ipykernel 7 has
*subshells*: further threads that read messages, to which a message goes that names one, or a message of a
widget that is routed there. So a subshell is made, once for a kernel, and widgets are routed to it.

Where that is not possible (an older ipykernel, another kernel), widgets answer when the cell has ended.
"""

import threading

_PATIENCE_S = 2.0
_made: "dict[int, str]" = {}
"""The subshell by the kernel's `id`; there is one kernel in a process."""


def answer_while_busy(widget: object, shell: object) -> bool:
    """Have a widget and all inside of it answer while a cell runs; return whether that is possible.

    Args:
        widget: The outermost widget.
        shell: IPython's shell, which knows its kernel.
    """
    subshell = _subshell(getattr(shell, "kernel", None))
    if not subshell:
        return False
    _route(widget, subshell)
    return True


def _route(widget: object, subshell: str) -> None:
    comm = getattr(widget, "comm", None)
    if comm is not None and hasattr(comm, "_reply_subshell_for"):
        # ipykernel asks the comm where a message of the page goes.
        comm._reply_subshell_for = lambda data, default: subshell
    for child in getattr(widget, "children", ()):
        _route(child, subshell)


def _subshell(kernel: object) -> str:
    """Return the subshell for widgets; empty when the kernel has none."""
    if kernel is None or not getattr(kernel, "_supports_kernel_subshells", False):
        return ""
    if id(kernel) not in _made:
        _made[id(kernel)] = _new_subshell(kernel)
    return _made[id(kernel)]


def _new_subshell(kernel: object) -> str:
    """Ask the kernel for a subshell, as a page does: in its control thread, which owns the socket for it."""
    made: list[str] = []
    channel = getattr(kernel, "shell_channel_thread", None)
    pair = getattr(getattr(channel, "manager", None), "control_to_shell_channel", None)
    loop = getattr(getattr(kernel, "control_thread", None), "io_loop", None)
    if pair is None or loop is None:
        return ""
    done = threading.Event()

    def make() -> None:
        try:
            socket = pair.from_socket
            socket.send_json({"type": "create"})
            made.append(socket.recv_json().get("subshell_id") or "")
        except Exception:  # noqa: BLE001 - private parts of another library: any of them may change
            made.append("")
        finally:
            done.set()

    loop.add_callback(make)
    return made[0] if done.wait(_PATIENCE_S) else ""
