"""Renderer of synthetic talking heads with exact labels (not in the paper); see README.md."""
