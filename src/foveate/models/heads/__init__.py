"""One file per head: a module from feature maps to an output."""
