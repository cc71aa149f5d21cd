"""Reading and writing images, audio and video."""
