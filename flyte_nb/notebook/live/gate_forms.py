"""Ask a person for the answer to a gate: two buttons for an approval, a typed field for a value."""

import html
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from flyte_nb.api.errors import FlyteNbError
from flyte_nb.executions.field_text import Unreadable
from flyte_nb.notebook import at_rest
from flyte_nb.notebook.form.fields import Field
from flyte_nb.notebook.kernel.kernel import Output
from flyte_nb.notebook.live.busy_kernel import answer_while_busy
from flyte_nb.notebook.live.style import style_sheet
from flyte_nb.notebook.toolkit import button, close_all, widgets
from flyte_nb.types.codec import spell

if TYPE_CHECKING:
    from flyte_nb.types.codec import Codec

Send = Callable[[object], None]
"""Gives the answer to whoever waits for it."""


class GateForm:
    """The widgets for one gate. It is answered once; a wrong answer leaves it open, with the reason."""

    def __init__(
        self,
        name: str,
        *,
        send: Send,
        codec: "Codec | None" = None,
        approved: str = "",
        namespace: "Callable[[], Mapping[str, object]]" = dict,
    ) -> None:
        """Make the widgets.

        Args:
            name: The gate's name.
            send: Takes the answer. It may be called in any thread.
            codec: Reads a value; `None` for an approval.
            approved: What is to be approved, as HTML.
            namespace: Returns the notebook's variables, which a value may name.
        """
        self.name = name
        self._send = send
        self._namespace = namespace
        self._lock = threading.Lock()
        self._is_open = True
        self._said = widgets.HTML()
        self._field: Field | None = None
        shown = html.escape(name)
        if codec is None:
            what = f"<b>{shown}</b> waits for approval" + (f" of {approved}" if approved else "")
            approve = button("Approve", f"Approve {name}: the run goes on with it", "fnb-primary")
            reject = button("Reject", f"Reject {name}: the run fails there", "fnb-danger")
            approve.on_click(lambda _: self._answer(True))
            reject.on_click(lambda _: self._answer(False))
            controls = [approve, reject]
        else:
            self._field = Field(
                name, codec.literal_type, codec, required=True, spelled=spell(codec.python_type)
            )
            spelled = f"<span class='fnb-soft'>{html.escape(self._field.spelled)}</span>"
            what = f"<b>{shown}</b> waits for a value {spelled}"
            self._text = widgets.Text(
                placeholder=self._field.placeholder or self._field.spelled,
                continuous_update=False,
                tooltip=f"The value of {name}",
            )
            send_button = button("Send", f"Give {name} this value", "fnb-primary")
            send_button.on_click(lambda _: self._read())
            controls = [self._text, send_button]
        row = widgets.HBox([widgets.HTML(f"<span role='status'>{what}</span>"), *controls])
        row.add_class("fnb-head")
        self.widget = widgets.VBox([row, self._said])

    def close(self) -> None:
        """Take the question back."""
        with self._lock:
            self._is_open = False
        close_all(self.widget)

    def _read(self) -> None:
        assert self._field is not None
        try:
            value = self._field.value(self._text.value, self._namespace())
        except Unreadable as error:
            self._say(f"{self.name} {error}")
            return
        self._answer(value)

    def _answer(self, value: object) -> None:
        # The first click counts, in whichever thread it comes.
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
        try:
            self._send(value)
        except FlyteNbError as error:
            with self._lock:
                self._is_open = True
            self._say(str(error))

    def _say(self, text: str) -> None:
        self._said.value = f"<div class='fnb-pad fnb-error' role='alert'>{html.escape(text)}</div>"


def ask_here(
    shell: object,
    *,
    name: str,
    workflow: str,
    approved: object,
    codec: "Codec | None",
    send: Send,
    call: str,
) -> "Callable[[], None]":
    """Show the form of a gate of a local run in the cell that runs; return what takes it away.

    Args:
        shell: IPython's shell.
        name: The gate.
        workflow: What runs.
        approved: The value that is to be approved.
        codec: Reads a value; `None` for an approval.
        send: Takes the answer.
        call: The call that would have answered it.
    """
    output = Output(shell)

    def answered(value: object) -> None:
        send(value)
        said = ("approved" if value else "rejected") if codec is None else f"= {value!r}"
        output.show(at_rest.note(f"{workflow}: {name} {said}"))

    shown = "" if codec is not None else str(at_rest.value(approved))
    form = GateForm(name, send=answered, codec=codec, approved=shown)
    card = widgets.VBox([widgets.HTML(style_sheet()), form.widget])
    card.add_class("fnb-card")
    answer_while_busy(card, shell)
    wait = "approval" if codec is None else "a value"
    note = at_rest.note(
        f"{workflow} waits for {wait} at the gate {name}.",
        [f"Where buttons do not answer while a cell runs, interrupt it and write `{call}`."],
    )
    output.show(at_rest.with_fallback(card, note))
    return form.close
