"""The child process that runs the user's code: bootstrap, load the task, call it, answer over the pipe.

The room is part of the travelling ring: it imports `api`, `types`, `sdk`, `pipe` and the standard library. It
touches no store and no network; files go through the host (`host_data.py`). Two files are loaded by their
path, without any package: `bootstrap.py` and `zygote.py` (with `seeds.py`).

Start reading at `main.py` (one attempt), then `load.py`, `call.py` and `steps.py`. `inner.py` runs the calls
that a task's body makes, and `failures.py` decides what each exception means.
"""
