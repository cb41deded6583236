"""Flyte inside a notebook: magics, displays of our types, forms, and views that follow a run.

The room shows values from the rooms below (`executions`, `registering`, `drafting`, `graph`) and calls a
session through `kernel/ports.py`. It never talks to FlyteAdmin, never imports the session, and must load
without ipywidgets: only `form` and `live` need it, and they are imported when a widget is first shown.

Sub-rooms: `shell` (what IPython calls) → `commands` (what each magic does) → `cards`, `form`, `live`
(what is shown) → `looking` (what a graph can answer) → `kernel` (what one kernel remembers) → `paper`
(safe HTML). Start reading at `shell/extension.py`; for views that change, read `docs/live-view.md`.
"""
