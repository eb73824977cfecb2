"""Datasets by path or by name: built in, published, or in a folder of the user's."""
