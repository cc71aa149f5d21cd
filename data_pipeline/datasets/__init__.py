"""TFDS builders that store labelled clips in ArrayRecord, readable without TensorFlow."""
