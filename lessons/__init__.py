"""The lessons: marimo notebooks, one an idea. They import foveate, and only `foveate lesson` looks for them here.

This folder is `foveate.lessons` by a link in src/foveate, so that the same files lie at the top of the repository for whoever
reads, and in the package for whoever installs it.
"""
