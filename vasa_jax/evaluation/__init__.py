"""How good a model is: metrics, the experiments that feed them, and their report."""
