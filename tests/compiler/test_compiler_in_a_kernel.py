"""An author of a wrong workflow sees the cell, the line, the types, and what would work."""

import pytest

from flyte_nb.unattended import headless

nbformat = pytest.importorskip("nbformat", reason="notebooks need nbformat")
pytest.importorskip("nbclient", reason="notebooks are executed by nbclient")

CELLS = [
    "%load_ext flyte_nb\nfrom flyte_nb import task, workflow, Resources",
    """
@task
def load(path: str) -> tuple[float, str]:
    return 1.0, path

@task
def half(x: float) -> float:
    return x / 2
""",
    """
@workflow
def wrong(path: str) -> float:
    rate, name = load(path=path)
    a = half(x=name)
    b = half(y=rate)

    c = half(x=1.0).with_overrides(requests=Resources(cpu="much"))
    d = half(x="no")
    return half(x=a)
""",
    "wrong",
]
CELLS = [source.strip() for source in CELLS]


def line_of(code):
    return CELLS[2].splitlines().index(next(x for x in CELLS[2].splitlines() if code in x)) + 1


def test_problems_of_the_trace_and_of_the_compiler_name_their_cell_and_line(tmp_path):
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    outcome = headless.execute(nbformat.v4.new_notebook(cells=cells), folder=tmp_path, name="my")
    assert not outcome.error
    (text,) = headless.texts(outcome.notebook.cells[-1])
    lines = text.splitlines()

    def line_with(*parts):
        found = [line for line in lines if all(part in line for part in parts)]
        assert len(found) == 1, text
        return found[0]

    # By the trace: names and constants.
    assert f"(cell [3], line {line_of('y=rate')})" in line_with("half has no input y")
    assert f"(cell [3], line {line_of('no')})" in line_with("Expected float, got str 'no'")
    # By the compiler: types of results, and what a cluster would only say when it launches.
    mismatch = line_with("'x' is float, but load.o1 is str")
    assert f"(cell [3], line {line_of('x=name')})" in mismatch
    assert "o0 of the same node would fit" in mismatch
    quantity = line_with("cpu is 'much', which Kubernetes cannot read", "500m")
    assert f"(cell [3], line {line_of('much')})" in quantity
