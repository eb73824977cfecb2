"""Label images: how they are found, read and named; whether they hold classes or objects."""
