"""From raw video, or from nothing at all, to the batches that training reads."""
