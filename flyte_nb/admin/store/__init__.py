"""The metastore: SQLite with one writer. Tables and columns are named as FlyteAdmin's models are.

`schema.py` has the tables, `database.py` the transactions, and one file a noun has its rows. The
room knows flyteidl's messages and refuses with `Refused`, but it checks no request. Start reading
at `database.py`.
"""
