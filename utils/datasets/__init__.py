"""Folder trees to samples, splits, duplicates and prepared images."""
