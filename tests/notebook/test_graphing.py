"""`%flyte graph`: static HTML in the output, and a model for the page that answers its messages."""

from typing import Any

import pytest
from test_exploring import NESTED, WRONG

from flyte_nb.api.errors import UsageError
from flyte_nb.notebook.live import graph_widget


@pytest.fixture
def train(notebook: Any) -> Any:
    made = notebook(real_compiler=True)
    made.run(NESTED, cell_id="define")
    return made


@pytest.fixture(autouse=True)
def _no_widget_is_left_open() -> Any:
    yield
    import ipywidgets

    ipywidgets.Widget.close_all()


def _explorer(notebook: Any, line: str) -> Any:
    notebook.run(f"%flyte graph {line}", cell_id="look")
    ((_, (explorer,)),) = [views for key, views in notebook.kernel._live.items() if key == "look"]
    return explorer


def test_the_output_never_holds_a_widget(train):
    explorer = _explorer(train, "train")
    assert set(train.published[-1]["data"]) == {"text/html", "text/plain"}
    assert f'class="{explorer.widget.anchor}"' in train.html()
    assert "<script" not in train.html()
    assert "search" in train.shown()


def test_opening_sends_one_new_drawing_and_names_the_node_that_keeps_its_place(train):
    explorer = _explorer(train, "train")
    assert 'id="node-n1/n0"' not in explorer.widget.svg
    explorer.receive({"toggle": "n1"})
    assert 'id="node-n1/n0"' in explorer.widget.svg
    assert explorer.widget.kept == "n1"
    assert explorer.widget.facts["n1"]["opens"] == "open"
    explorer.receive({"toggle": "n1"})
    assert 'id="node-n1/n0"' not in explorer.widget.svg


def test_finding_a_node_inside_a_closed_one_opens_that_and_selects_the_node(train):
    explorer = _explorer(train, "train")
    explorer.receive({"find": "n1/n2"})
    assert explorer.widget.selected == "n1/n2"
    assert 'id="node-n1/n2"' in explorer.widget.svg


def test_the_static_picture_is_written_again_when_a_person_leaves_the_graph(train):
    explorer = _explorer(train, "train")
    before, count = explorer.widget.anchor, len(train.published)
    explorer.receive({"left": True})
    assert len(train.published) == count  # nothing was opened
    explorer.receive({"all": True})
    assert len(train.published) == count
    explorer.receive({"left": True})
    assert len(train.published) == count + 1
    assert train.published[-1]["update"]
    assert explorer.widget.anchor != before
    assert f'class="{explorer.widget.anchor}"' in train.html()
    assert "fit · 5" in train.shown()


def test_running_the_cell_again_closes_the_graph_before(train):
    first = _explorer(train, "train")
    second = _explorer(train, "train --open search")
    assert first.widget.comm is None
    assert second.widget.comm is not None
    assert 'id="node-n1/n0"' in second.widget.svg


def test_without_a_name_it_is_the_workflow_that_was_defined_last(train):
    assert _explorer(train, "").widget.label.startswith("Graph of churn.train.")


def test_a_wrong_workflow_lists_its_problems_and_does_not_fail_the_cell(train):
    train.run(WRONG)
    explorer = _explorer(train, "wrong")
    assert [p["number"] for p in explorer.widget.problems][:2] == [1, 2]
    assert "does not compile" in train.html()


def test_a_task_has_no_graph_and_an_engine_has_a_name(train):
    assert "a task has no graph" in str(train.fails("%flyte graph load"))
    assert "Nodes that can be opened: search." in str(train.fails("%flyte graph train --open load"))
    error = train.fails("%flyte graph train --engine neato")
    assert isinstance(error, UsageError)
    assert "layered or dot" in str(error)


def test_without_anywidget_the_picture_stays_a_picture(train, monkeypatch):
    monkeypatch.setattr(graph_widget.importlib.util, "find_spec", lambda name: None)
    train.run("%flyte graph train --depth 1", cell_id="look")
    assert "look" not in train.kernel._live
    assert "fit · 5" in train.shown()


def test_compared_with_what_is_registered_nodes_are_new_changed_or_gone(train):
    train.run("%flyte graph train --diff", cell_id="look")
    assert "Nothing is registered under this name yet" in train.html()
    train.session.keep(train.shell.user_ns["train"])
    train.run(
        "@task\ndef fit(rows: list[int], depth: int = 3) -> float:\n    return 2.0\n\n"
        "@task\ndef note(score: float) -> str:\n    return str(score)\n\n"
        "@workflow\ndef train(n: int = 3) -> str:\n"
        "    return note(score=best(scores=[fit(rows=load(n=n))]))"
    )
    explorer = _explorer(train, "train")
    assert not any(fact["change"] for fact in explorer.widget.facts.values())
    explorer.receive({"switch": "diff"})
    changes = {fact["title"]: fact["change"] for fact in explorer.widget.facts.values()}
    assert changes["note"] == "+ new"
    assert changes["fit"].startswith("~ changed: fit() changed")
    assert changes["search"] == "− removed"
    assert changes["load"] == ""
    assert explorer.widget.overview[0].startswith("Compared with version v1: ")
    explorer.receive({"switch": "diff"})
    assert not any(fact["change"] for fact in explorer.widget.facts.values())


def test_comparing_starts_nothing(train):
    train.session.up = False
    explorer = _explorer(train, "train")
    said = []
    explorer.widget.send = lambda content, buffers=None: said.append(content)
    explorer.receive({"switch": "diff"})
    assert "The local backend does not run" in said[0]["notice"]
    assert not explorer.widget.can["diff"]


def test_a_graph_is_written_to_a_file_as_it_is_asked_for(train, tmp_path):
    train.run(f"%flyte graph train --open search --types --save {tmp_path / 'train.svg'}")
    drawn = (tmp_path / "train.svg").read_text()
    assert 'id="node-n1/n0"' in drawn
    assert "list[int]" in drawn
    assert "train.svg" in train.shown()
    assert "is not a known format" in str(
        train.fails(f"%flyte graph train --save {tmp_path / 'train.doc'}")
    )
    assert not (tmp_path / "train.doc").exists()


def test_a_graph_follows_the_cells_that_change_it_opened_as_it_was(train):
    explorer = _explorer(train, "train --open search")
    anchor, count = explorer.widget.anchor, len(train.published)
    explorer.receive({"toggle": "n1"})
    explorer.receive({"toggle": "n1"})
    train.run(NESTED, cell_id="define")  # as it was: nothing to see
    assert len(train.published) == count
    train.run(
        NESTED.replace("def fit(", "def adjust(").replace("fit(", "adjust("), cell_id="define"
    )
    assert len(train.published) == count + 1
    last = train.published[-1]
    assert last["update"]
    assert "drawn again after cell [" in last["data"]["text/html"]
    assert f'class="{anchor}"' in last["data"]["text/html"]
    assert "adjust" in explorer.widget.svg
    assert "adjust" in last["data"]["text/plain"]
    assert 'id="node-n1/n0"' in explorer.widget.svg


def test_a_graph_that_does_not_compile_any_more_shows_its_problems(train):
    explorer = _explorer(train, "train")
    explorer.receive({"find": "n1"})
    train.run("train = None", cell_id="gone")
    assert "drawn again" not in train.html()  # there is nothing to draw
    train.run(NESTED, cell_id="define")
    train.run(WRONG.replace("def wrong", "def train"), cell_id="wrong")
    assert "does not compile" in train.html()
    assert explorer.widget.problems
    assert explorer.widget.selected in ("", "n1")


def test_without_anywidget_the_picture_follows_as_well(train, monkeypatch):
    monkeypatch.setattr(graph_widget, "can_be_live", lambda: False)
    train.run("%flyte graph train", cell_id="look")
    train.run(
        NESTED.replace("def fit(", "def adjust(").replace("fit(", "adjust("), cell_id="define"
    )
    assert train.published[-1]["update"]
    assert "drawn again after cell [" in train.html()
    assert "adjust" in train.shown()
