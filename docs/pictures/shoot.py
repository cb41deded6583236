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
    """Launch again, and take the picture while two forests grow and one is done."""
    page.theme(theme)
    cells = page.page.locator(".jp-CodeCell")
    cells.nth(4).locator(".jp-InputArea").click()
    page.command("notebook:run-cell")
    stage = page.output(4).locator(".fnb-stage svg")
    stage.wait_for(state="attached")
    stage.locator('g[data-phase="SUCCEEDED"]:has-text("fit")').first.wait_for(state="attached")
    stage.locator('g[data-phase="RUNNING"]:has-text("200")').click()
    page.output(4).locator('pre:visible:has-text("fold 1")').first.wait_for()
    page.command("notebook:enter-command-mode")
    page.page.mouse.move(0, 0)
    save(page, f"notebook-{theme}", 3, 4)
    page.output(4).locator(".fnb-stage").wait_for(state="detached")
    page.idle()


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
