"""Which machine a process is on: what stands in `backend.json`, and comes with what is registered.

A home folder may be shared by several machines or containers, and a backend can be reached only from
its own: it listens on the loopback interface.
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


class Machine(NamedTuple):
    """A machine, or a container on it."""

    host: str = ""
    """Its name, for messages. It may change while the machine runs."""
    boot: str = ""
    """Names the boot, and the network and processes that a process sees. Empty where unknown."""

    def is_another(self, other: "Machine") -> bool:
        """Return whether both are known and are not the same."""
        if not self.boot or not other.boot:
            return bool(self.host and other.host and self.host != other.host)
        if self.boot == other.boot:
            return False
        # The same name and another boot: this machine was started again.
        return self.has_boot_of(other) or self.host != other.host

    def has_boot_of(self, other: "Machine") -> bool:
        """Return whether one kernel runs both; they may be containers of it."""
        return bool(self.boot) and self.boot.partition(" ")[0] == other.boot.partition(" ")[0]


def this_machine() -> Machine:
    """Return the machine that this process is on."""
    return Machine(socket.gethostname(), _boot_of_macos() if sys.platform == "darwin" else _boot())


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
    """What `sysctl kern.bootsessionuuid` prints: there a machine's name changes with its network."""
    text = ctypes.create_string_buffer(64)
    size = ctypes.c_size_t(len(text))
    with suppress(OSError, AttributeError):
        ask = ctypes.CDLL(None).sysctlbyname
        if ask(b"kern.bootsessionuuid", text, ctypes.byref(size), None, 0) == 0:
            return text.value.decode("ascii", "replace")
    return ""
