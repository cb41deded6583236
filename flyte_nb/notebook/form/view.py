"""The launch form as widgets: a field for each input, messages beside the fields, usable by keyboard alone.

Callbacks of widgets may run in any thread (the kernel's main thread, or that of a subshell while a cell is
busy). So each takes the form's lock, and none uses an event loop.
"""

import html
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flyte_nb.api.errors import FlyteNbError, UsageError
from flyte_nb.executions.field_text import Unreadable
from flyte_nb.notebook.form.fields import AREA, CHOICE, SWITCH, VARIABLE, Field, frames
from flyte_nb.notebook.live.style import style_sheet
from flyte_nb.notebook.toolkit import close_all, widgets

Launch = Callable[["Mapping[str, object]"], None]
"""Called with the inputs when a person launches. The form shows an error of ours that it raises."""


class LaunchForm:
    """A form that launches one entity, once."""

    def __init__(
        self,
        title: str,
        version: str,
        fields: "Sequence[Field]",
        *,
        namespace: "Callable[[], Mapping[str, object]]",
        launch: Launch,
        given: "Mapping[str, str] | None" = None,
    ) -> None:
        """Make the widgets, filled with defaults.

        Args:
            title: The entity's name.
            version: The version that is launched; empty for the newest.
            fields: One for each input.
            namespace: Returns the notebook's variables at the time of the call.
            launch: Called with the inputs.
            given: Texts for fields, by name, in place of their defaults.
        """
        self._fields = tuple(fields)
        self._namespace = namespace
        self._launch = launch
        self._given = dict(given or {})
        # Reentrant: setting a field's value runs `validate` in the same thread.
        self._lock = threading.RLock()
        self._sent = False
        self._inputs: dict[str, Any] = {}  # the widget of each field, by name
        self._messages: dict[str, Any] = {}  # the widget beside it
        self._status = widgets.HTML()
        self._button = widgets.Button(description="Launch", tooltip=f"Launch {title}")
        self._reset = widgets.Button(description="Reset", tooltip="Put the defaults back")
        self.widget = self._assemble(title, version)
        self._button.on_click(lambda _: self.submit())
        self._reset.on_click(lambda _: self.reset())
        self.validate()

    def hold(self, widget: Any) -> None:
        """Show this widget in place of the form.

        JupyterLab hides an output for good when the widget that it was made for is closed. So the outermost
        box stays, and only its content is replaced.
        """
        form, self.widget.children = self.widget.children, (widget,)
        for child in form:
            close_all(child)

    def close(self) -> None:
        """Close all widgets of the form."""
        close_all(self.widget)

    def texts(self) -> "dict[str, str]":
        """Return the text of each field by name."""
        return {name: _text_of(self._inputs[name]) for name in self._inputs}

    def set(self, name: str, text: str) -> None:
        """Set the text of a field, as a person would type it."""
        widget = self._inputs[name]
        widget.value = text == "true" if isinstance(widget, widgets.Checkbox) else text

    def reset(self) -> None:
        """Put the defaults back into all fields."""
        with self._lock:
            for field in self._fields:
                self.set(field.name, field.initial())
            self.validate()

    def validate(self, *, all_of_them: bool = False) -> "dict[str, Any] | None":
        """Read every field and show what is wrong beside it.

        Args:
            all_of_them: Also report required fields that are empty. While a person still fills in the form,
                only their captions say that they are required.

        Returns:
            The inputs, or `None` when something is wrong.
        """
        with self._lock:
            namespace = self._namespace()
            values: dict[str, Any] = {}
            wrong = 0
            for field in self._fields:
                text = _text_of(self._inputs[field.name])
                try:
                    values[field.name] = field.value(text, namespace)
                    message = ""
                except Unreadable as error:
                    wrong += 1
                    message = str(error) if text.strip() or all_of_them else ""
                self._set_message(field, message)
            if not self._sent:
                self._button.disabled = False
                self._set_status(_missing(wrong) if all_of_them and wrong else "")
            return None if wrong else values

    def submit(self) -> None:
        """Launch if every field is right; a second call does nothing."""
        with self._lock:
            values = self.validate(all_of_them=True)
            if values is None or self._sent:
                return
            # Before the call: launching takes a while, and a second click must not launch a second time.
            self._sent = True
            self._button.disabled = True
            self._set_status("<span class='fnb-soft'>launching …</span>")
            try:
                self._launch(values)
            except (FlyteNbError, UsageError) as error:
                self._sent = False
                self._button.disabled = False
                self._set_status(
                    f"<div class='fnb-error' role='alert'>{html.escape(str(error))}</div>"
                )

    def _set_status(self, text: str) -> None:
        self._status.value = text

    def _set_message(self, field: Field, message: str) -> None:
        """Show the message beside the field; without one, its hint."""
        widget = self._inputs[field.name]
        if message:
            widget.add_class("fnb-wrong")
            beside = f"<span class='fnb-message' role='alert'>{html.escape(message)}</span>"
        else:
            widget.remove_class("fnb-wrong")
            beside = self._hint(field)
        # Writing the same again would make a screen reader read the alert again.
        if self._messages[field.name].value != beside:
            self._messages[field.name].value = beside

    def _hint(self, field: Field) -> str:
        """Return the field's description, and for frames the variables that could be named."""
        parts = []
        if field.description and field.description != field.name:
            parts.append(html.escape(field.description))
        if field.kind == VARIABLE:
            known = frames(self._namespace())
            named = ", ".join(f"{html.escape(n)} ({shape})" for n, shape in list(known.items())[:6])
            if named:
                parts.append(f"in this notebook: {named}")
        return f"<span class='fnb-soft'>{' · '.join(parts)}</span>" if parts else ""

    def _assemble(self, title: str, version: str) -> Any:
        """Return the outermost box, which stays for as long as the output does; see `hold`."""
        heading = widgets.HTML(
            f"<span class='fnb-title' role='heading' aria-level='3'>Launch {html.escape(title)}</span>"
            f" <code class='fnb-mono'>{html.escape(version)}</code>"
        )
        self._button.add_class("fnb-main")
        head = _box(widgets.HBox, "fnb-head", [heading, self._reset, self._button])
        rows = [self._row(field) for field in self._fields]
        if not rows:
            rows = [widgets.HTML("<span class='fnb-soft'>It takes no inputs.</span>")]
        body = _box(widgets.VBox, "fnb-form", [*rows, self._status])
        card = _box(widgets.VBox, "fnb-card", [widgets.HTML(style_sheet()), head, body])
        return widgets.VBox([card])

    def _row(self, field: Field) -> Any:
        entry = _widget_for(field, self._given.get(field.name, field.initial()), self._namespace)
        label = widgets.HTML(
            f"<span class='fnb-name'>{html.escape(field.name)}</span>"
            f"<span class='fnb-type'>{html.escape(field.caption)}</span>"
        )
        label.add_class("fnb-label")
        message = widgets.HTML()
        message.add_class("fnb-beside")
        self._inputs[field.name] = entry
        self._messages[field.name] = message
        entry.observe(lambda _: self.validate(), names="value")
        if hasattr(entry, "on_submit"):
            _on_enter(entry, self.submit)
        return _box(
            widgets.HBox, "fnb-row", [label, _box(widgets.VBox, "fnb-entry", [entry, message])]
        )


def _box(kind: Any, name: str, children: "list[Any]") -> Any:
    box = kind(children)
    box.add_class(name)
    return box


def _widget_for(field: Field, text: str, namespace: "Callable[[], Mapping[str, object]]") -> Any:
    """Return the widget of a field. Its tooltip is its accessible name: its label is another widget."""
    spoken = f"{field.name}, {field.caption}"
    if field.kind == SWITCH:
        return widgets.Checkbox(value=text == "true", indent=False, tooltip=spoken)
    if field.kind == CHOICE:
        none = "None" if field.optional else "choose …"
        options = [(choice or none, choice) for choice in field.choices]
        value = text if text in field.choices else field.choices[0]
        return widgets.Dropdown(options=options, value=value, tooltip=spoken)
    if field.kind == AREA:
        rows = min(10, max(2, text.count("\n") + 1))
        return widgets.Textarea(
            value=text, rows=rows, placeholder=field.placeholder, tooltip=spoken
        )
    if field.kind == VARIABLE:
        names = list(frames(namespace()))
        return widgets.Combobox(
            value=text, options=names, placeholder=field.placeholder, tooltip=spoken
        )
    placeholder = field.placeholder or ("None" if field.optional else "")
    return widgets.Text(value=text, placeholder=placeholder, tooltip=spoken)


def _text_of(widget: Any) -> str:
    value = widget.value
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _on_enter(entry: Any, submit: "Callable[[], None]") -> None:
    """Call `submit` when Enter is pressed in a one-line field. ipywidgets' `text.py` defines the message."""

    def handle(_: Any, content: "Mapping[str, object]", __: Any) -> None:
        if content.get("event") == "submit":
            submit()

    entry.on_msg(handle)


def _missing(count: int) -> str:
    noun = "field" if count == 1 else "fields"
    return f"<span class='fnb-message' role='alert'>{count} {noun} to correct</span>"
