"""The command `flyte-nb`, also as `python -m flyte_nb`.

`execute`, which tasks run, is dispatched before any command-line library loads: every cold attempt pays
for what is imported here.

Exit codes: 0 done; 1 what was asked for failed (a run, a registration); 2 the command was called
wrongly; 3 FlyteAdmin cannot be reached or refused; 130 interrupted.
"""

import sys


def main(argv: "list[str] | None" = None) -> int:
    """Run one command; return the process's exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == ["execute"]:
        from flyte_nb.runtime.execute import main as execute

        return execute(arguments[1:])
    from flyte_nb.commands.dispatch import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
