"""From a bundle and a file to a prediction."""
