"""`%flyte bundle`: what travels, why, and what changed, as a card and as lines."""

import pytest

from flyte_nb.api.specs import Location
from flyte_nb.notebook.cards import bundle as card_of
from flyte_nb.registering.bundle_view import Bundle, BundleMember, BundlePart, TaskBundle

FIT = TaskBundle(
    "nb.fit",
    "changed",
    parts=(
        BundlePart("rows", "global", 100_000_000, "used by fit()", Location("<c>", 4), "unchanged"),
        BundlePart("clean()", "helper", 812, "called by fit()", Location("<c>", 2), "changed"),
        BundlePart("fit()", "function", 300, "the task itself", Location("<c>", 3), "unchanged"),
    ),
    gone=("global <b>old</b>",),
    members=(
        BundleMember("ring.zip", "ring", 1_000_000, True),
        BundleMember("nb.fit.pkl", "task", 2_000, False),
        BundleMember("buffer-0", "buffer", 100_000_000, True),
    ),
    requirements=("numpy==2.1.0",),
    inner=("nb.step",),
    python="3.12",
    fingerprint="ab" * 32,
    warnings=("The global 'rows' (100.0 MB) travels with fit().",),
)
BROKEN = TaskBundle("nb.bad", "failed", problem="bad() uses the global 'lock' (<c>, line 3).")


def humanize(text):
    return text.replace("<c>", "cell [2]")


def test_the_lines_list_what_travels_why_and_what_would_be_uploaded():
    assert card_of.text(Bundle((FIT,)), humanize=humanize).splitlines() == [
        "◐ nb.fit  changed, 101 MB travel, 2.0 kB to upload",
        "    = global rows      100 MB  used by fit() · cell [2]:4",
        "    ◐ helper clean()    812 B  called by fit() · cell [2]:2",
        "    = function fit()    300 B  the task itself · cell [2]:3",
        "    - global <b>old</b> is gone",
        "    with the tasks nb.step",
        "    needs numpy==2.1.0; Python 3.12",
        "    ! The global 'rows' (100.0 MB) travels with fit().",
        "1 task, 2.0 kB to upload",
    ]


def test_the_card_has_the_same_facts_and_escapes_what_authors_wrote():
    html = card_of.card(Bundle((FIT, BROKEN), note="not compared"), humanize=humanize)
    for said in (
        "nb.fit",
        "buffer-0",
        "stored already",
        "to be uploaded",
        "numpy==2.1.0",
        "nb.step",
    ):
        assert said in html
    assert "global &lt;b&gt;old&lt;/b&gt;" in html
    assert "(cell [2], line 3)" in html
    assert "not compared" in html


def test_a_task_that_cannot_be_packed_is_listed_beside_the_others():
    lines = card_of.text(Bundle((BROKEN, FIT)), humanize=humanize).splitlines()
    assert lines[0].endswith("nb.bad  bad() uses the global 'lock' (cell [2], line 3).")


@pytest.mark.parametrize("state", ["new", "changed", "unchanged", "unknown"])
def test_every_state_has_a_mark_and_a_word(state):
    task = FIT._replace(state=state)
    assert card_of.text(Bundle((task,))).splitlines()[0].split("nb.fit")[0].strip()


def test_the_magic_shows_the_named_tasks_or_all(pipeline):
    pipeline.run("%flyte bundle load")
    assert "churn.load  new" in pipeline.shown()
    assert "function load()" in pipeline.shown()
    pipeline.run("%flyte bundle")
    assert "churn.fit  new" in pipeline.shown()
    assert "the task itself" in pipeline.html()


def test_bundle_without_a_task_is_an_error_that_says_why(notebook):
    assert "defines no task or workflow yet" in str(notebook().fails("%flyte bundle"))
