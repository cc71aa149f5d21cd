"""Data of the demo's training: readers of swap groups, and motion tracks without pictures."""
