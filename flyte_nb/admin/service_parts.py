"""What the services are made of; put together once, in `server.py`."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from google.protobuf.message import Message

from flyte_nb.admin.store.database import Database
from flyte_nb.admin.store.entities import Entities
from flyte_nb.admin.store.projects import Projects
from flyte_nb.api.ports import BlobStore


class Noted(NamedTuple):
    """An answer, and what the caller should know about it though nothing was refused."""

    answer: Message
    notice: str
    """One or more sentences for a person."""


Rpc = Callable[[Any], "Message | bytes | Noted"]
"""One call: a flyteidl request in, the answer out, as a message or already serialized."""

Rpcs = Mapping[str, Rpc]
"""Calls by their names in flyteidl, e.g. `CreateTask`."""


class Service(Protocol):
    """One file's worth of calls."""

    def rpcs(self) -> Rpcs:
        """The calls of this service."""
        ...


class Parts(NamedTuple):
    """What every service may use."""

    database: Database
    projects: Projects
    tasks: Entities
    workflows: Entities
    launch_plans: Entities
    blobs: BlobStore
    storage_root: str
    """URI of the folder below which everything is stored that is not a row."""
    clock: Callable[[], int]
    """The time in microseconds since 1970."""
    principal: str
    """Who calls: there is one person, the one whose backend this is."""
