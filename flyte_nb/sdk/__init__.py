"""What authors write with: tasks, workflows, maps, launch plans; and what a running task may ask.

The room is part of the travelling ring, so it uses the standard library, `api` and `types` only. Importing it
and declaring entities must load little, so modules that trace are imported when first needed.
Start reading at `task.Task` and `workflow.Workflow`; `signature` reads functions, `body` and `tracing` turn a
body into nodes, and `templates` makes the specs. docs/authoring.md explains the whole.
"""
