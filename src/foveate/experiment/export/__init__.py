"""A trained model as a file for another runtime, handed over only if it predicts the same."""
