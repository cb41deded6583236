"""Executions: launch one, follow it to its end, read what went in and what came out.

May touch `client` and everything below it. Start reading at `execution.Execution`, the handle a person
holds; `following` yields a view for every change, over the watch stream or by polling, and `assembly` makes
one view of flyteidl's messages.
"""
