"""What IPython calls: the extension, the magics, tab completion, and formatters by type."""
