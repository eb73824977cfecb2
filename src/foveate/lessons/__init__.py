"""Lessons: marimo notebooks, one idea each, and the web pages made from them.

The lessons import foveate. Nothing in foveate imports them, except the command that opens them.
"""
