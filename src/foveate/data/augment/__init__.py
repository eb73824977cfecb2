"""Augmentation policies: images, images with boxes, images with masks."""
