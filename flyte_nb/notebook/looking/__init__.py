"""Compute what an interactive graph shows: its drawing, the details of its nodes, a comparison, a card.

Everything but `comparing.py` is pure: values in, values out. The room uses `graph` for layouts and pictures
and knows no widget; `live` shows its results, and `commands` chooses the workflow. Start reading at
`exploring.py` (`Subject` and `ViewState`), then `details.py`.
"""
