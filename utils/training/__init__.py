"""Training of a network, and the bundle it ends in."""
