"""From the records of a dataset to batches; `loaders` has what others use."""
