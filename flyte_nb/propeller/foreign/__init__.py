"""Run a container's command for a task of another SDK: with its image, or as a process of this machine.

`containers` reads off what a task runs, and `templates` fills in its command. What cannot be a plain
process (an image, or inputs and outputs as files) has a *supervisor* around it: a process that the
executor starts in the command's place (`supervisor`, with `job` as what it is given). It fetches the
inputs (`download`), runs the command or the image (`engines`), and stores the outputs (`upload`). It
belongs to the attempt: it has the attempt's lock, and lives on when the backend ends.

`docs/foreign-tasks.md` says to users what runs, and what does not.
"""
