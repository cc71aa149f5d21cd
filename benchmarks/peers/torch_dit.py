"""The motion transformer in torch: oracle of dit.py's tests, baseline of sampler.py.

It loads our parameters. Like ours, it embeds the conditions once per window and runs the last layer
for the X_t tokens only, so that timings compare the frameworks, not the algorithms.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

CONDITION_TYPES = ("gaze", "distance", "emotion", "motion_context", "audio_context", "audio")


class Mlp(nn.Module):
    def __init__(self, inputs, hidden, outputs, activation):
        super().__init__()
        self.up, self.down = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)
        self.activation = activation

    def forward(self, x):
        return self.down(self.activation(self.up(x)))


def gelu(x):
    return F.gelu(x, approximate="tanh")


class Block(nn.Module):
    def __init__(self, width, heads, ffn_multiple, adaln):
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width, eps=1e-6)
        self.norm_mlp = nn.LayerNorm(width, eps=1e-6)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.attention_out = nn.Linear(width, width)
        self.mlp = Mlp(width, width * ffn_multiple, width, gelu)
        if adaln:
            self.modulation = nn.Parameter(torch.zeros(6, width))

    def forward(self, tokens, mask, modulation, keep):
        shift1 = scale1 = shift2 = scale2 = 0.0
        gate1 = gate2 = 1.0
        if modulation is not None:
            rows = (modulation + self.modulation)[:, :, None]
            shift1, scale1, gate1, shift2, scale2, gate2 = rows.unbind(1)

        def split(x):
            return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        h = self.norm_attention(tokens) * (1 + scale1) + shift1
        key, value = self.key_value(h).chunk(2, dim=-1)
        out = F.scaled_dot_product_attention(
            split(self.query(h[:, -keep:])),
            split(key),
            split(value),
            attn_mask=None if mask is None else mask[-keep:],
        )
        tokens = tokens[:, -keep:] + gate1 * self.attention_out(out.transpose(1, 2).flatten(2))
        return tokens + gate2 * self.mlp(self.norm_mlp(tokens) * (1 + scale2) + shift2)


class TorchMotionTransformer(nn.Module):
    """Sizes are those of our MotionConfig."""

    def __init__(self, config, motion_dim, audio_dim):
        super().__init__()
        c, width = config, config.width
        self.config, self.adaln = c, c.time_conditioning == "adaln"
        types = (*CONDITION_TYPES, "motion") + (() if self.adaln else ("time",))
        self.null = nn.ParameterDict({n: nn.Parameter(torch.zeros(width)) for n in CONDITION_TYPES})
        self.kind = nn.ParameterDict({n: nn.Parameter(torch.zeros(width)) for n in types})
        self.frame_embedding = nn.Parameter(torch.zeros(c.context + c.window, width))
        self.motion_embed = Mlp(motion_dim, width, width, gelu)
        self.audio_embed = Mlp(audio_dim, width, width, gelu)
        self.gaze_embed = nn.Linear(c.gaze_dim, width)
        self.distance_embed = nn.Linear(c.distance_dim, width)
        self.emotion_embed = nn.Linear(c.emotion_dim, width)
        self.time_embed = Mlp(width, 4 * width, width, F.silu)
        if self.adaln:
            self.time_modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(
            Block(width, c.heads, c.ffn_multiple, self.adaln) for _ in range(c.layers)
        )
        self.norm_out = nn.LayerNorm(width, eps=1e-6)
        self.head = Mlp(width, width, motion_dim, gelu)
        self.register_buffer("mask", self._mask(), persistent=False)

    def _mask(self):
        c = self.config
        if c.audio_attention == "full":
            return None
        scalars, past, present = 3 if self.adaln else 4, range(-c.context, 0), range(c.window)
        keys = [None] * scalars + [None] * c.context + [*past] + [*present] + [None] * c.window
        first_query = len(keys) - c.window
        mask = torch.ones(len(keys), len(keys), dtype=torch.bool)
        for i in present:
            for j, frame in enumerate(keys):
                if frame is not None and abs(frame - i) > c.audio_band:
                    mask[first_query + i, j] = False
        return mask

    def embed(self, c):
        """c: the fields of our Conditions, as tensors."""
        k = self.config.context
        past, present = self.frame_embedding[:k], self.frame_embedding[k:]

        def token(name, value, here):
            return torch.where(here[..., None], value, self.null[name]) + self.kind[name]

        context = c.has_context[:, None].expand(-1, k)
        audio = c.has_audio[:, None] & c.audio_valid
        return torch.cat(
            [
                token("gaze", self.gaze_embed(c.gaze / 0.1), c.has_gaze)[:, None],
                token("distance", self.distance_embed(c.distance), c.has_distance)[:, None],
                token("emotion", self.emotion_embed(c.emotion), c.has_emotion)[:, None],
                token("motion_context", self.motion_embed(c.motion_context), context) + past,
                token("audio_context", self.audio_embed(c.audio_context), context) + past,
                token("audio", self.audio_embed(c.audio), audio) + present,
            ],
            dim=1,
        )

    def denoise(self, embedded, x_t, t):
        width, w = self.config.width, self.config.window
        half = width // 2
        frequencies = torch.exp(-math.log(10_000) / half * torch.arange(half, dtype=torch.float32))
        angles = t.float()[:, None] * frequencies
        time = self.time_embed(torch.cat([angles.sin(), angles.cos()], dim=-1))
        motion = self.motion_embed(x_t) + self.kind["motion"]
        tokens, modulation = [embedded, motion + self.frame_embedding[self.config.context :]], None
        if self.adaln:
            modulation = self.time_modulation(F.silu(time)).unflatten(-1, (6, width))
        else:
            tokens.insert(0, (time + self.kind["time"])[:, None])
        tokens = torch.cat(tokens, dim=1)
        for index, block in enumerate(self.blocks):
            keep = w if index == len(self.blocks) - 1 else tokens.shape[1]
            tokens = block(tokens, self.mask, modulation, keep)
        return self.head(self.norm_out(tokens))


def load_flax(model, params):
    """Copy our {"params": …} tree; fails unless both have the same parameters."""
    flat = {}

    def walk(tree, path):
        for name, value in tree.items():
            if isinstance(value, dict):
                walk(value, [*path, name])
            else:
                flat[tuple([*path, name])] = np.array(value, np.float32)

    walk(params["params"], [])
    state = {}
    for path, value in flat.items():
        *modules, leaf = path
        modules = [m.replace("blocks_", "blocks.") for m in modules]
        if leaf == "kernel":
            leaf, value = "weight", value.T.copy()
        elif leaf == "scale":
            leaf = "weight"
        elif leaf.startswith(("null_", "type_")):
            leaf = leaf.replace("_", ".", 1).replace("type", "kind")  # Module.type is taken
        state[".".join([*modules, leaf])] = torch.from_numpy(value)
    model.load_state_dict(state, strict=True)
    return model.eval()
