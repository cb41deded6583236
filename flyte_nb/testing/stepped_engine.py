"""The engine without a thread: a test says when it takes a turn, so that every run can be repeated."""

from flyte_nb.propeller.engine import Engine


class SteppedEngine(Engine):
    """An engine whose turns the caller takes, in the caller's thread.

    engine = SteppedEngine(recorder, executor, store, "memory://data", clock=lambda: now)
    engine.launch(launch)
    while engine.running():
        pause_s = engine.turn()
    """

    def _begin(self) -> None:
        """Start no thread."""

    def turn(self) -> "float | None":
        """Do everything that can be done now.

        Returns:
            How long nothing has to be done unless an attempt ends or somebody asks for something, in
            seconds; `None` means for ever.
        """
        self._wake.clear()
        return self._turn()

    @property
    def is_woken(self) -> bool:
        """Return whether something happened since the last turn began."""
        return self._wake.is_set()
