"""From a portrait and a clip to a video."""
