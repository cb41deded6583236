"""From callables to content-addressed members, and back to verified files."""
