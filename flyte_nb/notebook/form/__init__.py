"""The typed launch form: text to values, and the widgets around it."""
