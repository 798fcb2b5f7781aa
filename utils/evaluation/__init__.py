"""Metrics of a model on a labelled dataset."""
