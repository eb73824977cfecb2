"""After a model is shipped: its card, its package, and what it sees in service."""
