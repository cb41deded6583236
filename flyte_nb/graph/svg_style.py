"""Write the style sheet of a graph: phases are attribute selectors, so recolouring sets one attribute.

A node is `<g class="n" data-phase="RUNNING">`; an arrow has the class `live` or `bad`. Every rule
is limited to the class `fnb-graph` of the `<svg>`, so that the sheet can be a part of a page.
"""

from collections.abc import Iterable, Mapping

from flyte_nb.graph.palette import CHANGE_STYLES, DARK, LIGHT, PHASE_STYLES, PhaseStyle, Theme

ROOT = "fnb-graph"
THEMES = ("light", "dark", "auto", "page")

# Attributes and classes by which JupyterLab, VS Code and others mark a dark page. They are in one selector
# because a browser tries every rule on every node that is recoloured.
_DARK_PAGE = ':is([data-jp-theme-light="false"],.vscode-dark,[data-theme="dark"])'
_FONT = 'system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif'

_SHAPES = (
    f".{ROOT} text{{font:12px {_FONT};stroke:none}}"
    f".{ROOT} .s,.{ROOT} .l{{font-size:10.5px}}"
    f".{ROOT} .n text.k{{font-size:9.5px;font-weight:700;text-anchor:middle}}"
    f".{ROOT} .l{{text-anchor:end;font-style:italic}}"
    f".{ROOT} .b{{stroke-width:1.4}}"
    f".{ROOT} .i{{fill:none;stroke-width:1}}"
    f".{ROOT} .m{{fill:none;stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round}}"
    f".{ROOT} .e{{fill:none;stroke-width:1.3;stroke-linecap:round}}"
    f".{ROOT} .e.order{{stroke-dasharray:1 4}}"
    f".{ROOT} .e.failure{{stroke-dasharray:6 4}}"
    f".{ROOT} .e.live{{stroke-width:2;stroke-dasharray:5 4;stroke-linecap:butt}}"
    f".{ROOT} .e.bad{{stroke-width:2;stroke-dasharray:3 3;stroke-linecap:butt}}"
)

_FRAMES = (
    f".{ROOT} .f text{{font-weight:600}}"
    f".{ROOT} .f .s{{font-weight:400;text-anchor:end}}"
    # A tint that adds up where frames stand in frames, whatever the page's colour and the phase.
    f".{ROOT} .f[data-phase] .b{{fill:{LIGHT.edge};fill-opacity:.09}}"
    f".{ROOT} .port.io .b{{fill:{LIGHT.edge};stroke:none}}"
    f".{ROOT} .o circle{{stroke-width:1}}"
    f".{ROOT} .o path{{fill:none;stroke-width:1.4}}"
    f".{ROOT} [data-open] .o{{cursor:pointer}}"
)


_CHANGES = (
    f".{ROOT} text.c{{font-size:9.5px;font-weight:700;text-anchor:middle}}"
    f".{ROOT} .g{{fill:none;stroke-width:2.2;stroke-linecap:round}}"
    f".{ROOT} .e.c-new,.{ROOT} .e.c-changed{{stroke-width:2.2}}"
    f".{ROOT} .c-removed>.b,.{ROOT} .e.c-removed{{stroke-dasharray:{CHANGE_STYLES['removed'].dash}}}"
    f".{ROOT} .c-removed>text:not(.c){{text-decoration:line-through}}"
)


def style_sheet(
    theme: str,
    phases: "Iterable[str] | None" = None,
    *,
    frames: bool = False,
    changes: bool = False,
) -> str:
    """Return the CSS for a theme.

    Args:
        theme: `light`; `dark`; `auto`, which follows the system's preference; or `page`, which
            follows the
            notebook it is in (JupyterLab, Notebook, VS Code).
        phases: the phases that can occur; `None` for all, as a live graph needs.
        frames: whether something is open, or can be opened on the page.
        changes: whether the graph is marked with its differences from another one.
    """
    styles = _styles(phases)
    shapes = _SHAPES + (_FRAMES if frames else "") + (_CHANGES if changes else "")

    def colors(page: str, *, dark: bool) -> str:
        """Return the colours of one theme, for pages that match the selector `page`."""
        found = _colors(page, DARK if dark else LIGHT, styles, dark=dark, frames=frames)
        return found + (_change_colors(f"{page}.{ROOT}", dark=dark) if changes else "")

    sheet = shapes + _shared(styles)
    if theme == "dark":
        return sheet + colors("", dark=True)
    sheet += colors("", dark=False)
    if theme == "auto":
        sheet += f"@media (prefers-color-scheme:dark){{{colors('', dark=True)}}}"
    elif theme == "page":
        sheet += colors(f"{_DARK_PAGE} ", dark=True)
    return sheet


def _change_colors(root: str, *, dark: bool) -> str:
    """Return the colours of marked nodes and arrows."""
    rules = []
    for mark, style in CHANGE_STYLES.items():
        tone = style.dark if dark else style.light
        ink, paper = tone.ink, (DARK if dark else LIGHT).card
        # Only without a phase: a phase or a problem is more important than a change.
        plain = f'.c-{mark}[data-phase=""]>.b'
        rules.append(f"{root} {plain},{root} .e.c-{mark},{root} .g.c-{mark}{{stroke:{ink}}}")
        rules.append(f"{root} .n{plain}{{fill:{tone.fill}}}{root} rect.c-{mark}{{fill:{ink}}}")
        rules.append(f"{root} text.c-{mark}{{fill:{paper}}}")
    return "".join(rules)


def _styles(phases: "Iterable[str] | None") -> "Mapping[str, PhaseStyle]":
    """Return the styles of these phases; of all for `None`."""
    if phases is None:
        return PHASE_STYLES
    return {phase: PHASE_STYLES[phase] for phase in sorted(set(phases)) if phase in PHASE_STYLES}


def _shared(styles: "Mapping[str, PhaseStyle]") -> str:
    """Return what phases have in both themes: dashes and widths."""
    rules = []
    for phase, style in styles.items():
        dash = f"stroke-dasharray:{style.dash}" if style.dash else ""
        width = f"stroke-width:{style.width:g}" if style.width != 1.4 else ""
        if dash or width:
            parts = ";".join(part for part in (dash, width) if part)
            rules.append(f".{ROOT} [data-phase={phase}]>.b{{{parts}}}")
    return "".join(rules)


def _colors(
    page: str, theme: Theme, styles: "Mapping[str, PhaseStyle]", *, dark: bool, frames: bool
) -> str:
    """Return the colours of one theme."""
    root = f"{page}.{ROOT}"
    bad = _tone(PHASE_STYLES["PROBLEM"], dark=dark)
    live = _tone(PHASE_STYLES["RUNNING"], dark=dark)
    rules = [
        f"{root} text{{fill:{theme.ink}}}",
        f"{root} .s,{root} .l{{fill:{theme.soft}}}",
        f"{root} .b{{fill:{theme.card};stroke:{theme.edge}}}",
        f"{root} .i{{stroke:{theme.edge}}}",
        f"{root} .io .b{{fill:{theme.sunk};stroke:{theme.line}}}",
        f"{root} .m{{stroke:{theme.soft}}}",
        f"{root} .e{{stroke:{theme.edge}}}",
        f"{root} .e.live{{stroke:{live[0]}}}",
        f"{root} .e.bad{{stroke:{bad[0]}}}",
        f"{root} .k{{fill:{bad[0]}}}",
        f"{root} text.k{{fill:{theme.card}}}",
        # A label has no card under it: it stands on whatever the page is.
        f"{root} .p{{fill:{theme.card};stroke:{theme.line}}}",
    ]
    if frames:
        rules.append(f"{root} .o circle{{fill:{theme.card};stroke:{theme.edge}}}")
        rules.append(f"{root} .o path{{stroke:{theme.ink}}}")
    for tone, phases in _by_tone(styles, dark=dark).items():
        ink, fill = tone
        rules.append(_select(root, phases, ".b") + f"{{fill:{fill};stroke:{ink}}}")
        rules.append(_select(root, phases, ".m") + f"{{stroke:{ink}}}")
        rules.append(_select(root, phases, ".i") + f"{{stroke:{ink}}}")
    return "".join(rules)


def _by_tone(
    styles: "Mapping[str, PhaseStyle]", *, dark: bool
) -> "dict[tuple[str, str], list[str]]":
    """Return the phases that share colours, by these colours, so that each rule is written once."""
    groups: dict[tuple[str, str], list[str]] = {}
    for phase, style in styles.items():
        groups.setdefault(_tone(style, dark=dark), []).append(phase)
    return groups


def _select(root: str, phases: "list[str]", part: str) -> str:
    """Return the selector of a part of the nodes in these phases."""
    return ",".join(f"{root} [data-phase={phase}]>{part}" for phase in phases)


def _tone(style: PhaseStyle, *, dark: bool) -> "tuple[str, str]":
    """Return the colours of a phase in one theme."""
    tone = style.dark if dark else style.light
    return tone.ink, tone.fill
