"""Stage 1: the face latent space (VASA-1 3.1, MegaPortraits)."""
