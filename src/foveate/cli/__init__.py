"""The command line."""

import time

BEGAN = time.monotonic()
"""When the command began, before anything large is imported: a time budget counts from here."""
