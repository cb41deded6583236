"""Tell entities from other objects: what the SDK defines, and specs from files."""

from flyte_nb.api.errors import UsageError
from flyte_nb.discovery.specs.spec import Spec
from flyte_nb.sdk.entity import Definition


def check_entity(*entities: object) -> None:
    """Check that these are tasks, workflows, launch plans or specs.

    Raises:
        UsageError: one is something else; it names it.
    """
    for entity in entities:
        if not isinstance(entity, (Definition, Spec)):
            raise UsageError(
                f"{entity!r} is no task, workflow or launch plan."
                " Pass what @task or @workflow made."
            )
