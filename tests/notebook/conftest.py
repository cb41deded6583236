"""Fixtures: a shell in which the extension is loaded over a fake session."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `fakes`


class Notebook:
    """A shell with the extension, which runs cells and keeps what they display."""

    def __init__(self, shell: Any, **options: Any) -> None:
        import fakes

        from flyte_nb.notebook.shell import extension

        self.shell = shell
        self.connector = fakes.Connector(**options)
        self.extension = extension.load(shell, self.connector)
        self.kernel = self.extension.kernel
        self.published: list[dict[str, Any]] = []
        shell.display_pub.publish = self._publish
        shell.user_ns["In"][:] = [""]
        shell.history_manager.input_hist_raw[:] = [""]
        shell.execution_count = 1

    def _publish(self, data: Any, metadata: Any = None, **kw: Any) -> None:
        self.published.append(
            {"data": data, "transient": kw.get("transient"), "update": kw.get("update", False)}
        )

    @property
    def session(self) -> Any:
        return self.connector()

    def run(self, source: str, *, cell_id: str | None = None) -> Any:
        """Run a cell that has to succeed, and return its value."""
        result = self.shell.run_cell(source, store_history=True, cell_id=cell_id)
        result.raise_error()
        return result.result

    def fails(self, source: str, *, cell_id: str | None = None) -> BaseException:
        """Run a cell that has to fail, and return its error."""
        result = self.shell.run_cell(source, store_history=True, cell_id=cell_id)
        error = result.error_in_exec or result.error_before_exec
        assert error is not None, f"{source!r} did not fail"
        return error

    def shown(self) -> str:
        """Return the text of what was displayed last."""
        text: str = self.published[-1]["data"]["text/plain"]
        return text

    def html(self) -> str:
        html: str = self.published[-1]["data"]["text/html"]
        return html


@pytest.fixture(scope="session")
def shell() -> "Iterator[Any]":
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    made = InteractiveShell.instance(config=config)
    yield made
    InteractiveShell.clear_instance()


@pytest.fixture
def notebook(shell: Any) -> "Iterator[Any]":
    """Return a function that makes a `Notebook`; its options go to the fake session."""
    made: list[Notebook] = []
    publish = shell.display_pub.publish
    before = dict(shell.user_ns)

    def make(**options: Any) -> Notebook:
        made.append(Notebook(shell, **options))
        return made[-1]

    yield make
    from flyte_nb.notebook.shell import extension

    extension.unload(shell)
    shell.display_pub.publish = publish
    shell.user_ns.clear()
    shell.user_ns.update(before)


PIPELINE = """
from flyte_nb import task, workflow

@task
def load(n: int) -> int:
    return n

@task
def fit(n: int, depth: int = 3) -> float:
    return n * 1.0

@workflow
def pipeline(n: int) -> float:
    return fit(n=load(n=n))
"""


@pytest.fixture
def pipeline(notebook: Any) -> Any:
    """Return a notebook in which the cell `define` has defined a workflow."""
    made = notebook(speed=0)
    made.run(PIPELINE, cell_id="define")
    return made
