"""`flyte-nb`: one function a command. `execute`, which tasks run, is dispatched before all else."""

import sys


def main(argv: "list[str] | None" = None) -> int:
    """Run one command; return the process's exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == ["execute"]:
        from flyte_nb.runtime.execute import main as execute

        return execute(arguments[1:])
    return 2
