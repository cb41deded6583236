"""The warm path: one host process whose zygotes have loaded their tasks, and fork for every attempt.

It is an optimisation of one machine, and never decides anything: what cannot be run warm is given
back, to be run cold. The same library code carries both out, so results and errors are equal.

- `link` is its client's end, in the local backend;
- `host` is the process: it reads inputs, serves the worker and writes the results, in a thread for
  each attempt, and never runs the user's code; it outlives the backend for as long as attempts run;
- `zygotes` are its children (`flyte_nb/worker/zygote.py`), one for each task of a bundle, interpreter
  and environment. They are loaded from files in a private folder that were verified when they were
  written, so nothing is read again, and nothing that happens to the staging area reaches them.
"""
