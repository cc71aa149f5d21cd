"""The paper's size: 512 px, about 204M parameters for the face and 29M for the motion model."""

from vasa_jax.config import Config


def config() -> Config:
    return Config(name="vasa1")
