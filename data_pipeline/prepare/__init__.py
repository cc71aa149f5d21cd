"""Preparation of raw video (VASA-1 section 4): shots, faces, crops, quality, sound, labels."""
