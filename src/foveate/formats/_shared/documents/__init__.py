"""JSON, YAML, XML and text files, read with limits of size and depth."""
