"""Run notebooks without a browser and without a person, by nbclient.

`headless` executes a notebook; start reading there. `notebook_runs` registers what a notebook defines.
`quickstart` copies the shipped notebook to a person's folder, and opens or executes it. The room may import
`discovery`, for notebooks' names. Sessions exist only in the notebooks' kernels.
"""
