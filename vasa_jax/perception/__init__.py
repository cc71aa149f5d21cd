"""Frozen networks of losses, labels and metrics: face detection, identity, VGG, LPIPS."""
