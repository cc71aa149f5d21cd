"""The training on an accelerator that is lent for minutes, to a machine that can fetch nothing."""
