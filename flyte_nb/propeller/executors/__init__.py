"""Run attempts: by calls (`inprocess`), as processes (`process`), as forks (`warm`), by Dask (`dask_…`).

All are `ports.Executor`s and share one conformance suite. Those with processes keep an attempt's
lock, log and process number in a folder (`attempt_folder`), watch it until it ends (`reaper`), and read
what it left (`outcome`). The room imports `runtime` and the rooms below; nothing else in `propeller` knows
about processes. Start reading at `process.py`. The ideas are in `docs/propeller.md` and
`docs/warm-attempts.md`.
"""
