"""The table of commands. A new command is a row here and a function in each front end that has it.

An option that both front ends have means the same in both, so it has one text. Where the notebook and
the terminal start from different things (what the notebook defines; files that are named), the sides of
a row say so.
"""

from pathlib import Path

from flyte_nb.surface.answering import ANSWERING
from flyte_nb.surface.command import COMMAND, Option, Positional, Row, Side
from flyte_nb.surface.defining import DEFINING
from flyte_nb.surface.running import RUNNING

_CONFIG = Option("--config", "FILE", "a Flyte configuration, as flytectl reads it")
_PROJECT = Option(
    "--project",
    "PROJECT",
    "the project; default: the configuration's, else flytesnacks",
    short="-p",
)
_DOMAIN = Option(
    "--domain", "DOMAIN", "the domain; default: the configuration's, else development", short="-d"
)

FOR_EVERY_COMMAND: "tuple[Option, ...]" = (
    Option(
        "--output",
        "FORMAT",
        "text for people, or one JSON document for machines",
        default="text",
        choices=("text", "json"),
    ),
    _CONFIG,
    _PROJECT,
    _DOMAIN,
    Option(
        "--home",
        "FOLDER",
        "use the local backend in this folder; default: FLYTE_NB_HOME",
        reads=Path,
    ),
)
"""What every command of `flyte-nb` takes."""

_STARTING: "tuple[Row, ...]" = (
    Row(
        "quickstart",
        terminal=Side(
            "Open the quickstart notebook, or execute it here.",
            "flyte_nb.commands.quickstart.quickstart",
            ("flyte-nb quickstart --headless",),
        ),
        options=(
            Option("--headless", "", "execute it here, without a browser"),
            Option("--folder", "FOLDER", "where to copy the notebook", reads=Path),
        ),
    ),
    Row(
        "connect",
        notebook=Side(
            "Choose where to register and launch.", "flyte_nb.notebook.commands.connecting.connect"
        ),
        options=(
            _PROJECT,
            _DOMAIN,
            Option("--name", "NAME", "this notebook's name; its entities are NAME.function"),
            _CONFIG,
            Option(
                "--backend",
                "BACKEND",
                "auto, or local for the local backend",
                choices=("auto", "local"),
            ),
        ),
    ),
)

_HOUSEKEEPING: "tuple[Row, ...]" = (
    Row(
        "up",
        terminal=Side(
            "Start the local backend, if it does not run.", "flyte_nb.commands.backend.up"
        ),
    ),
    Row(
        "down",
        terminal=Side(
            "Stop the local backend; tasks that run go on, and the next start takes them up.",
            "flyte_nb.commands.backend.down",
        ),
    ),
    Row(
        "status",
        notebook=Side(
            "Show where we are connected, and whether it answers.",
            "flyte_nb.notebook.commands.connecting.status",
        ),
        terminal=Side(
            "Show what is configured and whether it answers; starts nothing.",
            "flyte_nb.commands.backend.status",
        ),
    ),
    Row(
        "local-cache",
        notebook=Side(
            "Show how many results of local runs are kept and where, or forget them.",
            "flyte_nb.notebook.commands.caching.local_cache",
            ("%flyte local-cache clear",),
        ),
        terminal=Side(
            "Show how many results of local runs are kept and where, or forget them.",
            "flyte_nb.commands.caching.local_cache",
            ("flyte-nb local-cache clear",),
        ),
        positionals=(
            Positional(
                "ACTION",
                "show: how many results are kept, and where; clear: forget them all",
                required=True,
                choices=("show", "clear"),
            ),
        ),
    ),
    Row("version", terminal=Side("Print the release.", "flyte_nb.commands.version.version")),
    Row(
        "execute",
        terminal=Side(
            "Run one task; this is what a task's container does.", "flyte_nb.runtime.execute.main"
        ),
        reads_its_own_line=True,
    ),
    Row(
        "help",
        notebook=Side(
            "Show this list, or one command.", "flyte_nb.notebook.commands.connecting.help_"
        ),
        positionals=(Positional(COMMAND),),
    ),
)

ROWS: "tuple[Row, ...]" = (*_STARTING, *DEFINING, *RUNNING, *ANSWERING, *_HOUSEKEEPING)
"""Every command, once, in the order in which help lists them."""
