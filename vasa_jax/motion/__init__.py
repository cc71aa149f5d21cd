"""Stage 2: holistic facial dynamics by diffusion (VASA-1 3.2)."""
