"""The launch form: which field a type gets, which message is beside it, and what is launched."""

import dataclasses
import datetime
import enum
import threading
from typing import Any, Optional

import pandas as pd
import pytest

from flyte_nb.api.errors import RemoteError
from flyte_nb.executions.field_text import Unreadable
from flyte_nb.notebook.form.fields import Field, fields_of, frames, unknown_inputs
from flyte_nb.notebook.form.view import LaunchForm
from flyte_nb.sdk.task import task
from flyte_nb.testing.waiting import wait_until
from flyte_nb.types.registry import default_registry


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


@dataclasses.dataclass
class Config:
    seed: int = 7
    early_stop: bool = True


@task
def everything(
    since: datetime.datetime,
    depths: list[int],
    colour: Colour,
    config: Config,
    rows: pd.DataFrame,
    took: datetime.timedelta = datetime.timedelta(minutes=5),
    note: Optional[str] = None,
    dry: bool = False,
    limit: Optional[int] = 5,
    rate: float = 0.5,
    names: dict[str, int] = {"a": 1},  # noqa: B006
) -> float:
    """Everything.

    Args:
        since: the first day that counts
    """
    return 1.0


CUSTOMERS = pd.DataFrame({"a": range(7043), "b": 1})
NAMESPACE = {"customers": CUSTOMERS, "_hidden": CUSTOMERS, "best": 11, "word": "x"}


@pytest.fixture
def fields() -> "dict[str, Field]":
    registry = default_registry()
    signature = everything.signature(registry)
    made = fields_of(signature.interface, signature.input_codecs, signature.defaults)
    return {field.name: field for field in made}


def test_every_type_gets_the_field_that_fits(fields):
    assert {name: field.kind for name, field in fields.items()} == {
        "since": "text",
        "depths": "text",
        "colour": "choice",
        "config": "area",
        "rows": "variable",
        "took": "text",
        "note": "text",
        "dry": "switch",
        "limit": "text",
        "rate": "text",
        "names": "area",
    }


def test_defaults_stand_in_the_fields_as_one_would_type_them(fields):
    assert fields["took"].initial() == "0:05:00"
    assert fields["note"].initial() == ""
    assert fields["limit"].initial() == "5"
    assert fields["rate"].initial() == "0.5"
    assert fields["names"].initial() == "a: 1"
    assert fields["since"].initial() == ""


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("since", "2026-11-01", datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)),
        ("depths", "3, 5", [3, 5]),
        ("colour", "green", Colour.GREEN),
        ("config", "seed: 9\nearly_stop: false", Config(9, False)),
        ("took", "90s", datetime.timedelta(seconds=90)),
        ("note", "", None),
        ("note", "hello", "hello"),
        ("dry", "true", True),
        ("limit", "", None),
        ("limit", "best", 11),
        ("names", "{b: 2}", {"b": 2}),
    ],
)
def test_a_typed_text_becomes_the_python_value(fields, name, text, value):
    assert fields[name].value(text, NAMESPACE) == value


def test_a_frame_is_named_by_its_variable(fields):
    assert fields["rows"].value("customers", NAMESPACE) is CUSTOMERS
    with pytest.raises(Unreadable, match="there is no variable 'nobody'"):
        fields["rows"].value("nobody", NAMESPACE)
    with pytest.raises(Unreadable, match="there is no file"):
        fields["rows"].value("no/such.parquet", NAMESPACE)


def test_a_frame_may_be_a_file(fields, tmp_path):
    CUSTOMERS.to_csv(tmp_path / "c.csv", index=False)
    assert len(fields["rows"].value(str(tmp_path / "c.csv"), NAMESPACE)) == 7043


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("since", "soon", "is not a date and time: “soon”"),
        ("depths", "3, 5, eight", "item 3 is not an int: “eight”"),
        ("colour", "blue", "is not one of red, green"),
        ("config", "[1]", "is not a mapping"),
        ("limit", "word", "is not an int: “word”"),
        ("since", "", "is required"),
    ],
)
def test_a_text_that_does_not_fit_has_a_message(fields, name, text, said):
    with pytest.raises(Unreadable) as error:
        fields[name].value(text, {} if name == "limit" else NAMESPACE)
    assert said in str(error.value)


def test_the_notebooks_frames_are_offered_with_their_shape():
    assert frames(NAMESPACE) == {"customers": "7,043 × 2"}


def test_unknown_inputs_are_named(fields):
    assert unknown_inputs(["limit", "lmit"], fields.values()) == ("lmit",)


@pytest.fixture
def form(fields):
    launched: list[dict[str, Any]] = []
    made = LaunchForm(
        "churn.everything",
        "q3f9Zk",
        tuple(fields.values()),
        namespace=lambda: NAMESPACE,
        launch=lambda values: launched.append(dict(values)),
    )
    made.launched = launched
    yield made
    import ipywidgets

    ipywidgets.Widget.close_all()


def _fill(form: LaunchForm) -> None:
    form.set("since", "2026-11-01")
    form.set("depths", "3, 5")
    form.set("colour", "green")
    form.set("config", "seed: 1")
    form.set("rows", "customers")


def test_a_message_is_beside_its_field_and_goes_when_the_field_is_corrected(form):
    form.set("depths", "3, eight")
    assert "item 2 is not an int" in form._messages["depths"].value
    assert "fnb-wrong" in form._inputs["depths"]._dom_classes
    form.set("depths", "3, 8")
    assert form._messages["depths"].value == ""
    assert "fnb-wrong" not in form._inputs["depths"]._dom_classes


def test_an_empty_form_does_not_shout_until_it_is_launched(form):
    assert not any("fnb-message" in message.value for message in form._messages.values())
    form.submit()
    assert form.launched == []
    assert "is required" in form._messages["since"].value
    assert "fields to correct" in form._status.value


def test_launching_passes_every_input_and_happens_once(form):
    _fill(form)
    clicks = [threading.Thread(target=form._button.click) for _ in range(8)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    assert len(form.launched) == 1
    values = form.launched[0]
    assert values["rows"] is CUSTOMERS
    assert values["config"] == Config(1, True)
    assert values["limit"] == 5
    assert values["note"] is None


def test_enter_in_a_field_launches(form):
    _fill(form)
    form._inputs["depths"]._handle_custom_msg({"event": "submit"}, None)
    assert len(form.launched) == 1


def test_a_refused_launch_shows_the_reason_and_can_be_tried_again(form):
    _fill(form)
    answers = [RemoteError("quota <used up>", code="RESOURCE_EXHAUSTED")]

    def launch(values):
        if answers:
            raise answers.pop()
        form.launched.append(values)

    form._launch = launch
    form.submit()
    assert "quota &lt;used up&gt;" in form._status.value
    assert not form._button.disabled
    form.submit()
    assert len(form.launched) == 1


def test_reset_puts_the_defaults_back(form):
    form.set("limit", "9")
    form.set("dry", "true")
    form._reset.click()
    assert form.texts()["limit"] == "5"
    assert form.texts()["dry"] == "false"


def test_every_field_has_an_accessible_name(form):
    for name, widget in form._inputs.items():
        assert widget.tooltip.startswith(f"{name}, ")


def test_a_launch_from_the_form_follows_the_run_in_its_place(pipeline):
    pipeline.run("%flyte launch pipeline")
    shown = len(pipeline.published)
    place = pipeline.published[-1]["transient"]["display_id"]
    import ipywidgets
    from ipywidgets.widgets import widget as registry

    fields = [w for w in registry._instances.values() if isinstance(w, ipywidgets.Text)]
    (field,) = [w for w in fields if (w.tooltip or "").startswith("n, ")]
    field.value = "3"
    field._handle_custom_msg({"event": "submit"}, None)
    assert len(pipeline.published) == shown  # the form's own widget holds the tracker now
    assert any("fnb-stage" in (getattr(w, "_esm", "") or "") for w in registry._instances.values())
    pipeline.session.execution(pipeline.kernel.last_execution).advance(100)
    wait_until(lambda: len(pipeline.published) > shown, "the next card")
    assert pipeline.published[-1]["transient"]["display_id"] == place
    assert "text/html" in pipeline.published[-1]["data"]
    assert pipeline.kernel.last_execution
    pipeline.kernel.close()
    ipywidgets.Widget.close_all()


def test_the_form_brings_its_own_style(form):
    (card,) = form.widget.children
    assert card.children[0].value.startswith("<style>")
