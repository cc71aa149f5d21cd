"""The decoder in torch: driven volume to image, with our folded parameters.

In channels_last memory format, torch's fastest for convolutions. Upsampling is written as is usual
in torch: nearest x2, then a convolution.
"""

import itertools
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class ResBlock(nn.Module):
    """GN, ReLU, conv, GN, ReLU, conv, plus a skip; `up2` doubles the size first."""

    def __init__(self, inputs, features, groups, up2):
        super().__init__()
        self.up2 = up2
        self.norm1 = nn.GroupNorm(math.gcd(groups, inputs), inputs)
        self.conv1 = nn.Conv2d(inputs, features, 3, padding=1)
        self.norm2 = nn.GroupNorm(math.gcd(groups, features), features)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)
        self.skip = nn.Conv2d(inputs, features, 3, padding=1) if inputs != features else None

    def forward(self, x):
        if self.up2:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        y = self.conv1(F.relu(self.norm1(x)))
        y = self.conv2(F.relu(self.norm2(y)))
        return y + (x if self.skip is None else self.skip(x))


class TorchDecoder(nn.Module):
    """Sizes are those of our FaceConfig."""

    def __init__(self, face):
        super().__init__()
        width, groups = face.decoder_width, face.norm_groups
        self.project = nn.Conv2d(face.volume_depth * face.volume_channels, width, 1)
        self.blocks = nn.ModuleList(
            ResBlock(width, width, groups, False) for _ in range(face.decoder_blocks)
        )
        widths = (width, *face.decoder_widths)
        self.ups = nn.ModuleList(
            ResBlock(a, b, groups, True) for a, b in itertools.pairwise(widths)
        )
        self.norm = nn.GroupNorm(math.gcd(groups, widths[-1]), widths[-1])
        self.head = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, volume):
        """(b, d * c, h, w) -> (b, 3, 8 h, 8 w) in [0, 1]."""
        x = self.project(volume)
        for block in (*self.blocks, *self.ups):
            x = block(x)
        return torch.sigmoid(self.head(F.relu(self.norm(x))).float())


def load_flax(model, params):
    """Copy our decoder's folded parameters; fails unless both have the same ones."""
    state = {}
    for module, leaves in params.items():
        prefix = module
        for ours, theirs in (("block_", "blocks."), ("up_", "ups.")):
            if module.startswith(ours):
                prefix = f"{theirs}{int(module.removeprefix(ours)) - 1}"
        _copy(state, prefix, leaves)
    model.load_state_dict(state, strict=True)
    return model.eval().to(memory_format=torch.channels_last)


def _copy(state, prefix, leaves):
    for name, value in leaves.items():
        if isinstance(value, dict):
            _copy(state, f"{prefix}.{name}", value)
            continue
        array = np.array(value, np.float32)
        if name in ("kernel", "ws_kernel"):
            name, array = "weight", array.transpose(3, 2, 0, 1).copy()  # HWIO -> OIHW
        elif name == "scale":
            name = "weight"
        state[f"{prefix}.{name}"] = torch.from_numpy(array)


def to_torch_volume(volume):
    """(b, d, h, w, c) numpy to torch (b, d * c, h, w), depth before channels."""
    b, d, h, w, c = volume.shape
    merged = np.moveaxis(volume, 1, 3).reshape(b, h, w, d * c).transpose(0, 3, 1, 2)
    tensor = torch.from_numpy(np.ascontiguousarray(merged))
    return tensor.contiguous(memory_format=torch.channels_last)
