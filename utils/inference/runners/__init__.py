"""Ways to run a predictor over many files."""
