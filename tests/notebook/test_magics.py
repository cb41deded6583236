"""`%flyte` and `%%task` in a shell, over a fake session."""

import datetime
import inspect
import traceback

import pytest

from flyte_nb.api.errors import (
    ErrorInfo,
    ExecutionFailed,
    RegistrationFailed,
    RemoteError,
    UsageError,
)
from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import Location
from flyte_nb.executions.execution import Watching
from flyte_nb.notebook.kernel.failures import rendered
from flyte_nb.notebook.shell import extension
from flyte_nb.registering.views import RegisteredEntity

_PIPELINE_WITHOUT_FIT = """
from flyte_nb import task
@task
def load(n: int) -> int:
    return n
"""


def test_registering_shows_what_is_new_and_then_that_nothing_changed(pipeline):
    pipeline.run("%flyte register")
    assert "✓ churn.pipeline  workflow     new        first time" in pipeline.shown()
    pipeline.run("%flyte register")
    assert "= churn.pipeline  workflow     unchanged" in pipeline.shown()


def test_a_problem_is_listed_once_however_many_workflows_have_it(notebook):
    nb = notebook(real_compiler=True)
    nb.run(_WRONG)
    nb.run("%flyte compile", cell_id="c1")
    for said in (nb.shown(), nb.html()):
        assert said.count("tuple cannot be one value") == 1
    error = nb.fails("one(n=1)")
    assert str(error).count("tuple cannot be one value") == 1


_WRONG = """
from flyte_nb import task, workflow
@task
def bad(n: int) -> tuple:
    return n
@workflow
def one(n: int) -> None:
    bad(n=n)
    bad(n=n)
@workflow
def two(n: int) -> None:
    one(n=n)
    bad(n=n)
"""


def test_what_the_panel_lists_is_not_listed_by_the_error_again(pipeline, monkeypatch):
    def refuse(*entities, on_progress, on_upload, dry_run, restage):
        place = Location("<ipython-input-1-abc>", 3)
        problem = Problem("Refused", "It is wrong.", location=place)
        name = Identifier("task", "p", "d", "churn.fit")
        on_progress(RegisteredEntity(name, "failed", "It is wrong.", problems=(problem,)))
        raise RegistrationFailed("Nothing was registered.", [problem])

    monkeypatch.setattr(pipeline.session, "register", refuse)
    error = pipeline.fails("%flyte register")
    assert pipeline.shown().count("It is wrong.") == 1
    assert "failed     1 problem" in pipeline.shown()
    assert pipeline.html().count("It is wrong.") == 1
    lines = "\n".join(rendered(error, None, pipeline.kernel.cells))
    assert "It is wrong." not in lines
    assert "The problem is listed above." in lines


def test_a_dry_run_registers_nothing(pipeline):
    pipeline.run("%flyte register --dry-run")
    assert pipeline.session.registered == {}


def test_registering_shows_the_notebooks_name_unless_the_front_end_does(pipeline):
    pipeline.run("%flyte register")
    assert "Entities are named" not in pipeline.shown()
    pipeline.session.named_by = "papermill"
    pipeline.run("%flyte register")
    said = "Entities are named churn.…: churn.ipynb is the input of papermill."
    assert said in pipeline.shown()
    assert said in pipeline.html()


def test_only_what_is_named_is_registered(pipeline):
    pipeline.run("%flyte register load")
    assert list(pipeline.session.registered) == ["churn.load"]


def test_registering_an_empty_notebook_is_an_error_that_says_how_to_begin(notebook):
    assert "%%task" in str(notebook().fails("%flyte register"))


def test_a_deleted_definition_is_left_out_and_pointed_out(pipeline):
    pipeline.run(_PIPELINE_WITHOUT_FIT, cell_id="define")
    pipeline.run("%flyte register", cell_id="register")
    assert list(pipeline.session.registered) == ["churn.load"]
    assert "fit is not defined by cell [2] any more" in pipeline.shown()
    assert "del fit" in pipeline.shown()


def test_a_class_that_was_defined_again_is_pointed_out_with_the_cell_to_run(notebook):
    made = notebook(speed=0)
    cell = "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int = 1\n"
    made.run(cell, cell_id="class")
    made.run(
        "from flyte_nb import task\n@task\ndef f(p: P) -> int:\n    return p.x", cell_id="task"
    )
    made.run(cell, cell_id="class")
    made.run("%flyte register", cell_id="register")
    assert "class P was redefined after f: run cell [2] again" in made.shown()


def test_a_failed_registration_fails_the_cell_and_keeps_the_panel(pipeline, monkeypatch):
    def refuse(*entities, on_progress=None, on_upload=None, dry_run=False, restage=False):
        raise RemoteError("No such project.", code="NOT_FOUND")

    monkeypatch.setattr(pipeline.session, "register", refuse)
    assert isinstance(pipeline.fails("%flyte register"), RemoteError)


def test_a_long_upload_shows_how_far_it_is(pipeline, monkeypatch):
    from flyte_nb.bundle.stage import StagingProgress
    from flyte_nb.notebook.commands import registering

    monkeypatch.setattr(registering, "_REDRAW_S", 0)
    shown = []

    def upload(*entities, on_progress=None, on_upload=None, dry_run=False, restage=False):
        on_upload(StagingProgress(12_000_000, 130_000_000, 12_000_000))
        shown.append(pipeline.shown())
        raise RemoteError("No such project.", code="NOT_FOUND")

    monkeypatch.setattr(pipeline.session, "register", upload)
    pipeline.fails("%flyte register")
    assert "uploading: 12 MB of 130 MB" in shown[0]


def test_an_outcome_with_failures_fails_the_cell(pipeline, monkeypatch):
    register = pipeline.session.register

    def half(*entities, on_progress=None, on_upload=None, dry_run=False, restage=False):
        outcome = register(*entities, on_progress=on_progress)
        bad = outcome.entities[0]._replace(state="failed", why="refused")
        return outcome._replace(entities=(bad, *outcome.entities[1:]))

    monkeypatch.setattr(pipeline.session, "register", half)
    error = pipeline.fails("%flyte register")
    assert isinstance(error, RegistrationFailed)
    assert "refused" in str(error)
    assert "✕ churn.load" in pipeline.shown()


TYPED = """
import datetime
import typing
from flyte_nb import task, workflow
@task
def count(xs: list[str]) -> int:
    return len(xs)
@workflow
def typed(
    xs: list[str],
    d: dict[str, int],
    text: str = "",
    since: typing.Optional[datetime.timedelta] = None,
) -> int:
    return count(xs=xs)
names = ["a,b", "c d"]
"""


@pytest.mark.parametrize(
    ("line", "inputs"),
    [
        ('xs=["a,b","c"] d={"a":1}', {"xs": ["a,b", "c"], "d": {"a": 1}}),
        (
            r"xs=[] d={} text=\d+\s since=90s;",
            {"xs": [], "d": {}, "text": r"\d+\s", "since": datetime.timedelta(seconds=90)},
        ),
        ("xs={names} d={} text=a#b ;  # why", {"xs": ["a,b", "c d"], "d": {}, "text": "a#b"}),
        ("xs=$names d={} text='x;  # y'", {"xs": ["a,b", "c d"], "d": {}, "text": "x;  # y"}),
    ],
)
def test_values_on_the_line_arrive_as_they_are(notebook, line, inputs):
    nb = notebook()
    nb.run(TYPED)
    run = nb.run(f"run = %flyte launch typed {line}\nrun")
    assert run.inputs() == inputs


def test_names_of_a_function_that_runs_the_magic_are_known(notebook):
    nb = notebook()
    nb.run(TYPED)
    source = "def go(words, what):\n    return get_ipython().run_line_magic('flyte', {line!r})"
    nb.run(source.format(line="launch {what} xs={words} d={}"))
    assert nb.run("go(['x y'], 'typed')").inputs() == {"xs": ["x y"], "d": {}}


def test_the_form_shows_the_inputs_of_the_line(notebook):
    nb = notebook()
    nb.run(TYPED)
    nb.run("%flyte launch typed --form xs={names} text='a b'  # to be looked at")
    assert "text" in nb.html()


def test_a_comment_and_braces_in_the_line_of_a_task_cell_are_pythons(notebook):
    nb = notebook()
    nb.run('%%task pick(n: int, by: dict = {"a":1}) -> one: int;  # of them\none = by["a"]')
    assert nb.run("pick(n=1)") == 1


def test_launching_with_inputs_returns_the_execution(pipeline):
    run = pipeline.run("run = %flyte launch pipeline n=3\nrun")
    assert run.inputs() == {"n": 3}
    assert pipeline.kernel.last_execution == run.id.name


def test_an_input_may_be_a_variable_of_the_notebook(pipeline):
    pipeline.run("best = 11")
    assert pipeline.run("run = %flyte launch pipeline n=best\nrun").inputs() == {"n": 11}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%flyte launch pipeline n=x", "n (int): is not an int: “x”"),
        ("%flyte launch pipeline m=1", "pipeline has no input 'm'; it takes: n"),
        ("%flyte launch fit depth=1", "fit needs n"),
        ("%flyte launch nobody n=1", "There is no task or workflow 'nobody'"),
        ("%flyte watch", "Nothing was launched yet"),
        ("%flyte logs", "Nothing was launched yet"),
    ],
)
def test_a_wrong_line_fails_the_cell_with_a_message(pipeline, line, said):
    error = pipeline.fails(line)
    assert isinstance(error, UsageError)
    assert said in str(error)


def test_a_failure_is_shown_without_frames_of_ours(pipeline, capsys):
    pipeline.fails("%flyte launch pipeline n=x")
    said = capsys.readouterr().out
    assert "UsageError" in said
    assert "site-packages" not in said
    assert "notebook/commands" not in said


def test_an_error_names_the_cell_and_line_that_raised_it(pipeline, capsys):
    pipeline.fails("def go():\n    return pipeline(n='x', m=2)\ngo()")
    assert "cell [2], line 2: return pipeline(n='x', m=2)" in capsys.readouterr().out


def test_watching_follows_the_newest_run_of_this_notebook_after_a_restart(pipeline):
    run = pipeline.run("run = %flyte launch pipeline n=3\nrun")
    pipeline.kernel.last_execution = ""  # what a new kernel knows
    run.advance(100)
    pipeline.run("%flyte watch")
    assert run.id.name in pipeline.shown()
    assert "succeeded" in pipeline.shown()


def test_watching_with_wait_fails_the_cell_when_the_run_failed(pipeline):
    run = pipeline.run("run = %flyte launch pipeline n=3\nrun")
    run.terminate("enough")
    error = pipeline.fails("%flyte watch --wait")
    assert type(error).__name__ == "ExecutionFailed"
    assert "enough" in str(error)


def test_an_interrupt_of_watching_says_that_the_run_goes_on(pipeline, monkeypatch):
    run = pipeline.run("run = %flyte launch pipeline n=3\nrun")
    monkeypatch.setattr(pipeline.kernel, "execution", lambda name: _interrupted())
    error = pipeline.fails(f"%flyte watch {run.id.name} --wait")
    assert "The run goes on." in str(error)


def _interrupted():
    raise KeyboardInterrupt


def test_logs_are_printed_and_can_be_cut(pipeline, capsys):
    run = pipeline.run("run = %flyte launch pipeline n=3\nrun")
    run.advance(100)
    capsys.readouterr()
    pipeline.run(f"%flyte logs {run.id.name} load")
    assert capsys.readouterr().out == "n0 attempt 1 says hello\n"
    pipeline.run("%flyte logs --tail 1")
    assert capsys.readouterr().out == "n1 attempt 1 says hello\n"
    assert "has no node 'nope'; it has: n0 (load), n1 (fit)" in str(
        pipeline.fails(f"%flyte logs {run.id.name} nope")
    )


def test_terminating_asks_first_and_yes_does_not(pipeline):
    run = pipeline.run("run = %flyte launch pipeline n=3\nrun")
    pipeline.run("%flyte terminate")
    assert not run.view().is_terminal
    assert "application/vnd.jupyter.widget-view+json" in pipeline.published[-1]["data"]
    pipeline.run("%flyte terminate --yes --cause enough")
    assert run.view().phase == "ABORTED"
    assert run.view().abort_cause == "enough"
    pipeline.run("%flyte terminate")
    assert "has already ended" in pipeline.shown()


def test_what_was_launched_is_launched_again(pipeline):
    run = pipeline.run("run = %flyte launch pipeline n=3\nrun")
    pipeline.run("again = %flyte relaunch --overwrite-cache --execution-name more\nagain")
    pipeline.run(f"again = %flyte recover {run.id.name}\nagain")
    assert run.again == [("relaunch", "more", True), ("recover", None)]
    assert pipeline.kernel.last_execution == run.id.name


def test_connecting_anew_replaces_the_session(pipeline):
    before = pipeline.session
    pipeline.run("%flyte connect --project mine --name other")
    assert pipeline.session is not before
    assert "other → mine / development" in pipeline.shown()


def test_executions_status_and_help_are_shown(pipeline):
    pipeline.run("%flyte executions")
    assert "Nothing has run yet" in pipeline.shown()
    pipeline.run("%flyte status")
    assert "endpoint: 127.0.0.1:30080" in pipeline.shown()
    pipeline.run("%flyte help")
    assert "%flyte register" in pipeline.shown()
    pipeline.run("%flyte help launch")
    assert "--execution-name" in pipeline.shown()


def test_a_task_cell_sees_its_inputs_and_returns_the_names_it_sets(notebook):
    made = notebook()
    made.run(
        "%%task area(a: int, b: int = 2) -> product: int, total: int\nproduct = a * b\ntotal = a + b\n",
        cell_id="area",
    )
    assert made.run("area.function(3)") == (6, 5)
    assert made.run("area.resource_type") == "task"
    owner = made.kernel.cells.owner("area")
    assert owner is not None
    assert owner.cell_id == "area"


def test_the_traceback_of_a_task_cell_has_the_lines_of_the_cell(notebook):
    made = notebook()
    made.run("%%task bad(a: int) -> x: float\n\nx = a / 0\n")
    error = made.fails("bad.function(1)")
    last = traceback.extract_tb(error.__traceback__)[-1]
    assert (last.lineno, (last.line or "").strip()) == (3, "x = a / 0")
    assert made.kernel.cells.label(last.filename) == "cell [1]"
    assert "x = a / 0" in inspect.getsource(made.shell.user_ns["bad"].function)


@pytest.mark.parametrize(
    ("cell", "line", "said"),
    [
        ("%%task f(a: int) -> x: int\ny = 1\nx = (a +\n", "cell [1], line 3", "SyntaxError"),
        ("%%task f(a: int -> x: int\nx = 1\n", "cell [1], line 1", "SyntaxError"),
        ("%%task f() -> x: int\ny = 1\n", "cell [1], line 1", "output x is never set"),
    ],
)
def test_a_broken_task_cell_points_at_its_line(notebook, capsys, cell, line, said):
    made = notebook()
    made.fails(cell)
    shown = capsys.readouterr().out
    assert line in shown
    assert said in shown
    assert "flyte_nb/sdk" not in shown
    assert "f" not in made.shell.user_ns


def test_loading_twice_replaces_and_unloading_takes_everything_away(shell, notebook):
    notebook()
    notebook()
    assert "flyte" in shell.magics_manager.magics["line"]
    extension.unload(shell)
    assert "flyte" not in shell.magics_manager.magics["line"]
    assert "task" not in shell.magics_manager.magics["cell"]
    assert not any(
        getattr(matcher, "matcher_identifier", "") == "flyte_nb"
        for matcher in shell.Completer.custom_matchers
    )


def test_an_interrupt_while_registering_says_what_was_done(pipeline, monkeypatch):
    register = pipeline.session.register

    def interrupted(*entities, on_progress=None, on_upload=None, dry_run=False, restage=False):
        register(entities[0], on_progress=on_progress)
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline.session, "register", interrupted)
    error = pipeline.fails("%flyte register")
    assert "%flyte register registers the rest" in str(error)
    assert "✓ churn.load" in pipeline.shown()


def test_a_renamed_notebook_is_pointed_out(pipeline, monkeypatch):
    monkeypatch.setattr(pipeline.session, "renamed", lambda: "better")
    pipeline.run("%flyte register")
    assert "%flyte connect --name better" in pipeline.shown()


def test_the_result_of_an_await_is_shown_as_a_card(pipeline):
    run = pipeline.run("run = %flyte launch pipeline n=3\nrun")
    run.advance(100)
    data, _ = pipeline.shell.display_formatter.format(run.view())
    assert "succeeded" in data["text/html"]


def test_running_a_cell_again_closes_the_view_of_its_earlier_run(pipeline):
    class View:
        closed = False

        def close(self):
            self.closed = True

    first, second, third = View(), View(), View()
    cells = pipeline.kernel.cells
    cells.begin(cell_id="w", number=5, filename="f", source="")
    pipeline.kernel.follow(first)
    pipeline.kernel.follow(second)
    assert not first.closed
    cells.begin(cell_id="w", number=6, filename="f", source="")
    pipeline.kernel.follow(third)
    assert (first.closed, second.closed, third.closed) == (True, True, False)


def test_watch_in_python_shows_the_tracker_and_stays_an_iterator(pipeline, monkeypatch):
    run = pipeline.run("run = %flyte launch pipeline n=3\nrun")
    shown = len(pipeline.published)
    pipeline.shell.user_ns["watching"] = Watching(run, iter(run.watch()))
    pipeline.run("watching")
    assert len(pipeline.published) > shown
    assert "pipeline" in pipeline.shown()
    while not run.view().is_terminal:
        run.advance()
    assert [view.is_terminal for view in pipeline.shell.user_ns["watching"]][-1]


def test_the_repr_of_a_watch_shows_how_it_is_used():
    run = type("Run", (), {"name": "f3a9c"})()
    assert repr(Watching(run, iter(()))) == (
        "<views of f3a9c: a for loop gets one after every change, %flyte watch f3a9c shows them>"
    )


HOSTILE = "a\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m\rb"


def test_control_characters_in_a_tasks_error_do_not_reach_the_terminal(pipeline):
    message = f"Trace:\n\n    {HOSTILE}\nMessage:\n\n    ValueError: {HOSTILE}"
    info = ErrorInfo("USER:ValueError", message)
    error = ExecutionFailed(f"fit failed: {message}", info=info)
    problem = Problem("X", HOSTILE, node_id=HOSTILE, hint=HOSTILE)
    shown = [
        *rendered(error, None, pipeline.kernel.cells),
        *rendered(RegistrationFailed(HOSTILE, [problem]), None, pipeline.kernel.cells),
        *rendered(RemoteError(HOSTILE, code="INTERNAL"), None, pipeline.kernel.cells),
        *rendered(TimeoutError(HOSTILE), None, pipeline.kernel.cells),
    ]
    for line in shown:
        ours = line.replace("\x1b[31m", "").replace("\x1b[1m", "")
        ours = ours.replace("\x1b[2m", "").replace("\x1b[0m", "")
        assert ours.replace("\t", "").isprintable()
    assert any(r"a\x1b]0;title\x07\x1b[2Jred\x0db" in line for line in shown)


def test_logs_keep_colours_and_lose_other_control_characters(pipeline, capsys, monkeypatch):
    run = pipeline.run("run = %flyte launch pipeline n=3\nrun")
    monkeypatch.setattr(type(run), "logs", lambda *_: HOSTILE)
    pipeline.run("%flyte logs")
    printed = capsys.readouterr().out
    assert "\\x1b]0;title\\x07\\x1b[2J\x1b[31mred\x1b[0m\rb\x1b[0m\n" in printed
