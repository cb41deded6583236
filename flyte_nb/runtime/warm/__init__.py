"""The warm path: one process is the host of many attempts, and every attempt is a fork of a loaded process.

It makes attempts fast on one machine, and it decides nothing: what cannot run warm is given back and
runs cold. Both ways use the same code for the attempt itself, so their results and errors are equal.

- `link` is the backend's end: it starts the host and hands it attempts;
- `host` is the process. It does the host's part of each attempt in a thread, and never runs the user's
  code. It outlives the backend for as long as attempts run;
- `zygotes` keeps the loaded processes, `zygote_process` is one of them, and `forked` is one fork. The process
  itself is `flyte_nb/worker/zygote.py`.

Start reading at `host.py`. The theory of operation is in `docs/warm-attempts.md`.
"""
