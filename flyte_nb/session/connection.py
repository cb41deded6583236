"""The link from a session to its FlyteAdmin: a configured one, or the local backend.

This is the one module in which the client meets the local backend's launcher. It loads gRPC.
"""

import os
import threading
from pathlib import Path

from flyte_nb.admin import daemon
from flyte_nb.admin.daemon import BackendInfo
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.client.channel import Link, Target
from flyte_nb.client.config import Config
from flyte_nb.client.targets import configured_target, local_target
from flyte_nb.registering.local_backend import own_calls


class Connection:
    """A link to one FlyteAdmin, and what is known about the other side. Thread-safe."""

    def __init__(self, config: "Config | None", home: "Path | None") -> None:
        """Connect at once.

        Args:
            config: The configured FlyteAdmin; `None` means the local backend.
            home: The local backend's folder; `None` means the default one.

        Raises:
            BackendError: the local backend does not run and cannot be started.
        """
        self.config = config
        self._home = home
        # Reentrant: opening the link calls `_locate`, which takes the lock again.
        self._lock = threading.RLock()
        self.backend: BackendInfo | None = None
        """The local backend that was found or started; `None` with a configured FlyteAdmin."""
        self._target: Target | None = None
        self.own_calls = own_calls(config)
        """Calls that only the local backend has; they do nothing with another FlyteAdmin."""
        self.link: Link = Link(self._locate)
        self.client = AdminClient(self.link)
        self.endpoint = self.client.endpoint
        """`host:port` of the FlyteAdmin; a local backend that was started again may have another one."""

    @property
    def storage_root(self) -> str:
        """URI of the local backend's object folder; empty when it is not on this machine."""
        return self.backend.storage_root if self.backend is not None else ""

    def answers(self) -> bool:
        """Return whether a call would start nothing: a local backend runs, or FlyteAdmin is configured."""
        return self.config is not None or daemon.status(self._home) is not None

    def _locate(self) -> Target:
        """Return where FlyteAdmin is now; start the local backend when it does not run.

        `Link` calls this when it opens a channel and again after calls failed, because a local backend
        that was stopped and started has another port and another token.
        """
        with self._lock:
            if self.config is not None:
                if self._target is None:
                    self._target = configured_target(self.config, os.environ, self.link)
                return self._target
            self.backend = backend = daemon.ensure(self._home)
            self.endpoint = backend.endpoint
            self.own_calls.say(backend.notice)
            return local_target(backend.endpoint, backend.token, str(backend.config_file))
