"""The metastore: SQLite with one writer, tables named and columned as FlyteAdmin's models are."""
