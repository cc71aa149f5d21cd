"""Benchmarks of `vasa-jax benchmark`: speed, work and memory of each part on this device."""
