"""Executions: launch one, follow it to its end, read its inputs and outputs.

The room may import `registering`, `client` and everything below them. It knows nothing of displays.

Start reading at `execution.Execution`, the handle that a person holds. `launching` makes one. `following`
keeps it current, over the watch stream or by `polling`, and `assembly` makes one view of flyteidl's messages:
`docs/watching.md` is the theory of operation. `written`, `values_from_data`, `notation` and `field_text` read
inputs that a person typed.
"""
