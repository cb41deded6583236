"""The graph of a workflow that answers: opens, closes, finds, shows types, compares.

What lies in the output is always static HTML, so that it is there in a notebook that is reopened, exported
or read by a stranger. While the kernel lives, the page's script takes that picture's place (`page/graph.js`
finds it by a class that nothing else has); when somebody lets go of the graph, the picture is written anew
as the graph was left. Python lays out, the page only shows.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

from flyte_nb.api.errors import FlyteNbError, UsageError
from flyte_nb.notebook.live.graph_widget import graph_widget, looks, show, traits
from flyte_nb.notebook.looking.exploring import Seen, Subject, Wish

AtRest = Callable[[Subject, Seen, str], "Mapping[str, Any]"]
"""What lies in the output, with the class by which the script finds the picture."""


class Explorer:
    """One graph on the page. Its callbacks may run in any thread."""

    def __init__(
        self,
        subject: Subject,
        seen: Seen,
        *,
        at_rest: AtRest,
        replace: "Callable[[Mapping[str, Any]], None]",
        compare: "Callable[[Subject], Subject]",
        key: str = "",
    ) -> None:
        """Shows it.

        Args:
            subject: What is explored.
            seen: What is open at first.
            at_rest: Makes what lies in the output.
            replace: Writes that into the output.
            compare: Gives the subject beside what is registered; raises `FlyteNbError`.
            key: Tells this graph from others on the page, e.g. the id of its cell.
        """
        self._plain, self._seen = subject, seen
        self._at_rest, self._replace, self._compare = at_rest, replace, compare
        self._subject = compare(subject) if seen.diff else subject
        self._key = key
        self._lock = threading.RLock()
        self._rested = seen
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
        """Leave the picture alone on the page."""
        with self._lock:
            self._rest()
            self.widget.close()

    def change(self, subject: Subject) -> None:
        """Show the workflow as it is now, opened as it was."""
        with self._lock:
            self._plain = self._subject = subject
            kept = [id for id in self._seen.opened if id in subject.sizes or id.endswith("+")]
            self._seen = self._seen._replace(opened=frozenset(kept))
            if self._seen.diff:
                try:
                    self._subject = self._compare(subject)
                except (
                    FlyteNbError,
                    UsageError,
                ):  # it does not compile, or nobody can be asked now
                    self._seen = self._seen._replace(diff=False)
            selected = self.widget.selected
            wish = Wish(self._seen, selected=selected if selected in subject.titles else "")
            with self.widget.hold_sync():
                self.widget.problems = subject.listed()
                show(self.widget, self._subject.picture(self._seen), wish, live=False)

    def at_rest(self) -> "Mapping[str, Any]":
        """What belongs into the output now."""
        with self._lock:
            self._rested = self._seen
            self.widget.anchor = self._anchor()
            return self._at_rest(self._subject, self._seen, self.widget.anchor)

    def receive(self, message: "Mapping[str, Any]") -> None:
        """Do what the page asks for: one key, one wish."""
        with self._lock:
            try:
                self._do(message)
            except (FlyteNbError, UsageError) as error:
                self.widget.send({"said": str(error)})

    def _do(self, message: "Mapping[str, Any]") -> None:
        if "left" in message:
            self._rest()
            return
        wish = self._subject.wished(self._seen, message, self.widget.selected)
        if message.get("switch") == "diff":
            on = not self._seen.diff
            self._subject = self._compare(self._plain) if on else self._plain
            wish = Wish(self._seen._replace(diff=on), self.widget.selected)
        if wish is not None:
            self._seen = wish.seen
            picture = self._subject.picture(wish.seen)
            show(self.widget, picture, wish, live=False)
            self.widget.send({"said": picture.said})

    def _rest(self) -> None:
        if self._rested != self._seen:
            self._replace(self.at_rest())

    def _anchor(self) -> str:
        said = "\n".join((self._key, self._subject.name, repr(self._seen.in_order())))
        return f"fnb-at-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def _label(subject: Subject) -> str:
    return (
        f"Graph of {subject.name}. Arrow keys go from node to node, Enter opens and closes,"
        " slash finds, plus and minus zoom, Escape lets go."
    )
