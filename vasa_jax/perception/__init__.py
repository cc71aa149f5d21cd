"""Frozen networks used to find faces, and by losses, labels and metrics."""
