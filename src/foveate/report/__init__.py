"""Charts, panels and one self-contained HTML page."""
