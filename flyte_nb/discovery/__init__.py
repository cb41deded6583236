"""Find what can be registered: in the notebook, in modules, through entry points and in spec files.

A registrar returns what is defined now; it never registers, compiles, or remembers for others. `names` finds
what the notebook is called, which is part of its entities' names. The room may use `sdk` and below. Start
reading at `here.Here`, which a session asks, and at `notebook.NotebookRegistrar`.
"""
