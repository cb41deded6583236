"""What one kernel remembers: its session, its cells, its last execution, and what its displays show.

`kernel.py` holds all of it and is given to every command, formatter and widget. `ports.py` declares what the
notebook asks of a session and of an execution. `cells.py` maps file names to cells, `staleness.py` finds
entities that use definitions of earlier runs, and `redrawing.py` draws displays again. `failures.py` formats
errors. Nothing here draws a card or knows a command. Start reading at `kernel.py`.
"""
