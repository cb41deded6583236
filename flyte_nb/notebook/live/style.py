"""The style sheet of live widgets. It uses JupyterLab's own variables, so it follows the theme at once.

The style sheet is for the live page only. Cards that are saved in the notebook have inline styles
(`paper/theme.py`), because JupyterLab removes style sheets from a notebook that was not trusted.

Every rule is scoped by a class that begins with `fnb-`. Rules that repeat a class of JupyterLab
(`.jupyter-button`, `.lm-TabBar`) are there to win over JupyterLab's own rules for widgets.
"""

from pathlib import Path

from flyte_nb.api.phases import ABORTED, FAILED, QUEUED, RUNNING, SUCCEEDED
from flyte_nb.graph.palette import CACHED, DARK, LIGHT, PAUSED, PHASE_STYLES, Theme

_DARK_PAGES = ('[data-jp-theme-light="false"]', ".vscode-dark", '[data-theme="dark"]')
"""How a page says that it is dark: JupyterLab and Notebook, VS Code, nbconvert and Sphinx themes."""


def style_sheet() -> str:
    """Return the CSS of forms and trackers as a `<style>` element."""
    return f"<style>{_colors()}{_RULES}</style>"


def graph_rules() -> str:
    """Return the CSS of graphs in the page, which the graph's widget sends along."""
    path = Path(__file__).with_name("page") / "graph.css"
    return _colors() + _RULES + path.read_text(encoding="utf-8")


def _colors() -> str:
    colors = [f".fnb-card{{{_variables(LIGHT, dark=False)}}}"]
    colors += [f"{page} .fnb-card{{{_variables(DARK, dark=True)}}}" for page in _DARK_PAGES]
    return "".join(colors)


def _variables(theme: Theme, *, dark: bool) -> str:
    """Return CSS variables: JupyterLab's where their contrast is known to be good, ours elsewhere."""
    named = {
        "page": f"var(--jp-layout-color0,{theme.page})",
        "card": theme.card,
        "sunk": theme.sunk,
        "ink": f"var(--jp-content-font-color0,{theme.ink})",
        "soft": theme.soft,
        "line": theme.line,
        "accent": theme.accent,
        "on-accent": theme.card,
        "font": "var(--jp-ui-font-family,system-ui,sans-serif)",
        "mono": "var(--jp-code-font-family,ui-monospace,Menlo,monospace)",
    }
    for phase in (SUCCEEDED, RUNNING, FAILED, QUEUED, CACHED, ABORTED, PAUSED):
        style = PHASE_STYLES[phase]
        tone = style.dark if dark else style.light
        named[phase.lower()] = tone.ink
        named[f"{phase.lower()}-fill"] = tone.fill
    return "".join(f"--fnb-{name}:{value};" for name, value in named.items())


_RULES = """
.fnb-card{border:1px solid var(--fnb-line);border-radius:8px;background:var(--fnb-card);
 color:var(--fnb-ink);font:13px/1.45 var(--fnb-font);overflow:hidden;margin:2px 20px 6px 0}
.fnb-card .widget-html,.fnb-card .widget-html-content{color:inherit;font:inherit;margin:0;height:auto;
 line-height:1.45;width:100%}
.fnb-head{align-items:center;gap:8px;padding:8px 14px;border-bottom:1px solid var(--fnb-line);
 flex-wrap:wrap;overflow:visible}
.fnb-head>.widget-html{flex:1 1 auto;width:auto;min-width:0}
.fnb-card>.fnb-head:last-child{border-bottom:0}
.fnb-title{font-size:14px;font-weight:650}
.fnb-mono{font:12px/1.4 var(--fnb-mono);color:var(--fnb-soft);background:none}
.fnb-head .fnb-title+.fnb-mono{margin:0 4px 0 6px}
.fnb-head .fnb-pill{margin:0 4px}
.fnb-log:not(:has(pre,div.fnb-soft)){display:none}
.fnb-soft{color:var(--fnb-soft)}
.fnb-card button.jupyter-button{width:auto;height:auto;font:13px/1.45 var(--fnb-font);padding:3px 12px;
 margin:0;
 border:1px solid var(--fnb-line);border-radius:5px;background:var(--fnb-card);color:var(--fnb-ink);
 box-shadow:none;cursor:pointer;flex:none}
.fnb-card button.jupyter-button:hover:enabled{border-color:var(--fnb-accent)}
.fnb-card button.fnb-main.jupyter-button{background:var(--fnb-accent);border-color:var(--fnb-accent);
 color:var(--fnb-on-accent);font-weight:600}
.fnb-card button.fnb-danger.jupyter-button{color:var(--fnb-failed)}
.fnb-card button.jupyter-button:disabled{opacity:.55;cursor:default}
.fnb-card :is(button,input,select,textarea,[tabindex],summary,.lm-TabBar-tab):focus-visible{
 outline:2px solid var(--fnb-accent);outline-offset:1px}
.fnb-form{padding:12px 14px;gap:9px;overflow:visible}
.fnb-row{align-items:flex-start;gap:14px;overflow:visible}
.fnb-card .fnb-label.widget-html{flex:0 0 156px;width:156px;padding-top:3px}
.fnb-label .fnb-name{display:block;font-weight:500;overflow-wrap:anywhere}
.fnb-label .fnb-type{display:block;font-size:11.5px;color:var(--fnb-soft);overflow-wrap:anywhere}
.fnb-entry{flex:1 1 auto;min-width:0;overflow:visible}
.fnb-entry>.jupyter-widgets:not(.widget-html){width:100%;margin:0;height:auto}
.fnb-card .fnb-entry :is(input:not([type=checkbox]),select,textarea){font:13px/1.45 var(--fnb-font);
 height:auto;min-height:28px;padding:3px 8px;border:1px solid var(--fnb-soft);border-radius:5px;
 background:var(--fnb-page);color:var(--fnb-ink);width:100%;box-sizing:border-box}
.fnb-card .fnb-entry textarea{font:12.5px/1.5 var(--fnb-mono)}
.fnb-card .fnb-entry ::placeholder{color:var(--fnb-soft);opacity:1}
.fnb-card .fnb-entry select{appearance:auto;background-image:none}
.fnb-card .fnb-entry .widget-checkbox{min-height:28px}
.fnb-card .fnb-entry .widget-checkbox label{min-height:24px;display:flex;align-items:center}
.fnb-card .fnb-wrong :is(input,select,textarea){border-color:var(--fnb-failed)!important;
 box-shadow:0 0 0 1px var(--fnb-failed)}
.fnb-message{color:var(--fnb-failed);font-size:12px}
.fnb-beside .fnb-soft{font-size:12px}
.fnb-error{border-left:3px solid var(--fnb-failed);background:var(--fnb-failed-fill);padding:7px 11px;
 border-radius:0 5px 5px 0;white-space:pre-wrap;overflow-wrap:anywhere}
.fnb-picture svg{max-width:100%;height:auto}
.fnb-split{align-items:stretch;overflow:visible}
.fnb-split>:first-child{flex:1 1 0;min-width:0;width:auto;margin:0}
.fnb-side{flex:0 0 292px;width:292px;border-left:1px solid var(--fnb-line);background:var(--fnb-sunk);
 padding:10px 12px;gap:8px;overflow:visible}
.fnb-scroll{max-height:420px;overflow:auto;display:block}
.fnb-log{display:flex;flex-direction:column-reverse;max-height:150px;overflow:auto;
 background:var(--fnb-page);border:1px solid var(--fnb-line);border-radius:5px}
.fnb-log.fnb-tall{max-height:360px;border:0;border-radius:0}
.fnb-log pre{margin:0;padding:7px 9px;font:11.5px/1.55 var(--fnb-mono);white-space:pre-wrap;
 overflow-wrap:anywhere;color:var(--fnb-ink);background:none}
.fnb-card .jupyter-widget-tab{margin:0;border:0}
.fnb-card .jupyter-widget-tab>.lm-TabBar{padding:0 8px;min-height:34px;
 border-bottom:1px solid var(--fnb-line);
 overflow:visible}
.fnb-card .lm-TabBar-content{border:0;align-items:stretch}
.fnb-card .jupyter-widget-tab>.lm-TabBar .lm-TabBar-tab{flex:none!important;min-width:0!important;
 width:auto;border:0!important;background:none!important;
 color:var(--fnb-soft);padding:6px 11px;margin:0;font:13px/1.45 var(--fnb-font);transform:none!important;
 border-bottom:2px solid transparent!important}
.fnb-card .lm-TabBar-tab::before{display:none!important}
.fnb-card .jupyter-widget-tab>.lm-TabBar .lm-TabBar-tab:hover{color:var(--fnb-ink)}
.fnb-card .jupyter-widget-tab>.lm-TabBar .lm-TabBar-tab.lm-mod-current{color:var(--fnb-ink);font-weight:600;
 border-bottom-color:var(--fnb-accent)!important}
.fnb-card .widget-tab-contents{padding:0!important;background:none!important;border:0!important;
 overflow:visible}
.fnb-pad{padding:10px 14px}
.fnb-pill{display:inline-flex;gap:5px;padding:0 9px;border-radius:99px;font-size:12px;font-weight:600;
 line-height:1.6;white-space:nowrap}
.fnb-count{float:right}
.fnb-bar{height:4px;background:var(--fnb-sunk);display:flex}
.fnb-bar i{display:block;height:100%;transition:width .25s}
.fnb-gantt{display:grid;grid-template-columns:minmax(90px,170px) 1fr auto;gap:4px 10px;align-items:center;
 padding:12px 14px}
.fnb-row-name{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.fnb-lane{position:relative;height:16px;background:var(--fnb-sunk);border-radius:3px}
.fnb-lane i{position:absolute;top:2px;bottom:2px;border-radius:3px}
.fnb-num{text-align:right!important;font-variant-numeric:tabular-nums;white-space:nowrap}
.fnb-card .fnb-table{border-collapse:collapse;width:100%;margin:0;border:0;font:inherit;color:inherit}
.fnb-card .fnb-table :is(td,th){padding:5px 14px;text-align:left;border:0;
 border-bottom:1px solid var(--fnb-line);vertical-align:top;background:none}
.fnb-card .fnb-table th{color:var(--fnb-soft);font-weight:600;font-size:12px}
.fnb-card .fnb-table tr:last-child td{border-bottom:0}
.fnb-card .fnb-facts{display:grid;grid-template-columns:max-content 1fr;gap:3px 14px;margin:8px 0 0}
.fnb-card .fnb-facts dt{float:none;width:auto;max-width:110px;color:var(--fnb-soft);font-weight:400;
 overflow-wrap:anywhere}
.fnb-card .fnb-facts dd{margin:0;padding:0;overflow-wrap:anywhere}
.fnb-error code{display:block;margin:3px 0;font:12px/1.5 var(--fnb-mono);white-space:pre-wrap;
 background:none;color:var(--fnb-ink)}
.fnb-error .fnb-soft{color:var(--fnb-ink)}
.fnb-confirm{align-items:center;gap:8px;overflow:visible;flex:none}
.fnb-stacked{flex-direction:column}
.fnb-stacked>:first-child{flex:none;width:100%}
.fnb-stacked .fnb-side{width:auto;flex:none;border-left:0;border-top:1px solid var(--fnb-line);
 flex-direction:row;gap:18px}
.fnb-stacked .fnb-side>:first-child{flex:0 0 272px;width:272px}
.fnb-stacked .fnb-side>:last-child{flex:1 1 auto;min-width:0;width:auto}
@media (max-width:760px){.fnb-split{flex-direction:column}.fnb-side{width:auto;flex:none;border-left:0;
 border-top:1px solid var(--fnb-line)}}
@media (prefers-reduced-motion:reduce){.fnb-card *{transition:none!important;animation:none!important}}
"""
