"""Compile Flyte workflows: flyteidl specs in, the compiled closure or every problem at once out.

The room works on flyteidl messages, as FlytePropeller's compiler does, so that no field of another
client's spec is lost. Rules and results are those of flytepropeller/pkg/compiler at v1.16.8.

It is pure: it reads no file, no clock and no random number, and it imports only `api` and `wire`.
Start reading at `workflows.py` (`compile_workflow`), then `nodes.py`, `bindings.py` and
`casting.py`. The theory of operation is in `docs/compiler.md`.
"""

from flyte_nb.compiler.collector import flyte_error_text
from flyte_nb.compiler.dynamic import (
    compile_dynamic,
    dynamic_identifier,
    dynamic_tasks,
    dynamic_template,
)
from flyte_nb.compiler.inputs import check_inputs
from flyte_nb.compiler.launchable import check_launchable, check_options
from flyte_nb.compiler.program import LaunchPlanInterface, identifier_text
from flyte_nb.compiler.requirements import Requirements
from flyte_nb.compiler.tasks import compile_task
from flyte_nb.compiler.workflows import compile_workflow, requirements

__all__ = [
    "LaunchPlanInterface",
    "Requirements",
    "check_inputs",
    "check_launchable",
    "check_options",
    "compile_dynamic",
    "compile_task",
    "compile_workflow",
    "dynamic_identifier",
    "dynamic_tasks",
    "dynamic_template",
    "flyte_error_text",
    "identifier_text",
    "requirements",
]
