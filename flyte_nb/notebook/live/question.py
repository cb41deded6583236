"""Ask a question with two buttons; a line of text replaces it when it was answered."""

import html
import threading
from collections.abc import Callable

from flyte_nb.api.errors import FlyteNbError
from flyte_nb.notebook.live.style import style_sheet
from flyte_nb.notebook.toolkit import widgets


class Question:
    """A question that is answered once: the first click counts, in whichever thread it arrives."""

    def __init__(
        self,
        text: str,
        *,
        yes: "tuple[str, Callable[[], None], str]",
        no: "tuple[str, str]",
        say: "Callable[[str], None]",
    ) -> None:
        """Make the widget.

        Args:
            text: The question.
            yes: Its button's text, the call it makes, and the line that is shown afterwards.
            no: Its button's text, and the line that is shown afterwards.
            say: Writes that line over the question.
        """
        self._open = True
        self._lock = threading.Lock()
        self._say = say
        label, act, done = yes
        agree = widgets.Button(description=label, tooltip=text)
        agree.add_class("fnb-danger")
        refuse = widgets.Button(description=no[0], tooltip=no[1])
        agree.on_click(lambda _: self._answer(act, done))
        refuse.on_click(lambda _: self._answer(None, no[1]))
        asked = widgets.HTML(f"<span role='alert'>{html.escape(text)}</span>")
        row = widgets.HBox([asked, agree, refuse])
        row.add_class("fnb-head")
        self.widget = widgets.VBox([widgets.HTML(style_sheet()), row])
        self.widget.add_class("fnb-card")

    def _answer(self, act: "Callable[[], None] | None", done: str) -> None:
        # Only the flag is guarded, not the call: a second click must not wait for a slow RPC.
        with self._lock:
            if not self._open:
                return
            self._open = False
        try:
            if act is not None:
                act()
        except FlyteNbError as error:
            done = str(error)
        self._say(done)
        self.widget.close()
