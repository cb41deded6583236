"""The notebook's registrar: find what the notebook defines now."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from flyte_nb.api.identifiers import MAIN_MODULE
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.launch_plan import LaunchPlan
from flyte_nb.sdk.task import AnyTask, Task
from flyte_nb.sdk.workflow import Workflow

_KINDS = (Task, Workflow, LaunchPlan)


class Missing(NamedTuple):
    """An entity that is used or was known, and that the notebook no longer defines."""

    resource_type: str
    short_name: str
    used_by: str = ""
    """The workflow that still refers to it; empty when none does."""

    def __str__(self) -> str:
        noun = self.resource_type.replace("_", " ")
        if self.used_by:
            return (
                f"{self.used_by} uses the {noun} {self.short_name}, which the notebook no longer"
                f" defines. Run the cell of {self.used_by} again, or define {self.short_name} again."
            )
        return (
            f"The {noun} {self.short_name} is no longer defined here; its registered versions stay."
        )


class NotebookRegistrar:
    """Finds the entities that cells define. A cell that is run again replaces what it defined before."""

    def __init__(self, user_ns: "Mapping[str, Any]") -> None:
        """Look at one namespace.

        Args:
            user_ns: The kernel's namespace, `vars(__main__)`; it is read anew at every call.
        """
        self._user_ns = user_ns
        self._seen: dict[tuple[str, str], None] = {}

    def load(self, env: "Mapping[str, str]") -> "list[Definition]":
        """Return every task, workflow and launch plan of `__main__` that has a name now, each once.

        They come in the order of their variables. Of several objects with one name (an old one may be kept
        under another variable), the one in the variable of that name is returned, else the newest.
        """
        found: dict[tuple[str, str], Definition] = {}
        for variable, value in list(self._user_ns.items()):
            if not isinstance(value, _KINDS) or variable.startswith("_"):
                continue  # `_`, `__`, `_5`: what cells displayed
            if value.module != MAIN_MODULE:
                continue  # imported: registered when something refers to it
            # `old = fit` keeps a task under another variable when its cell is run again.
            key = (value.resource_type, value.short_name)
            if key in found and variable != value.short_name:
                held = self._user_ns.get(value.short_name)
                if held is found[key]:
                    continue
            found[key] = value
        self._seen.update(dict.fromkeys(found))
        return list(found.values())

    def missing(self, entities: "list[Definition]") -> "list[Missing]":
        """Return what was defined before and no longer is, and what is used without being defined.

        Args:
            entities: Everything reachable from what `load` found.
        """
        defined = {(entity.resource_type, entity.short_name): entity for entity in self.load({})}
        gone = []
        for entity in entities:
            if isinstance(entity, AnyTask):
                entity = entity.original  # of a map, the task that is mapped
            key = (entity.resource_type, entity.short_name)
            if (
                entity.module == MAIN_MODULE
                and key not in defined
                and not isinstance(entity, LaunchPlan)
            ):
                gone.append(Missing(*key, used_by=_user_of(entity, list(defined.values()))))
        known = {(item.resource_type, item.short_name) for item in gone}
        gone.extend(Missing(*key) for key in self._seen if key not in defined and key not in known)
        return gone


def _user_of(entity: Definition, defined: "list[Definition]") -> str:
    """Return a defined workflow whose body names `entity`. It is a guess by name, good enough for a hint."""
    for item in defined:
        if isinstance(item, Workflow) and entity.short_name in item.code.co_names:
            return item.short_name
    return "a workflow"
