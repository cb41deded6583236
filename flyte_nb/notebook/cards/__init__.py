"""Cards: static HTML and text for each thing that is shown, the same in every front end and export.

Each module has `card(…)`, which returns HTML, and `text(…)`, which returns the same facts as lines. They are
pure but for the present time where it is not passed in. A card uses `paper` for safe HTML and inline styles,
`pieces.py` for its parts, and `units.py` for sizes and times. It knows no kernel, session or widget. Start
reading at `pieces.py`, then at `execution.py`.
"""
