"""What each sub-command of `%flyte` does: a call of the session, then something to show.

A handler takes the kernel and the parsed line, and shows its result in a new output. It may raise our
errors; `kernel/failures.py` shows them under the cell. `arguments.py` defines the commands and their flags,
`shell/magics.py` finds the handler. The handlers choose cards and widgets, and never write HTML. Start
reading at `registering.py` or, for live views, at `watching.py`.
"""
