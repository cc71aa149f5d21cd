"""Generation (VASA-1 section 3.3): one portrait and speech to a video, offline or while one speaks.

`Pipeline` holds the compiled programs: encode the portrait, sample motion window by window, decode
frames. `generate`, `batch` and `stream` bring files and sound to it; `reenact` takes the motion of
a video instead of generating it.
"""
