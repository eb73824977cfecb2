"""Which format fits a path, and what to say where none or several do."""
