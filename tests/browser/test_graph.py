"""`%flyte graph` in a real JupyterLab: by pointer, by keyboard alone, in both themes, and reopened."""

import os
from pathlib import Path
from typing import Any

DEFINE = '''%load_ext flyte_nb
from flyte_nb import task, workflow

@task(retries=2)
def load(n: int) -> list[int]:
    return [n]

@task(cache=True)
def fit(rows: list[int], depth: int = 3) -> float:
    """Fit one model."""
    return 1.0

@task
def best(scores: list[float]) -> float:
    return max(scores)

@workflow
def search(rows: list[int]) -> float:
    return best(scores=[fit(rows=rows, depth=d) for d in (3, 5, 8)])

@workflow
def train(n: int = 3) -> float:
    rows = load(n=n)
    return best(scores=[search(rows=rows), fit(rows=rows), search(rows=load(n=4))])

@workflow
def empty() -> None:
    pass

@workflow
def wrong(n: int) -> float:
    rows = load(n="three")
    return best(scores=[fit(rows=rows, depth="deep"), fit(row=rows)])

@workflow
def large(n: int) -> float:
    rows = load(n=n)
    return best(scores=[fit(rows=rows, depth=d) for d in range(2000)])
'''
CELLS = [DEFINE, *(f"%flyte graph {name}" for name in ("train", "empty", "wrong", "large"))]
TRAIN, EMPTY, WRONG, LARGE = range(1, 5)
_SHOWS = """([cell, text]) => {
  const app = window.jupyterapp || window.jupyterlab;
  const cells = app.shell.currentWidget.content.widgets.filter((c) => c.model.type === 'code');
  return cells[cell].model.outputs.get(0).data['text/plain'].includes(text);
}"""
"""Whether a text is in what the notebook saves of a cell's output."""


def _shoot(page: Any, cell: int, name: str) -> None:
    """Save a picture for a person to judge, in the folder `SCREENSHOTS_TO`."""
    folder = os.environ.get("SCREENSHOTS_TO")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.output(cell).scroll_into_view_if_needed()
        page.page.screenshot(path=str(Path(folder) / f"{name}.png"))


def _node(page: Any, cell: int, path: str) -> Any:
    return page.output(cell).locator(f".fnb-stage [id='node-{path}']")


def test_a_graph_is_explored_and_its_picture_stays_in_the_notebook(
    server, notebook, tmp_path, monkeypatch
):
    monkeypatch.setenv("FLYTE_NB_HOME", str(tmp_path / "home"))
    page = notebook(CELLS)
    page.run_all()
    page.idle()
    page.output(TRAIN).locator(".fnb-stage").wait_for(state="attached")
    _shoot(page, TRAIN, "graph-closed-light")
    _look_with_the_pointer(page)
    _look_by_keyboard(page)
    _go_from_problems_to_nodes(page)
    _open_what_was_collapsed(page)

    page.theme("dark")
    _shoot(page, EMPTY, "graph-empty-dark")
    _shoot(page, WRONG, "graph-wrong-dark")
    _node(page, TRAIN, "n1").locator(".o").click()
    _node(page, TRAIN, "n1/n2").wait_for(state="attached")
    _shoot(page, TRAIN, "graph-open-dark")

    # After leaving the graph, the saved picture is opened as the graph was, and no widget is saved.
    page.page.mouse.move(5, 5)
    page.page.locator(".jp-CodeCell").first.click()
    page.page.wait_for_function(_SHOWS, arg=[TRAIN, "fit · 8"])
    page.save()
    saved = [cell for cell in page.saved().cells if cell.cell_type == "code"]
    (output,) = saved[TRAIN].outputs
    assert set(output.data) == {"text/html", "text/plain"}
    assert "fit · 8" in output.data["text/plain"]
    assert "widgets" not in page.saved().metadata
    assert "does not compile" in saved[WRONG].outputs[0].data["text/html"]
    _reopen(page)
    assert page.outside == []


def _look_with_the_pointer(page: Any) -> None:
    """Open a node and read the details of one inside; the clicked node keeps its place on the screen."""
    before = _node(page, TRAIN, "n1").bounding_box()
    _node(page, TRAIN, "n1").locator(".o").click()
    inner = _node(page, TRAIN, "n1/n2")
    inner.wait_for(state="attached")
    after = _node(page, TRAIN, "n1").bounding_box()
    assert abs(after["x"] - before["x"]) < 60
    inner.click()
    details = page.output(TRAIN).get_by_role("region", name="Details")
    details.get_by_text("cell [1], line 19").wait_for()
    assert "= 8" in details.inner_text()
    _shoot(page, TRAIN, "graph-open-light")


def _look_by_keyboard(page: Any) -> None:
    """Find a node inside a closed one, go on from there, close everything."""
    keys = page.page.keyboard
    page.output(TRAIN).locator(".fnb-stage").focus()
    keys.press("/")
    keys.type("fit depth 5")
    keys.press("Enter")
    keys.press("Enter")
    _node(page, TRAIN, "n4/n1").wait_for(state="attached")
    page.output(TRAIN).locator("[id='node-n4/n1'].fnb-selected").wait_for(state="attached")
    _shoot(page, TRAIN, "graph-found-light")
    for key in ("Escape", "Escape", "Home", "ArrowRight", "ArrowRight"):
        keys.press(key)
    page.output(TRAIN).locator(".f.fnb-selected, .n.fnb-selected").wait_for(state="attached")
    page.output(TRAIN).get_by_role("button", name="Close everything").press("Enter")
    _node(page, TRAIN, "n1/n2").wait_for(state="detached")


def _go_from_problems_to_nodes(page: Any) -> None:
    problems = page.output(WRONG).locator("button.fnb-problem")
    problems.nth(2).wait_for(state="attached")
    problems.nth(1).click()
    page.output(WRONG).locator(".n.fnb-selected").wait_for(state="attached")
    page.output(WRONG).locator("button.fnb-problem[aria-current=true]").first.wait_for()
    _shoot(page, WRONG, "graph-wrong-light")


def _open_what_was_collapsed(page: Any) -> None:
    """Two thousand equal nodes are shown as one group, which opens on demand."""
    nodes = page.output(LARGE).locator(".fnb-stage .n")
    nodes.first.wait_for(state="attached")
    assert nodes.count() < 20
    _shoot(page, LARGE, "graph-large-light")
    nodes.filter(has_text="fit ×").first.locator(".o").click()
    nodes.nth(1500).wait_for(state="attached", timeout=120_000)
    _shoot(page, LARGE, "graph-large-open-light")


def _reopen(page: Any) -> None:
    """Reopened while the kernel lives, the graph is interactive; without a kernel it is the picture."""
    page.open()
    _node(page, TRAIN, "n1/n2").wait_for(state="attached")
    page.command("kernelmenu:shutdown")
    page.page.wait_for_function(
        "() => !document.querySelector('.fnb-stage')"
        " || !(window.jupyterapp || window.jupyterlab)"
        ".shell.currentWidget.sessionContext.session?.kernel"
    )
    page.page.reload()
    page.output(TRAIN).locator("img").first.wait_for(state="attached")
    assert page.page.locator(".fnb-stage").count() == 0
    _shoot(page, TRAIN, "graph-reopened-dark")
    assert page.page.get_by_text("model not found").count() == 0
