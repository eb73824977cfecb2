"""Decoded images, cached on disk and memory-mapped."""
