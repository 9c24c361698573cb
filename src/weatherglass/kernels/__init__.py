"""The hot loops, compiled."""
