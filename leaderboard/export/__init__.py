"""Tables as CSV, LaTeX, Markdown and text for a terminal."""
