"""The paper that cards are drawn on: safe HTML, and inline styles that are legible on any page.

`html.py` writes elements that survive JupyterLab's sanitizer, and escapes everything else. `theme.py` has the
inline styles. The room imports `api` and `graph.palette` only; every other sub-room may import it. Start
reading at the docstring of `html.py`: it says what a saved notebook may contain.
"""
