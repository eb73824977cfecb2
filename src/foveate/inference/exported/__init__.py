"""Models that `foveate export` wrote, computed without torch."""
