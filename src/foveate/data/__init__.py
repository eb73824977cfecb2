"""Datasets, images, augmentation, batches and splits."""
