"""Execute a notebook and register what it defines, for `flyte-nb register notebook.ipynb`.

What a notebook defines exists only in its kernel. So one more cell registers it there, and prints a line
of JSON for each entity after a mark, by which the lines are found among the notebook's own output.
"""

import json
from collections.abc import Callable
from pathlib import Path

from flyte_nb.api.errors import UsageError
from flyte_nb.discovery.names import tidy
from flyte_nb.unattended import headless

_MARK = "flyte-nb-registration:"
_SOURCE = """
import json as _json
import flyte_nb.session.session as _session
_done = _session.default_session().register(dry_run={dry_run}, restage={restage})
for _entity in _done.entities:
    print({mark!r} + _json.dumps([_entity.state, *_entity.id, _entity.why]))
"""


def register_notebook(
    path: Path, *, dry_run: bool = False, restage: bool = False, say: "Callable[[str], object]"
) -> int:
    """Execute the notebook and register everything it defines; return the exit code.

    Args:
        path: The notebook's file.
        dry_run: Whether only to show what would happen.
        restage: Whether to stage again what is missing or damaged of registered code.
        say: Called with each line for the person: one for each entity.

    Returns:
        0, or 1 when a cell or the registration failed.

    Raises:
        UsageError: there is no such notebook, it defines nothing, or nbclient is not installed.
    """
    notebook = headless.read(path)
    source = _SOURCE.format(dry_run=dry_run, restage=restage, mark=_MARK)
    outcome = headless.execute(
        notebook, folder=path.resolve().parent, name=tidy(path.stem), extra=[source]
    )
    if outcome.error:
        say(f"{path} failed:\n{outcome.error}")
        return 1
    lines = [
        line[len(_MARK) :]
        for text in headless.texts(outcome.notebook.cells[-1])
        for line in text.splitlines()
        if line.startswith(_MARK)
    ]
    if not lines:
        raise UsageError(f"{path} defines no task or workflow.")
    say(f"{path}: its entities are named {tidy(path.stem)}.…")
    for line in lines:
        state, resource_type, _, _, name, _, why = json.loads(line)
        say(f"{state:<10}{resource_type:<12}{name}  ({why})")
    return 0
