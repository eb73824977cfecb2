"""How each task presents its annotations, without torch: one file a task."""
