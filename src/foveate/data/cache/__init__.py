"""Decoded images, cached in files that are checked as they are read."""
