"""Fixtures: a real JupyterLab or Notebook server, and a real Chromium that opens notebooks in it.

Without Chromium the tests are skipped, except in CI (`CI=true`), where that is a failure.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from flyte_nb.testing.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_UP_S = 240
_STEP_MS = 120_000
_APP = "(window.jupyterapp || window.jupyterlab)"
_KERNEL_IDLE = f"""() => {{
  const panel = {_APP}.shell.currentWidget;
  const kernel = panel?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}}"""


def pytest_collection_modifyitems(items: "list[pytest.Item]") -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
    # Last: once Playwright had an event loop in this thread, kernels of other tests leave theirs open.
    items.sort(key=lambda item: here in item.path.parents)


def _free_port() -> int:
    """Return a free port below the range from which systems choose by themselves, so that it stays free."""
    for port in random.SystemRandom().sample(range(20_000, 30_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port between 20000 and 30000 is free")


class Server:
    """One Jupyter server in a folder of its own."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self.kind = kind
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder.parent / f"{kind}.log"
        config = folder.parent / "jupyter"
        (config / "config" / "labconfig").mkdir(parents=True, exist_ok=True)
        (config / "config" / "labconfig" / "page_config.json").write_text(
            json.dumps(
                {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
            )
        )
        environment = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(config / "config"),
            "JUPYTER_DATA_DIR": str(config / "data"),
            "JUPYTER_RUNTIME_DIR": str(config / "runtime"),
            "IPYTHONDIR": str(config / "ipython"),
            "PYTHONPATH": str(ROOT / "tests" / "notebook"),  # the fakes, for the notebooks here
        }
        environment.pop("JUPYTER_PLATFORM_DIRS", None)
        application = "LabApp" if kind == "lab" else "JupyterNotebookApp"
        command = [
            sys.executable, "-m", "jupyter", kind, "--allow-root", "--no-browser",
            "--ip=127.0.0.1", f"--port={self.port}", "--ServerApp.port_retries=0",
            "--IdentityProvider.token=", "--ServerApp.password=",
            "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={folder}",
            f"--{application}.expose_app_in_browser=True",
        ]  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        def answers() -> bool:
            if self.process.poll() is not None:
                pytest.fail(f"jupyter {self.kind} ended:\n{self.log.read_text()[-3000:]}")
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}/api/status", timeout=2)
                return True
            return False

        wait_until(answers, f"jupyter {self.kind}, whose log is {self.log}", _UP_S)

    def sessions(self) -> "list[dict[str, Any]]":
        with urllib.request.urlopen(f"{self.url}/api/sessions", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)
            return found

    def close(self) -> None:
        with contextlib.suppress(OSError):
            for session in self.sessions():
                request = urllib.request.Request(
                    f"{self.url}/api/sessions/{session['id']}", method="DELETE"
                )
                urllib.request.urlopen(request, timeout=10)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Page:
    """One notebook that is open in the browser."""

    def __init__(self, page: Any, server: Server, name: str) -> None:
        self.page = page
        self.server = server
        self.name = name
        self.outside: list[str] = []
        page.set_default_timeout(_STEP_MS)
        page.on("request", self._note)

    def _note(self, request: Any) -> None:
        if not request.url.startswith((self.server.url, "data:", "blob:", self._ws)):
            self.outside.append(request.url)

    @property
    def _ws(self) -> str:
        return self.server.url.replace("http", "ws")

    def open(self) -> None:
        place = "doc/tree" if self.server.kind == "lab" else "notebooks"
        reset = "?reset" if self.server.kind == "lab" else ""
        self.page.goto(f"{self.server.url}/{place}/{self.name}{reset}")
        self.page.wait_for_function(f"() => Boolean({_APP})")  # `?reset` loads the page twice
        self.page.wait_for_function(f"() => {_APP}.restored.then(() => true)")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.idle()

    def idle(self, timeout_s: float = 120) -> None:
        """Wait until no cell is running or waiting to run."""
        self.page.wait_for_function(_KERNEL_IDLE, timeout=timeout_s * 1000)
        self.page.wait_for_function(
            "() => ![...document.querySelectorAll('.jp-InputPrompt')]"
            ".some((prompt) => prompt.innerText.includes('*'))",
            timeout=timeout_s * 1000,
        )

    def theme(self, name: str) -> None:
        """Change the theme to `light` or `dark`, as the menu does."""
        self.command("apputils:change-theme", {"theme": f"JupyterLab {name.capitalize()}"})
        wanted = "true" if name == "light" else "false"
        self.page.wait_for_selector(f'body[data-jp-theme-light="{wanted}"]', state="attached")

    def command(self, name: str, arguments: "dict[str, Any] | None" = None) -> None:
        """Start a command of the application; do not wait for its end."""
        self.page.evaluate(
            f"([name, args]) => {{ void {_APP}.commands.execute(name, args || {{}}); }}",
            [name, arguments],
        )

    def run_all(self) -> None:
        """Start all cells; do not wait for them."""
        self.command("notebook:run-all-cells")
        self.page.wait_for_function(
            "() => document.querySelector('.jp-CodeCell .jp-InputPrompt').innerText.trim() !== '[ ]:'"
        )

    def save(self) -> None:
        """Save, and wait until the file is written."""
        self.page.evaluate(f"() => {_APP}.shell.currentWidget.context.save()")

    def saved(self) -> Any:
        """Return the notebook as it is on the disk."""
        return nbformat.read(self.server.folder / self.name, as_version=4)

    def output(self, cell: int) -> Any:
        """Return the output area of a code cell; `cell` counts from 0."""
        return self.page.locator(".jp-CodeCell").nth(cell).locator(".jp-OutputArea").first


# Not for the whole run: while Playwright lives, an event loop counts as running in this thread.
@pytest.fixture(scope="module")
def chromium() -> "Iterator[Any]":
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs chromium: apt-get install chromium")
        pytest.skip("no chromium on PATH")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )
        yield browser
        browser.close()


@pytest.fixture(params=["lab"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> "Iterator[Server]":
    folder = tmp_path / "work"
    folder.mkdir()
    running = Server(folder, request.param)
    try:
        running.wait()
        yield running
    finally:
        running.close()


@pytest.fixture
def notebook(chromium: Any, server: Server) -> "Iterator[Any]":
    """Return a function that opens a notebook, given its path or the sources of its cells."""
    pages: list[Any] = []

    def open_(cells: "Path | list[str]", *, name: str = "demo.ipynb", width: int = 1060) -> Page:
        if isinstance(cells, Path):
            shutil.copy(cells, server.folder / name)
        else:
            write(server.folder / name, cells)
        page = chromium.new_page(viewport={"width": width, "height": 1400})
        pages.append(page)
        opened = Page(page, server, name)
        opened.open()
        return opened

    yield open_
    for page in pages:
        page.close()


def write(path: Path, cells: "list[str]") -> None:
    """Write a notebook with these code cells."""
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in cells],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
    )
    nbformat.write(made, path)
