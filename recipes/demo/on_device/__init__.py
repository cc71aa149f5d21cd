"""Swap groups in the memory of an accelerator, sampled and augmented inside the training step."""
