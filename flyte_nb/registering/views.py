"""What registration did, as values. Displays, widgets and commands show these."""

from typing import Any, NamedTuple

from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.problems import Problem

NEW = "new"
CHANGED = "changed"
UNCHANGED = "unchanged"
FAILED = "failed"


class RegisteredEntity(NamedTuple):
    """What registration did, or would do, with one entity."""

    id: Identifier
    state: str
    """`new`, `changed` (the name was known in another version), `unchanged` or `failed`."""
    why: str
    """In words: `first time`, `helper features() changed`, `same fingerprint as what is registered`."""
    uploaded_bytes: int = 0
    problems: "tuple[Problem, ...]" = ()
    warnings: "tuple[str, ...]" = ()
    """What is worth a look in a task's code: big things it captured, names that look like secrets."""
    captured: "tuple[Any, ...]" = ()
    """What a task's function takes along: `bundle.pack.Captured` values."""

    @property
    def why_beside_problems(self) -> str:
        """Why it is in its state, for a row above its problems: what they say is not repeated."""
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
        """Whether nothing failed."""
        return all(entity.state != FAILED for entity in self.entities)
