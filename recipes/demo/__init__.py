"""The training of `--config demo`'s weights: corpus, stages, motion, and the bundle of all."""
