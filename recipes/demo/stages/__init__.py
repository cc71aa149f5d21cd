"""Training stages that `vasa-jax train` does not have."""
