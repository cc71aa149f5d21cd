"""Talking heads with exact truth: rendered CC0 heads that speak synthetic speech."""
