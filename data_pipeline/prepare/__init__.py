"""Raw video to labelled clips: shots, faces, crops, quality, sound, labels, and a report."""
