"""Take README's pictures: its own cells in a real JupyterLab, light and dark.

Run `python docs/pictures/shoot.py` with the `dev` extra installed and Chromium on the path. It takes a
minute or two. Look at the pictures before you commit them.
"""

import importlib.util
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image
from playwright.sync_api import TimeoutError as WaitedTooLong
from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

MISTAKEN = """\
@workflow
def mistaken() -> float:
    rows = load(n="all")
    return best(scores=[fit(rows=rows, trees=2.5), fit(row=rows, trees=10)])

mistaken"""

LIGHT, DARK = "light", "dark"
ATTEMPTS = 6
PATIENCE_MS = 20_000


def browser_tools() -> Any:
    """Return the module with the server and the page that the browser tests use."""
    spec = importlib.util.spec_from_file_location(
        "browser_tools", ROOT / "tests" / "browser" / "conftest.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def readme_cells() -> "dict[str, str]":
    """Return the cells of README that the pictures show, by what they do."""
    blocks = re.findall(r"```python\n(.*?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    marks = {"tasks": "%load_ext", "cell": "%%task", "workflow": "@workflow", "watch": "run = "}
    return {
        what: next(block for block in blocks if block.startswith(mark))
        for what, mark in marks.items()
    }


def write_notebook(path: Path) -> None:
    """Write the notebook: README's cells, and one workflow with mistakes."""
    cells = readme_cells()
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    )
    # All rows: the forests take long enough to be seen at work.
    watch = cells["watch"].replace("n=300", "n=1797")
    sources = [cells["tasks"], cells["cell"], MISTAKEN, cells["workflow"], watch]
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(notebook, path)


def quiet(page: Any) -> None:
    """Hide what belongs to JupyterLab's frame and not to the notebook."""
    page.command("statusbar:toggle")
    page.command("application:toggle-side-tabbar", {"side": "left"})
    page.command("application:toggle-side-tabbar", {"side": "right"})


def save(page: Any, name: str, first: int, last: int) -> None:
    """Keep the picture from the top of one cell to the end of another, in 256 colours."""
    cells = page.page.locator(".jp-CodeCell")
    cells.nth(first).evaluate("(cell) => cell.scrollIntoView({ block: 'start' })")
    page.page.wait_for_timeout(400)
    bottom = cells.nth(last).bounding_box()
    height = min(bottom["y"] + bottom["height"], page.page.viewport_size["height"])
    path = HERE / f"{name}.png"
    page.page.screenshot(
        path=str(path),
        clip={"x": 0, "y": 0, "width": page.page.viewport_size["width"], "height": height},
    )
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def follow(page: Any, theme: str) -> None:
    """Launch until a picture shows what it should: forests that are done, and one that grows."""
    page.theme(theme)
    cell = page.page.locator(".jp-CodeCell").nth(4)
    for _ in range(ATTEMPTS):
        cell.locator(".jp-InputArea").click()
        page.command("notebook:run-cell")
        taken = take_while_running(page, f"notebook-{theme}")
        page.output(4).locator(".fnb-stage").wait_for(state="detached")
        page.idle()
        if taken:
            return
    raise SystemExit(f"In {ATTEMPTS} runs nothing was seen at work. Is this machine very fast?")


def take_while_running(page: Any, name: str) -> bool:
    """Take the picture of a run at the right moment; whether there was one."""
    stage = page.output(4).locator(".fnb-stage svg")
    stage.wait_for(state="attached")
    try:
        stage.locator('g[data-phase]:has-text("fit · 200")').click(timeout=PATIENCE_MS)
        done = stage.locator('g[data-phase="SUCCEEDED"]:has-text("fit")').first
        done.wait_for(state="attached", timeout=PATIENCE_MS)
        log = page.output(4).locator('pre:visible:has-text("fold 1")').first
        log.wait_for(timeout=PATIENCE_MS)
    except WaitedTooLong:
        return False
    page.command("notebook:enter-command-mode")
    page.page.mouse.move(0, 0)
    save(page, name, 3, 4)
    return stage.is_visible()


def main() -> None:
    """Take all pictures."""
    tools = browser_tools()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        os.environ["FLYTE_NB_HOME"] = str(Path(scratch) / "home")
        folder = Path(scratch) / "work"
        folder.mkdir()
        write_notebook(folder / "digits.ipynb")
        server = tools.Server(folder, "lab")
        try:
            server.wait()
            browser = playwright.chromium.launch(
                executable_path=tools.CHROMIUM,
                args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
            )
            raw = browser.new_page(viewport={"width": 1040, "height": 1100}, device_scale_factor=2)
            page = tools.Page(raw, server, "digits.ipynb")
            page.open()
            quiet(page)
            page.run_all()
            page.idle()
            for theme in (LIGHT, DARK):
                page.theme(theme)
                save(page, f"problems-{theme}", 2, 2)
            for theme in (LIGHT, DARK):
                follow(page, theme)
            browser.close()
        finally:
            server.close()
            from flyte_nb.admin import daemon

            daemon.stop(Path(scratch) / "home")


if __name__ == "__main__":
    sys.exit(main())
