"""Tab completion."""

import pytest
from IPython.core.completer import provisionalcompleter

from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.specs import TypedInterface
from flyte_nb.client.fetching import Registered
from flyte_nb.notebook.shell.completer import candidates


@pytest.mark.parametrize(
    ("line", "fragment", "offered"),
    [
        ("%flyte reg", "reg", ["register"]),
        ("run = %flyte la", "la", ["launch"]),
        ("%flyte launch pi", "pi", ["pipeline"]),
        ("%flyte register load f", "f", ["fit"]),
        ("%flyte launch fit ", "", ["n=", "depth="]),
        ("%flyte launch fit d", "d", ["depth="]),
        ("%flyte register --", "--", ["--dry-run", "--restage"]),
        ("%flyte graph pi", "pi", ["pipeline"]),
        ("%flyte graph pipeline --engine d", "d", ["dot"]),
        ("%flyte help wa", "wa", ["watch"]),
        ("%flyte connect --project ", "", []),
        ("%flyte nothing ", "", []),
        ("%flyte executions ", "", []),
    ],
)
def test_what_fits_is_offered(pipeline, line, fragment, offered):
    assert candidates(pipeline.kernel, line) == (fragment, offered)


@pytest.mark.parametrize("line", ["flyte re", "%flyter re", "x = 1", "%flyte", "print('%flyte re"])
def test_other_lines_are_left_alone(pipeline, line):
    assert candidates(pipeline.kernel, line) is None


def test_a_decorated_task_offers_the_inputs_that_its_author_wrote(pipeline):
    pipeline.run(
        "import functools\nfrom flyte_nb import LaunchPlan, task\n"
        "def counted(function):\n"
        "    @functools.wraps(function)\n    def wrapper(*args, **kwargs): return function(*args)\n"
        "    return wrapper\n"
        "@task\n@counted\ndef decorated(rows: int, depth: int = 1) -> int:\n    return rows\n"
        "night = LaunchPlan(pipeline, name='night', fixed_inputs={'n': 1})"
    )
    assert candidates(pipeline.kernel, "%flyte launch decorated ") == ("", ["rows=", "depth="])
    assert candidates(pipeline.kernel, "%flyte launch night ") == ("", [])


def test_what_was_fetched_is_no_definition_of_the_notebook(pipeline):
    id = Identifier("workflow", "p", "d", "other.fetched", "v")
    found = Registered(id, TypedInterface({}, {}), {}, None)
    pipeline.shell.user_ns["fetched"] = found
    assert "fetched" not in pipeline.kernel.entities()
    assert pipeline.kernel.held() == ()


def test_completing_never_connects(pipeline):
    assert candidates(pipeline.kernel, "%flyte watch ") == ("", [])
    assert pipeline.connector.session is None


def test_executions_and_their_nodes_are_offered_once_connected(pipeline):
    run = pipeline.run("run = %flyte launch pipeline n=3\nrun")
    run.advance(10)
    assert candidates(pipeline.kernel, "%flyte watch ") == ("", [run.id.name])
    assert candidates(pipeline.kernel, f"%flyte logs {run.id.name} ") == ("", ["n0", "n1"])


def test_ipython_offers_ours_and_nothing_else(pipeline):
    def offered(line):
        with provisionalcompleter():
            found = list(pipeline.shell.Completer.completions(line, len(line)))
        return [(c.text, c.start, c.end) for c in found]

    assert offered("%flyte register --") == [("--dry-run", 16, 18), ("--restage", 16, 18)]
    assert offered("%flyte wat") == [("watch", 7, 10)]
