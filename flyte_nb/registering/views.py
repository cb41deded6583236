"""Values that say what a registration did. Displays, widgets and commands show these."""

from typing import TYPE_CHECKING, NamedTuple

from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.problems import Problem

# Imported for checking only: it loads cloudpickle, which showing values does not need.
if TYPE_CHECKING:
    from flyte_nb.bundle.pack import Captured

NEW = "new"
CHANGED = "changed"
UNCHANGED = "unchanged"
FAILED = "failed"


class RegisteredEntity(NamedTuple):
    """What registration did, or would do, with one entity."""

    id: Identifier
    state: str
    """`new`, `changed` (another version of the name was registered), `unchanged` or `failed`."""
    why: str
    """In words, e.g. `first time`, `helper features() changed`, `same fingerprint as what is registered`."""
    uploaded_bytes: int = 0
    problems: "tuple[Problem, ...]" = ()
    warnings: "tuple[str, ...]" = ()
    """What an author should look at in a task's code: large captured values, names that look like secrets."""
    captured: "tuple[Captured, ...]" = ()
    """The parts of the code that travel with a task."""

    @property
    def why_beside_problems(self) -> str:
        """Return why it is in its state, without repeating the problems that are listed below it."""
        if self.problems and self.why == self.problems[0].message:
            count = len(self.problems)
            return "1 problem" if count == 1 else f"{count} problems"
        return self.why


class Registration(NamedTuple):
    """The outcome of one registration, in dependency order."""

    entities: "tuple[RegisteredEntity, ...]"
    uploaded_bytes: int
    rpcs: int
    """Calls made to FlyteAdmin."""
    elapsed_s: float

    @property
    def ok(self) -> bool:
        """Return whether no entity failed."""
        return all(entity.state != FAILED for entity in self.entities)
