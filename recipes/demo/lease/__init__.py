"""Training by wall-clock time on an accelerator for minutes, without a network."""
