"""The command `flyte-nb`."""

import sys
from collections.abc import Sequence


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run the command; its exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["execute"]:  # before anything else loads: every attempt pays for it
        from flyte_nb.runtime.execute import main as execute

        return execute(given[1:])
    from flyte_nb.commands import main as run

    return run(given)
