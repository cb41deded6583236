"""Rows of the table: commands that answer the gates of executions."""

from flyte_nb.surface.command import EXECUTION, Positional, Row, Side

_EXECUTION = Positional(EXECUTION, "an execution's name", required=True)
_GATE = Positional("GATE", "the gate's name", required=True)


def _row(name: str, notebook: str, terminal: str, example: str) -> Row:
    return Row(
        name,
        notebook=Side(
            notebook, f"flyte_nb.notebook.commands.answering.{name}", (f"%flyte {name} {example}",)
        ),
        terminal=Side(
            terminal, f"flyte_nb.commands.answering.{name}", (f"flyte-nb {name} f3a9c {example}",)
        ),
        positionals=(_EXECUTION, _GATE),
    )


ANSWERING: "tuple[Row, ...]" = (
    Row(
        "signals",
        notebook=Side(
            "Show the gates of an execution, and what its nodes wait for.",
            "flyte_nb.notebook.commands.answering.signals",
        ),
        terminal=Side(
            "List the gates of an execution, and what its nodes wait for.",
            "flyte_nb.commands.answering.signals",
            ("flyte-nb signals f3a9c --output json",),
        ),
        positionals=(_EXECUTION,),
    ),
    Row(
        "signal",
        notebook=Side(
            "Give a gate the value that it waits for.",
            "flyte_nb.notebook.commands.answering.signal",
            ("%flyte signal depth=3", "%flyte signal f3a9c depth=3"),
        ),
        terminal=Side(
            "Give a gate the value that it waits for.",
            "flyte_nb.commands.answering.signal",
            ("flyte-nb signal f3a9c depth=3",),
        ),
        positionals=(_EXECUTION,),
        takes_inputs=True,
    ),
    _row(
        "approve",
        "Approve what waits at a gate, of the last execution when none is named.",
        "Approve what waits at a gate.",
        "review",
    ),
    _row(
        "reject",
        "Reject what waits at a gate: the execution fails there.",
        "Reject what waits at a gate: the execution fails there.",
        "review",
    ),
)
