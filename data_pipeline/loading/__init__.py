"""From the records of a dataset to batches: the parts of `vasa_jax.data_pipeline.loader`."""
