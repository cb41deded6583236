"""What the parts of one kernel share: its cells, what is stale in them, and what is drawn again."""
