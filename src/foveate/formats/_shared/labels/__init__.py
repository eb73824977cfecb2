"""Label images: how they are found, read, told from objects, and named."""
