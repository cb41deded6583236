"""What people call: one table of the commands of `%flyte` and of `flyte-nb`.

The table says what each command takes, what it says about itself, and which function does it, by the
function's dotted name. The magic's parser, `%flyte?`, completion and the command line read the same rows.
The room may import `api` only, so that reading a line loads nothing of what a command needs.
Start reading with `command`, then `table`.
"""
