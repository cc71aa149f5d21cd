"""Training data (VASA-1 section 4): video preparation, synthetic heads, datasets, loaders."""
