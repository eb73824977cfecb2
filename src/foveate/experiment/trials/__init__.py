"""Several runs as one experiment: folds, seeds and the trials of a study, in one folder."""
