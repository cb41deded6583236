"""Show a workflow's graph that opens, closes, searches, shows types and compares: `%flyte graph`.

The cell's output always holds static HTML, so the picture is there in a notebook that is reopened, exported
or not trusted. While the kernel lives, the script in the page (`page/graph.js`) hides that picture and puts
the interactive graph in its place. The script finds the picture by a CSS class that no other output has, the
*anchor*. When the pointer or the keyboard focus leaves the graph, the static picture is written again, opened
as the graph was left. Python lays out; the page only draws.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping

from flyte_nb.api.errors import FlyteNbError, UsageError
from flyte_nb.notebook.live.graph_widget import graph_widget, looks, show, traits
from flyte_nb.notebook.looking.exploring import Subject, ViewChange, ViewState

AtRest = Callable[[Subject, ViewState, str], "Mapping[str, object]"]
"""Returns the mime bundle for the output; the third argument is the anchor, a CSS class for the picture."""


class Explorer:
    """One interactive graph in the page. Its callbacks may run in any thread, so each takes the lock."""

    def __init__(
        self,
        subject: Subject,
        seen: ViewState,
        *,
        at_rest: AtRest,
        replace: "Callable[[Mapping[str, object]], None]",
        compare: "Callable[[Subject], Subject]",
        key: str = "",
    ) -> None:
        """Make the widget and write the static picture into the output.

        Args:
            subject: The workflow that is explored.
            seen: What is open and switched on at first.
            at_rest: Returns the static mime bundle of the output.
            replace: Writes a mime bundle into the output.
            compare: Returns the subject with its differences from what is registered.
            key: Distinguishes this graph from others in the page, e.g. the id of its cell.

        Raises:
            FlyteNbError, UsageError: `compare` raised it, and `seen.diff` is on.
        """
        self._uncompared, self._seen = subject, seen
        self._at_rest, self._replace, self._compare = at_rest, replace, compare
        self._subject = compare(subject) if seen.diff else subject
        self._key = key
        # Reentrant: writing the output may run a callback of the widget in the same thread.
        self._lock = threading.RLock()
        self._rested = seen  # the state that the static picture in the output shows
        picture = self._subject.picture(seen)
        self.widget = graph_widget(
            looks=looks(),
            label=_label(subject),
            anchor=self._anchor(),
            problems=subject.listed(),
            **traits(picture, live=False),
        )
        self.widget.on_msg(lambda _, content, __: self.receive(content))
        replace(at_rest(self._subject, seen, self.widget.anchor))

    def close(self) -> None:
        """Write the static picture as the graph was left, and close the widget."""
        with self._lock:
            self._rest()
            self.widget.close()

    def change(self, subject: Subject) -> None:
        """Show the workflow as it is now, with the same nodes open.

        A comparison is switched off when it is not possible any more.
        """
        with self._lock:
            self._uncompared = self._subject = subject
            # Ids of groups ("…+") come from collapsing and are not in `sizes`. Unknown ones do nothing.
            kept = [id for id in self._seen.opened if id in subject.sizes or id.endswith("+")]
            self._seen = self._seen._replace(opened=frozenset(kept))
            if self._seen.diff:
                try:
                    self._subject = self._compare(subject)
                except (FlyteNbError, UsageError):  # it does not compile, or no backend answers
                    self._seen = self._seen._replace(diff=False)
            selected = self.widget.selected
            change = ViewChange(self._seen, selected=selected if selected in subject.titles else "")
            with self.widget.hold_sync():
                self.widget.problems = subject.listed()
                show(self.widget, self._subject.picture(self._seen), change, live=False)

    def at_rest(self) -> "Mapping[str, object]":
        """Return the mime bundle of the output as the graph is now."""
        with self._lock:
            self._rested = self._seen
            # Another picture has another anchor, so the script can tell it from the one that it replaces.
            self.widget.anchor = self._anchor()
            return self._at_rest(self._subject, self._seen, self.widget.anchor)

    def receive(self, message: "Mapping[str, object]") -> None:
        """Handle one message of the page; an error of ours is shown above the graph."""
        with self._lock:
            try:
                self._do(message)
            except (FlyteNbError, UsageError) as error:
                self.widget.send({"notice": str(error)})

    def _do(self, message: "Mapping[str, object]") -> None:
        if "left" in message:
            self._rest()
            return
        change = self._subject.requested(self._seen, message, self.widget.selected)
        # Comparing calls the backend, so the subject, which is pure, cannot do it.
        if message.get("switch") == "diff":
            on = not self._seen.diff
            self._subject = self._compare(self._uncompared) if on else self._uncompared
            change = ViewChange(self._seen._replace(diff=on), self.widget.selected)
        if change is not None:
            self._seen = change.seen
            picture = self._subject.picture(change.seen)
            show(self.widget, picture, change, live=False)
            # Sent even when empty: it is also the page's sign that the kernel has answered.
            self.widget.send({"notice": picture.notice})

    def _rest(self) -> None:
        # Writing an output moves what is below it in the page, so it is done only after a change.
        if self._rested != self._seen:
            self._replace(self.at_rest())

    def _anchor(self) -> str:
        """Return the CSS class of the picture: equal for equal content, so that a rerun changes no bytes."""
        content = "\n".join((self._key, self._subject.name, repr(self._seen.in_order())))
        return f"fnb-at-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def _label(subject: Subject) -> str:
    """Return what a screen reader reads when the graph gets the focus."""
    return (
        f"Graph of {subject.name}. Arrow keys go from node to node, Enter opens and closes,"
        " slash finds, plus and minus zoom, Escape lets go."
    )
