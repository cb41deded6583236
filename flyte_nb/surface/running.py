"""Rows of the table: commands that start executions and look at them."""

from flyte_nb.surface.command import (
    ENTITY,
    EXECUTION,
    NODE,
    NOTEBOOK,
    TERMINAL,
    Option,
    Positional,
    Row,
    Side,
)

_EXECUTION = Positional(EXECUTION, "an execution's name", required=True)

_NAME = Option("--execution-name", "NAME", "the new execution's name; default: a generated one")
_WAIT = Option("--wait", "", "follow it to its end; exit code 1 when it fails", only=TERMINAL)

RUNNING: "tuple[Row, ...]" = (
    Row(
        "launch",
        notebook=Side(
            "Launch with the given inputs; without inputs, show a form.",
            "flyte_nb.notebook.commands.launching.launch",
            ('%flyte launch train depth=3 url="https://…"',),
        ),
        terminal=Side(
            "Launch a registered launch plan or task.",
            "flyte_nb.commands.executions.launch",
            (
                'flyte-nb launch pipeline.train depth=3 names=\'["a", "b"]\' --wait',
                "flyte-nb launch pipeline.clean --version 4kq2…",
            ),
        ),
        positionals=(Positional(ENTITY, "a registered launch plan or task", required=True),),
        options=(
            Option("--form", "", "show the form even if inputs were given", only=NOTEBOOK),
            Option(
                "--version",
                "VERSION",
                "a registered version; default: the code as it is now",
                only=NOTEBOOK,
            ),
            Option(
                "--version", "VERSION", "a registered version; default: the latest", only=TERMINAL
            ),
            Option("--execution-name", "NAME", "the execution's name; default: a generated one"),
            _WAIT,
        ),
        takes_inputs=True,
    ),
    Row(
        "watch",
        notebook=Side(
            "Follow an execution live; the last one when none is named.",
            "flyte_nb.notebook.commands.watching.watch",
        ),
        terminal=Side(
            "Follow an execution until it has ended.",
            "flyte_nb.commands.executions.watch",
            ("flyte-nb watch f3a9c",),
        ),
        positionals=(_EXECUTION,),
        options=(
            Option(
                "--wait",
                "",
                "return when it has ended; a failed execution fails the cell",
                only=NOTEBOOK,
            ),
        ),
    ),
    Row(
        "graph",
        notebook=Side(
            "Draw a workflow's graph to look into; without ENTITY, the one defined last.",
            "flyte_nb.notebook.commands.graphing.graph",
            ("%flyte graph train --depth 1 --save train.png",),
        ),
        positionals=(Positional(ENTITY),),
        options=(
            Option("--open", "NODE,…", "open these nodes: ids or names; `all` for everything"),
            Option("--depth", "N", "open everything, down to so many levels"),
            Option("--types", "", "write the types on the arrows"),
            Option("--diff", "", "compare with what is registered: new, changed, removed"),
            Option(
                "--engine",
                "ENGINE",
                "layered (needs nothing) or dot (Graphviz)",
                choices=("layered", "dot"),
            ),
            Option("--save", "FILE", "write it instead: .svg, .png, .html, .dot, .mmd or .txt"),
        ),
    ),
    Row(
        "executions",
        notebook=Side(
            "List the latest executions.", "flyte_nb.notebook.commands.watching.executions"
        ),
        terminal=Side(
            "List the latest executions.",
            "flyte_nb.commands.executions.executions",
            ("flyte-nb executions --limit 5 --output json",),
        ),
        options=(Option("--limit", "N", "list at most so many", reads=int, default=20),),
    ),
    Row(
        "terminate",
        notebook=Side(
            "Abort an execution, after a question.",
            "flyte_nb.notebook.commands.watching.terminate",
        ),
        terminal=Side(
            "Abort an execution.",
            "flyte_nb.commands.executions.terminate",
            ("flyte-nb terminate f3a9c --cause 'wrong input'",),
        ),
        positionals=(_EXECUTION,),
        options=(
            Option("--yes", "", "do not ask", only=NOTEBOOK),
            Option("--cause", "TEXT", "the reason that FlyteAdmin records"),
        ),
    ),
    Row(
        "relaunch",
        notebook=Side(
            "Launch an execution again, with its inputs; the last one when none is named.",
            "flyte_nb.notebook.commands.again.relaunch",
            ("%flyte relaunch f3a9c --overwrite-cache",),
        ),
        terminal=Side(
            "Launch an execution again, with its inputs.",
            "flyte_nb.commands.executions.relaunch",
            ("flyte-nb relaunch f3a9c --wait",),
        ),
        positionals=(_EXECUTION,),
        options=(
            _NAME,
            Option("--overwrite-cache", "", "run cached tasks too, and replace their results"),
            _WAIT,
        ),
    ),
    Row(
        "recover",
        notebook=Side(
            "Launch an execution again without what succeeded in it; the last one when none is named.",
            "flyte_nb.notebook.commands.again.recover",
            ("%flyte recover f3a9c",),
        ),
        terminal=Side(
            "Launch an execution again without what succeeded in it.",
            "flyte_nb.commands.executions.recover",
            ("flyte-nb recover f3a9c --wait",),
        ),
        positionals=(_EXECUTION,),
        options=(_NAME, _WAIT),
    ),
    Row(
        "logs",
        notebook=Side(
            "Show what an execution's attempts printed.",
            "flyte_nb.notebook.commands.watching.logs",
            ("%flyte logs f3a9c n0 --tail 20",),
        ),
        terminal=Side(
            "Print what an execution's attempts printed.",
            "flyte_nb.commands.executions.logs",
            ("flyte-nb logs f3a9c --node n0",),
        ),
        positionals=(_EXECUTION, Positional(NODE, only=NOTEBOOK)),
        options=(
            Option("--node", NODE, "only this node, e.g. n0; default: all", only=TERMINAL),
            Option("--attempt", "N", "only this attempt, counted from 1; default: all", reads=int),
            Option("--tail", "N", "only the last N lines", only=NOTEBOOK),
        ),
    ),
)
