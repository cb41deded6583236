"""Rows of the table: commands that read definitions, and look at their code."""

from pathlib import Path

from flyte_nb.surface.command import ENTITY, NOTEBOOK, TERMINAL, Option, Positional, Row, Side

_ENTITIES = Positional(ENTITY, only=NOTEBOOK, many=True)
_TARGETS = Positional(
    "TARGET",
    "a module, .py, .ipynb, package, spec file (YAML, JSON, .pb, .tgz) or folder of specs;"
    " registrars of installed packages are always asked, too",
    only=TERMINAL,
    many=True,
)
_OF_SPECS = Option(
    "--version",
    "VERSION",
    "for specs that have no version; default: made from their content",
    only=TERMINAL,
)

DEFINING: "tuple[Row, ...]" = (
    Row(
        "compile",
        notebook=Side(
            "Compile what the notebook defines, or only what is named; nothing is sent.",
            "flyte_nb.notebook.commands.compiling.compile_",
        ),
        terminal=Side(
            "Compile modules, notebooks and specs here; nothing is sent.",
            "flyte_nb.commands.compiling.compile",
            (
                "flyte-nb compile pipeline.py notebook.ipynb specs/",
                "flyte-nb compile shop.yaml --output json",
                "flyte-nb compile package.tgz --graph shop.svg -o compiled/",
            ),
        ),
        positionals=(_ENTITIES, _TARGETS),
        options=(
            _OF_SPECS,
            Option("--remote", "", "look up what specs refer to on FlyteAdmin, too", only=TERMINAL),
            Option(
                "--closure-dir",
                "FOLDER",
                "write the compiled workflows there (.pb and .json) when there is no problem",
                only=TERMINAL,
                short="-o",
                reads=Path,
            ),
            Option(
                "--graph",
                "FILE",
                "draw the workflows (.svg, .png, .html, .dot, …)",
                only=TERMINAL,
                reads=Path,
            ),
        ),
    ),
    Row(
        "register",
        notebook=Side(
            "Register what the notebook defines, or only what is named.",
            "flyte_nb.notebook.commands.registering.register",
        ),
        terminal=Side(
            "Register what modules, notebooks or spec files define.",
            "flyte_nb.commands.registering.register",
            (
                "flyte-nb register pipeline.py --dry-run",
                "flyte-nb register shop.yaml --version v1 -p shop -d production",
                "flyte-nb register pipeline.py --bake bundles",
            ),
        ),
        positionals=(_ENTITIES, _TARGETS),
        options=(
            _OF_SPECS,
            Option("--dry-run", "", "show what would happen, change nothing"),
            Option(
                "--restage",
                "",
                "look at the staged code of what is registered already, too, and stage again what is"
                " missing or damaged",
            ),
            Option(
                "--bake",
                "FOLDER",
                "write the bundles to this folder, for the image to copy, and upload nothing",
                only=TERMINAL,
                reads=Path,
            ),
            Option(
                "--baked-at",
                "PATH",
                "where the image has that folder",
                only=TERMINAL,
                default="/opt/flyte_nb/bundles",
            ),
        ),
    ),
    Row(
        "serialize",
        terminal=Side(
            "Write specs that flytectl and flyte-nb register.",
            "flyte_nb.commands.serializing.serialize",
            (
                "flyte-nb serialize pipeline.py -o package.tgz --staging s3://bucket/code",
                "flyte-nb serialize notebook.ipynb -o specs/ --version v1",
            ),
        ),
        positionals=(_TARGETS,),
        options=(
            Option(
                "--folder",
                "FOLDER",
                "a folder, or a package: NAME.tgz",
                short="-o",
                reads=Path,
                required=True,
            ),
            Option("--version", "VERSION", "of everything; default: made from the content"),
            Option(
                "--staging",
                "URI",
                "where to stage the code that tasks load, e.g. s3://bucket/path;"
                " default: FLYTE_NB_STAGING, else FOLDER.staged beside the folder",
            ),
        ),
    ),
    Row(
        "bundle",
        notebook=Side(
            "Show what travels with each task: sizes, why, what changed since it was registered,"
            " warnings.",
            "flyte_nb.notebook.commands.bundling.bundle",
        ),
        terminal=Side(
            "Look after staged bundles: list, check and verify them, remove what nobody needs.",
            "flyte_nb.commands.bundles.bundle",
            (
                "flyte-nb bundle list",
                "flyte-nb bundle verify s3://bucket/code",
                "flyte-nb bundle gc --older-than 48 --yes",
            ),
        ),
        positionals=(
            _ENTITIES,
            Positional(
                "ACTION",
                "list: show the staged bundles, and which tasks refer to them; check: look whether what"
                " registered tasks need is there in full length, exit code 1 when not; verify: read"
                " every member again, exit code 1 when one is damaged or missing; gc: show what no"
                " registered task needs, and with --yes remove it",
                only=TERMINAL,
                required=True,
                choices=("list", "check", "verify", "gc"),
            ),
            Positional(
                "LOCATION",
                "a folder of bundles, or for check and verify one index; default: the backend's own",
                only=TERMINAL,
            ),
        ),
        options=(
            Option("--yes", "", "gc: remove it", only=TERMINAL),
            Option(
                "--older-than",
                "HOURS",
                "gc: keep what was written or used since then, because a registration may be under"
                " way (default: 24); a smaller number is safe only while nobody registers",
                only=TERMINAL,
                reads=float,
            ),
        ),
    ),
)
