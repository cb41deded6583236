"""The paper that cards are drawn on: safe HTML, and inline styles that are legible on any page."""
