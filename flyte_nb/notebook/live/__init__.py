"""Widgets that change while a run goes on, and the graph that opens, searches and compares.

The room turns views of an execution into HTML and widget state. It calls an execution only through
`kernel.ports.ExecutionPort`, and only in the pump's painting thread. Everything needs ipywidgets; the graph
in the page also needs anywidget, and is a plain picture without it.

Start reading at `pump.py` (the threads), then `tracker.py` (the widgets) and `graph_widget.py` (the
graph); `page/` has the script and the style that run in the browser. See `docs/live-view.md`.
"""
