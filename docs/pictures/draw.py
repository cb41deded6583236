"""Draw `rooms.svg` and `data.svg`: the floors of the house, and the way of one value through it.

`rooms.svg` is made from the import lint's contract in `pyproject.toml`, so it cannot differ from what is
checked. Run `python docs/pictures/draw.py` after a change; `tests/test_docs.py` fails until then.
"""

import sys
from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

RING = (
    *("api", "types", "sdk", "pipe", "worker"),
    *("core", "deck", "exceptions", "experimental", "extras", "models"),
)

SAYS = {
    "commands": "what flyte-nb does",
    "testing": "public: fakes, suites, a backend",
    "session": "puts the parts together",
    "notebook": "magics, cards, widgets",
    "unattended": "notebooks run by themselves",
    "admin": "embedded FlyteAdmin",
    "executions": "launch, follow, read values",
    "propeller": "machine, driver, executors",
    "registering": "stage and create what is new",
    "runtime": "flyte-nb execute, warm host",
    "client": "the link to FlyteAdmin",
    "drafting": "named, versioned, compiled",
    "bundle": "pack, stage, fetch, verify",
    "compiler": "specs to a closure, or problems",
    "graph": "layout, SVG, HTML, text",
    "storage": "bytes by URI, plugins",
    "discovery": "registrars: what there is",
    "surface": "every command, once",
    "worker": "the process with user code",
    "wire": "api values and flyteidl",
    "core": "flytekit's paths: core.task",
    "deck": "flytekit's path: deck",
    "exceptions": "flytekit's path: exceptions",
    "experimental": "flytekit's path",
    "extras": "flytekit's path: extras.tasks",
    "models": "flytekit's paths: models.common",
    "sdk": "task, workflow, launch plan",
    "pipe": "messages between processes",
    "types": "Python types and literals",
    "api": "names, specs, errors, ports",
}

STEPS = (
    ("write", "sdk", "function or cell", "Task, Workflow"),
    ("find", "discovery", "notebook, modules, files", "entities"),
    ("pack", "bundle", "callables", "packed code, fingerprint"),
    ("draft", "drafting", "entities", "names, versions, specs"),
    ("translate", "wire", "api values", "flyteidl messages"),
    ("compile", "compiler", "flyteidl specs", "closure, or every problem"),
    ("store", "bundle, storage", "members, then indexes", "objects at a URI"),
    ("register", "registering", "drafts", "entities in FlyteAdmin"),
    ("launch", "executions", "launch plan and inputs", "an execution"),
    ("serve", "admin", "RPC", "rows, changes for watchers"),
    ("decide", "propeller", "closure and inputs", "records"),
    ("run", "runtime, worker", "index and inputs", "outputs.pb or error.pb"),
    ("follow", "executions", "watch stream", "views"),
    ("show", "notebook", "views", "cards and widgets"),
)

STYLE = """<style>
  text { font: 13px system-ui, sans-serif; fill: #1c2330; }
  .name { font-weight: 600; } .soft { fill: #525c6b; font-size: 11px; }
  .room { fill: #f4f6f8; stroke: #8791a1; } .ring { fill: #e3eefb; stroke: #3a76c4; }
  .arrow { stroke: #8791a1; fill: none; marker-end: url(#tip); }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6e9ee; } .soft { fill: #a9b2c0; }
    .room { fill: #232933; stroke: #6b7585; } .ring { fill: #1f3350; stroke: #5f9be6; }
  }
</style>"""


def floors() -> "list[list[str]]":
    """Return the rooms of each floor, the highest first, as the import lint has them."""
    contract = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = contract.partition("layers = [")[2].partition("]")[0]
    rows = [row.strip().strip('",') for row in listed.splitlines() if row.strip()]
    return [[room.strip() for room in row.split("|")] for row in rows]


def rooms_svg() -> str:
    """Return the picture of the floors."""
    width, height, gap, left = 196, 46, 12, 36
    rows = floors()
    most = max(len(row) for row in rows)
    total = left + most * (width + gap)
    parts = []
    for level, row in enumerate(rows):
        y = 10 + level * (height + gap)
        parts.append(f'<text class="soft" x="6" y="{y + 27}">{len(rows) - level}</text>')
        begin = left + (total - left - len(row) * (width + gap)) / 2
        for place, room in enumerate(row):
            x = begin + place * (width + gap)
            kind = "ring" if room in RING else "room"
            parts.append(
                f'<rect class="{kind}" x="{x:.0f}" y="{y}" width="{width}" height="{height}" rx="6"/>'
                f'<text class="name" x="{x + 10:.0f}" y="{y + 19}">{room}</text>'
                f'<text class="soft" x="{x + 10:.0f}" y="{y + 36}">{escape(SAYS[room])}</text>'
            )
    bottom = 10 + len(rows) * (height + gap)
    parts.append(
        f'<text class="soft" x="{left}" y="{bottom + 12}">A room imports only from lower floors. '
        "Blue: the travelling ring, standard library only, part of every bundle.</text>"
    )
    return _svg("Rooms of flyte_nb by floor", total, bottom + 24, parts)


def data_svg() -> str:
    """Return the picture of one value's way, step by step."""
    width, height, gap, across = 200, 62, 30, 4
    parts = [
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0,0 8,4 0,8z" fill="#8791a1"/></marker></defs>'
    ]
    for number, (verb, room, given, made) in enumerate(STEPS):
        row, column = divmod(number, across)
        x, y = 10 + column * (width + gap), 10 + row * (height + gap)
        if column:
            parts.append(f'<path class="arrow" d="M{x - gap},{y + 31} {x - 2},{y + 31}"/>')
        elif row:
            last = 10 + (across - 1) * (width + gap) + width / 2
            above = y - gap
            parts.append(
                f'<path class="arrow" d="M{last:.0f},{above} V{above + 15} H{x + 100} V{y - 2}"/>'
            )
        parts.append(
            f'<rect class="room" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>'
            f'<text class="name" x="{x + 10}" y="{y + 19}">{verb}</text>'
            f'<text class="soft" text-anchor="end" x="{x + width - 10}" y="{y + 19}">{room}</text>'
            f'<text class="soft" x="{x + 10}" y="{y + 37}">in: {escape(given)}</text>'
            f'<text class="soft" x="{x + 10}" y="{y + 53}">out: {escape(made)}</text>'
        )
    rows = -(-len(STEPS) // across)
    total = 10 + across * (width + gap) - gap + 10
    return _svg("The way of one value", total, 10 + rows * (height + gap), parts)


def _svg(title: str, width: float, height: float, parts: "list[str]") -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" role="img" aria-label="{title}"><title>{title}</title>'
    )
    return "\n".join([head, STYLE, *parts, "</svg>"]) + "\n"


PICTURES = {"rooms.svg": rooms_svg, "data.svg": data_svg}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (HERE / name).write_text(draw(), encoding="utf-8")
    sys.exit(0)
