"""Training of both stages by one loop: sharded step, checkpoints, logs."""
