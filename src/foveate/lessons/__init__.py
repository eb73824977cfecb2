"""Lessons: marimo notebooks, one idea each, and the pages made from them. They import foveate; nothing imports them."""
