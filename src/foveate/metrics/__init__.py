"""Metrics with confidence intervals, baselines, and the ledger of the test split."""
