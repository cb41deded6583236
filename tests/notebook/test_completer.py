"""Tab completion."""

import pytest
from IPython.core.completer import provisionalcompleter

from flyte_nb.notebook.shell.completer import candidates


@pytest.mark.parametrize(
    ("line", "fragment", "offered"),
    [
        ("%flyte re", "re", ["register"]),
        ("run = %flyte la", "la", ["launch"]),
        ("%flyte launch pi", "pi", ["pipeline"]),
        ("%flyte register load f", "f", ["fit"]),
        ("%flyte launch fit ", "", ["n=", "depth="]),
        ("%flyte launch fit d", "d", ["depth="]),
        ("%flyte register --", "--", ["--dry-run"]),
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

    assert offered("%flyte register --") == [("--dry-run", 16, 18)]
    assert offered("%flyte wat") == [("watch", 7, 10)]
