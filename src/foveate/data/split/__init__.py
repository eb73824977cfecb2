"""Train, valid and test splits: assignment, grouping, and the split file."""
