"""How fast is it here? The questions of `vasa-jax benchmark`, and how they are measured."""
