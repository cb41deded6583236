"""What a value looks like as the last expression of a cell."""

import pytest

WRONG = """
@workflow
def wrong(n: int) -> float:
    return fit(m=load(n='three'))
wrong
"""


def _bundle(notebook, value):
    data, _ = notebook.shell.display_formatter.format(value)
    return data


def test_a_workflow_is_compiled_and_drawn(pipeline):
    data = _bundle(pipeline, pipeline.run("pipeline"))
    assert "churn.pipeline" in data["text/html"]
    assert '<img alt="pipeline: 2 nodes: load, fit"' in data["text/html"]
    assert data["text/plain"].startswith("pipeline\n")


def test_a_wrong_workflow_shows_every_problem_with_its_cell_and_variable(pipeline):
    data = _bundle(pipeline, pipeline.run(WRONG, cell_id="wrong"))
    html = data["text/html"]
    assert "does not compile" in html
    assert "cell [2], line 3" in html  # IPython drops the blank line in front
    assert "load.n" in html
    assert "/ipython" not in html
    assert "<ipython" not in html


def test_a_task_shows_its_signature(pipeline):
    data = _bundle(pipeline, pipeline.run("fit"))
    assert "churn.fit" in data["text/html"]
    assert "cell [1]" in data["text/html"]
    assert data["text/plain"] == (
        "task churn.fit\n  input n: int required\n  input depth: int = 3\n  output o0: float"
    )


def test_a_task_that_cannot_be_used_shows_its_problems(pipeline):
    data = _bundle(pipeline, pipeline.run("@task\ndef bare(x): ...\nbare"))
    assert "bare" in data["text/html"]
    assert "CompileFailed" in data["text/plain"]


def test_a_registration_is_a_card(pipeline):
    outcome = pipeline.session.register(pipeline.run("load"))
    assert "first time" in _bundle(pipeline, outcome)["text/html"]


def test_values_that_are_tuples_have_our_text_and_not_a_tuples(pipeline):
    load = pipeline.run("load")
    for value in (pipeline.session.bundle(load), pipeline.session.register(load)):
        assert f"{type(value).__name__}(" not in _bundle(pipeline, value)["text/plain"]
        assert "churn.load" in _bundle(pipeline, value)["text/plain"]


def test_a_display_never_raises(pipeline, monkeypatch):
    def broken(entity):
        raise ZeroDivisionError("by <nothing>")

    monkeypatch.setattr(pipeline.session, "compile", broken)
    data = _bundle(pipeline, pipeline.run("pipeline"))
    assert "ZeroDivisionError: by <nothing>" in data["text/plain"]
    assert "<nothing>" not in data["text/html"]


def test_without_the_extension_a_repr_is_text(pipeline, shell):
    from flyte_nb.notebook.shell import extension

    workflow = pipeline.run("pipeline")
    extension.unload(shell)
    data, _ = shell.display_formatter.format(workflow)
    assert set(data) == {"text/plain"}
    assert "pipeline" in data["text/plain"]


@pytest.mark.parametrize(
    "name",
    ["Task", "Workflow", "LaunchPlan", "Registration", "Execution", "ExecutionView", "Compiled"],
)
def test_every_type_that_is_named_exists(name):
    from importlib import import_module

    from flyte_nb.notebook.shell.formatters import BY_TYPE

    (module,) = [module for module, kind in BY_TYPE if kind == name]
    assert isinstance(getattr(import_module(module), name), type)
