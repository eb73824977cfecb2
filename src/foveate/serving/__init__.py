"""Serving: the predictions of `foveate predict` over HTTP, with a page to try them on.

A model is known as a `Predictor` alone, and nothing here imports torch.
"""
