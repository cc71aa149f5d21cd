"""The named configurations; `vasa_jax.config.get_config` finds them here."""
