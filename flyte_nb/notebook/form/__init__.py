"""The launch form: a field for each input, by its type, with a message beside each field.

`fields.py` decides the kind of a field and turns its text into a value; it is pure and knows no widget.
`view.py` is the form as widgets and needs ipywidgets. What a text means is decided in
`executions/reading.py`, which `%flyte launch train n=3` uses too. Start reading at `fields.py`.
"""
