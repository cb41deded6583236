"""Look up results of discoverable tasks and keep them. A catalog that fails never fails an execution."""

import logging

from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.tasks_pb2 import TaskTemplate
from google.protobuf.message import DecodeError

from flyte_nb.api.errors import CodecError, StorageError
from flyte_nb.propeller import records as r
from flyte_nb.propeller.cache import key, uris_in
from flyte_nb.propeller.launch import Launch
from flyte_nb.propeller.ports import Catalog
from flyte_nb.propeller.state import NodeState
from flyte_nb.storage.durable import is_gone

_log = logging.getLogger(__name__)


def missing_outputs(task: TaskTemplate, outputs: LiteralMap) -> "list[str]":
    """Return the outputs that the task's interface names and that `outputs` does not have, sorted."""
    return sorted(set(task.interface.outputs.variables) - set(outputs.literals))


class Results:
    """The catalog as one execution uses it. The answers have the node's `cache_status`."""

    def __init__(self, catalog: "Catalog | None", launch: Launch) -> None:
        self._catalog = catalog
        self._id = launch.id
        self._overwrite = launch.overwrite_cache

    def key(self, node: NodeState, inputs: LiteralMap) -> str:
        """Return the catalog key of the result for these inputs; empty when results are not kept."""
        task = node.plan.task
        if self._catalog is None or task is None or not node.plan.discoverable:
            return ""
        return key(task, node.plan.discovery_version, inputs)

    def find(self, node: NodeState, inputs: LiteralMap) -> tuple[str, "LiteralMap | None"]:
        """Return the `cache_status`, and the outputs for these inputs if the catalog has them."""
        task = node.plan.task
        if self._catalog is None or task is None:
            return r.CACHE_DISABLED, None
        if self._overwrite:
            return r.CACHE_SKIPPED, None
        try:
            found = self._catalog.get(key(task, node.plan.discovery_version, inputs))
            if found is None:
                return r.CACHE_MISS, None
            outputs = LiteralMap.FromString(found)
            lost = self._lost(task, outputs)
            if not lost:
                return r.CACHE_MISS, outputs
            _log.warning("%s: %s ran before, and %s; it runs again", self._id, task.id.name, lost)
            return r.CACHE_MISS, None
        except (StorageError, DecodeError, CodecError) as error:
            # CodecError: another client's inputs may have no key.
            _log.warning("%s: the catalog cannot be read: %s", self._id, error)
            return r.CACHE_LOOKUP_FAILURE, None

    def _lost(self, task: TaskTemplate, outputs: LiteralMap) -> str:
        """Return why the outputs in the catalog cannot be used, as a text; empty when they can."""
        missing = missing_outputs(task, outputs)
        if missing:
            return f"what is remembered lacks {', '.join(missing)}"
        gone = [uri for uri in uris_in(outputs.literals.values()) if is_gone(uri)]
        return f"what it returned is gone from {', '.join(gone)}" if gone else ""

    def keep(self, node: NodeState, inputs: LiteralMap, outputs: LiteralMap) -> str:
        """Put the outputs into the catalog, if there are any; return the `cache_status`."""
        task, status = node.plan.task, node.cache_status
        if self._catalog is None or task is None or not task.interface.outputs.variables:
            return status
        try:
            data = outputs.SerializeToString(deterministic=True)
            self._catalog.put(key(task, node.plan.discovery_version, inputs), data)
        except (StorageError, CodecError) as error:
            _log.warning("%s: the catalog cannot be written: %s", self._id, error)
            return r.CACHE_PUT_FAILURE
        return r.CACHE_POPULATED
