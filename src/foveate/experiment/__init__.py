"""Runs: the seven steps of training one, and what is done with it afterwards."""
