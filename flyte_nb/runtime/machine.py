"""Tell machines apart, for `backend.json` and for what a client sends when it registers.

Several machines or containers may share a home folder. A backend listens on the loopback interface, so
only processes on its own machine can reach it.
"""

import ctypes
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACES = ("net", "pid")


class HostMachine(NamedTuple):
    """A machine, or a container on it."""

    host: str = ""
    """The machine's name, for messages. It may change while the machine runs."""
    boot: str = ""
    """An id of this boot, with the network and process namespaces. Empty when unknown."""

    def is_another(self, other: "HostMachine") -> bool:
        """Return whether both machines are known and they differ."""
        if not self.boot or not other.boot:
            return bool(self.host and other.host and self.host != other.host)
        if self.boot == other.boot:
            return False
        # Another boot under the same name is this machine after a restart. Another boot under another
        # name, or another namespace in the same boot (a container), is another machine.
        return self.has_boot_of(other) or self.host != other.host

    def has_boot_of(self, other: "HostMachine") -> bool:
        """Return whether one kernel runs both. They may be containers on it."""
        return bool(self.boot) and self.boot.partition(" ")[0] == other.boot.partition(" ")[0]


def this_machine() -> HostMachine:
    """Return the machine that this process is on."""
    return HostMachine(
        socket.gethostname(), _boot_of_macos() if sys.platform == "darwin" else _boot()
    )


def _boot() -> str:
    try:
        boot = _BOOT.read_text().strip()
    except OSError:
        return ""
    for name in _NAMESPACES:
        with suppress(OSError):
            boot += f" {os.readlink(f'/proc/self/ns/{name}')}"
    return boot


def _boot_of_macos() -> str:
    """Return `kern.bootsessionuuid`. A macOS machine's name changes with its network, so it will not do."""
    text = ctypes.create_string_buffer(64)
    size = ctypes.c_size_t(len(text))
    with suppress(OSError, AttributeError):
        ask = ctypes.CDLL(None).sysctlbyname
        if ask(b"kern.bootsessionuuid", text, ctypes.byref(size), None, 0) == 0:
            return text.value.decode("ascii", "replace")
    return ""
