"""Tiny torch networks with random weights, the oracles of Wav2Vec2 and Whisper, and their files."""

import numpy as np

from vasa_jax.audio.wav2vec2 import Wav2Vec2Shape
from vasa_jax.audio.whisper import WhisperShape

GROUP = Wav2Vec2Shape(
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=48,
    conv_dim=(16,) * 7,
    num_conv_pos_embeddings=16,
    num_conv_pos_embedding_groups=4,
)
LAYER = Wav2Vec2Shape(
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=48,
    conv_dim=(16,) * 7,
    conv_bias=True,
    feat_extract_norm="layer",
    do_stable_layer_norm=True,
    num_conv_pos_embeddings=15,
    num_conv_pos_embedding_groups=2,
)
WHISPER = WhisperShape(
    d_model=32, encoder_layers=3, encoder_attention_heads=4, encoder_ffn_dim=48, num_mel_bins=80
)


def randomise(model):
    """Weights large enough that every part matters, norms and biases away from 1 and 0."""
    import torch

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            if value.ndim == 1:
                value.copy_(0.3 * noise + (1.0 if name.endswith("norm.weight") else 0.0))
            elif not name.endswith("original0"):
                value.copy_(noise * (value[0].numel()) ** -0.5)
    return model.eval()


def torch_wav2vec2(shape):
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(0)
    config = Wav2Vec2Config(**vars(shape), attn_implementation="eager")
    return randomise(Wav2Vec2Model(config))


def torch_whisper(shape, positions=None):
    """transformers takes its full length only, so a shorter input needs a shorter table."""
    import torch
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    torch.manual_seed(0)
    sizes = vars(shape) | {"max_source_positions": positions or shape.max_source_positions}
    return randomise(WhisperEncoder(WhisperConfig(**sizes, attn_implementation="eager")))


def arrays_of(model):
    return {k: np.ascontiguousarray(v.detach().numpy()) for k, v in model.state_dict().items()}


def states(layers, run):
    """The input of the first layer and the output of every one, while `run` runs."""
    seen = []

    def before(module, args, kwargs):
        seen.append(args[0] if args else kwargs["hidden_states"])

    def after(module, args, output):
        seen.append(output[0] if isinstance(output, tuple) else output)

    hooks = [layers[0].register_forward_pre_hook(before, with_kwargs=True)]
    hooks += [layer.register_forward_hook(after) for layer in layers]
    result = run()
    for hook in hooks:
        hook.remove()
    return [s.detach().numpy() for s in seen], result


def voice(samples, seed=0):
    """Noise with a changing level and a hum, in [-1, 1]."""
    random = np.random.default_rng(seed)
    time = np.arange(samples) / 16000
    level = 0.05 + 0.1 * np.sin(2 * np.pi * 3 * time) ** 2
    wave = random.normal(size=samples) * level + 0.2 * np.sin(2 * np.pi * 180 * time)
    return np.clip(wave, -1, 1).astype(np.float32)
