"""The command line `flyte-nb`: parses a line, calls a session, prints text or JSON, returns an exit code.

It may use every room below. Nothing imports it but `flyte_nb.__main__`, and the cells that `compile` and
`serialize` add to a notebook. `dispatch` is where a command begins; `parsing` makes argparse's parser from
the table of commands in `flyte_nb.surface`. A command's module is imported when that command is chosen, so
these modules import what they need at their top. `tests/commands/test_start_up.py` holds that.
"""
