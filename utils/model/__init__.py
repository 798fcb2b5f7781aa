"""The trained network and what belongs to it."""
