"""Notebooks that run by themselves: executed by nbclient, without a browser and without a person.

`headless` executes one; `notebook_runs` registers what one defines; `quickstart` copies the shipped notebook
to the person's folder and opens or executes it. May touch `discovery` for the notebook's name.
"""
