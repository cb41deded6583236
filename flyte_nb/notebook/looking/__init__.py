"""Looking into a workflow: what an interactive graph shows, tells and compares. Values in, values out."""
