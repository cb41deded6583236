"""What services have in common: the form of a call, and the parts that `server.py` gives to each."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from flyteidl.core.tasks_pb2 import TaskTemplate
from google.protobuf.message import Message

from flyte_nb.admin.store.database import Database
from flyte_nb.admin.store.entities import Entities
from flyte_nb.admin.store.projects import Projects
from flyte_nb.api.ports import BlobStore


class Noted(NamedTuple):
    """An answer, with a notice for the person who called. Nothing was refused."""

    answer: Message
    notice: str
    """One or more sentences for a person."""


Rpc = Callable[[Any], "Message | bytes | Noted"]
"""One call: takes a flyteidl request, returns the answer as a message or already serialized."""

Rpcs = Mapping[str, Rpc]
"""Calls by their names in flyteidl, e.g. `CreateTask`."""


class Service(Protocol):
    """A group of calls, in a file of its own."""

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
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
    """URI of the folder for everything that is stored but is not a row."""
    clock: Callable[[], int]
    """The time in microseconds since 1970."""
    principal: str
    """The name of the user. All calls are this one person's, whose backend it is."""
    why_not: Callable[[TaskTemplate], str]
    """Returns why the engine cannot run a task, as a sentence; empty when it can."""
