"""Inference: prediction, labelling and generation with runs and foundation models."""
