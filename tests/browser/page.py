"""Show a graph in a page of its own: with the real script and style, and a model that records messages."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from flyte_nb.notebook.live.graph_widget import looks, script
from flyte_nb.notebook.live.style import graph_rules

_START = """async ([script, css, traits]) => {
  const style = document.createElement('style');
  style.textContent = css;
  document.head.append(style);
  const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
  const { default: widget } = await import(url);
  const handlers = {};
  window.sent = [];
  const model = (window.model = {
    get: (name) => traits[name],
    set: (name, value) => { traits[name] = value; model.fire(`change:${name}`); },
    save_changes() {},
    send: (message) => window.sent.push(message),
    on: (name, act) => (handlers[name] ||= []).push(act),
    off: (name, act) => { handlers[name] = (handlers[name] || []).filter((other) => other !== act); },
    fire: (name, message) => (handlers[name] || []).forEach((act) => act(message)),
  });
  window.ends = [widget.initialize({ model })];
  if (!traits.anchor) window.ends.push(widget.render({ model, el: document.getElementById('here') }));
}"""
_TRAITS: "dict[str, Any]" = {
    "svg": "", "states": {}, "label": "Graph", "selected": "", "kept": "", "anchor": "", "facts": {},
    "index": [], "problems": [], "overview": [], "can": {},
}  # fmt: skip


def chromium_or_skip() -> "Iterator[Any]":
    """Yield a real Chromium and close it afterwards; skip the test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium on PATH")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


def traits(**given: Any) -> "dict[str, Any]":
    """Return all traits of the widget, with these values where they are given."""
    return {**_TRAITS, "looks": looks(), **given}


def open_graph(
    browser: Any, given: "dict[str, Any]", *, body: str = '<div id="here"></div>', width: int = 1000
) -> Any:
    """Return a page that shows the graph. An error of the script fails the test that uses the page."""
    page = browser.new_page(viewport={"width": width, "height": 700})
    page.set_content(f'<!doctype html><body data-jp-theme-light="true">{body}</body>')
    page.evaluate(_START, [script(), graph_rules(), given])
    return page
