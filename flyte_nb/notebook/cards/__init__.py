"""Cards at rest: static HTML and text for each noun, the same in every front end and export."""
