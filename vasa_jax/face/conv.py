"""Convolutions on channels-last arrays: 2-D, 3-D, after x2 upsampling, weight-standardised."""

import operator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from vasa_jax.device import target_platform
from vasa_jax.typing import Array, Float

__all__ = [
    "Conv",
    "LayerOptions",
    "conv2d",
    "conv2d_up2",
    "conv3d",
    "fold_weight_standardisation",
    "standardise_kernel",
]

WS_KERNEL = "ws_kernel"
"""Name of kernels that are standardised before use; `fold_weight_standardisation` looks for it."""


@dataclass(frozen=True)
class LayerOptions:
    """Options shared by all layers of a network."""

    groups: int = 32
    """Groups of GroupNorm; their greatest common divisor with the channels is used."""
    dtype: DTypeLike = jnp.float32
    """Compute type; parameters, norms and statistics stay float32."""
    folded: bool = False
    """The parameters went through `fold_weight_standardisation`."""


def conv2d(
    x: Float[Array, "b h w i"], kernel: Float[Array, "m n i o"], stride: int = 1
) -> Float[Array, "b h2 w2 o"]:
    """2-D cross-correlation, symmetric zero padding of half a kernel (odd kernels), as torch's."""
    m, n = kernel.shape[:2]
    padding = [(m // 2, m // 2), (n // 2, n // 2)]
    tiny = x.shape[1] < m * stride and x.shape[2] < n * stride
    if tiny and target_platform() == "cpu":
        return _conv2d_by_product(x, kernel, stride, padding)
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _conv2d_by_product(x, kernel, stride, padding):
    """The same as one matrix product over the pixels under each tap (im2col).

    On a CPU, XLA's convolution of a map hardly larger than the kernel, or its gradient, takes up to
    25 times as long (benchmarks/NOTES.md).
    """
    m, n, _, features = kernel.shape
    h, w = ((k - 1) // stride + 1 for k in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    last = stride * (h - 1) + 1, stride * (w - 1) + 1
    taps = [
        x[:, p : p + last[0] : stride, q : q + last[1] : stride] for p in range(m) for q in range(n)
    ]
    return jnp.einsum("bhwk,ko->bhwo", jnp.concatenate(taps, -1), kernel.reshape(-1, features))


def conv3d(
    x: Float[Array, "b d h w i"], kernel: Float[Array, "k m n i o"], method: str | None = None
) -> Float[Array, "b d h w o"]:
    """3-D cross-correlation with odd kernel, stride 1 and zero padding that keeps the size.

    method "native" is XLA's own; "slices" is a sum over kernel depth of 2-D convolutions with
    shifted outputs, about three times faster where XLA runs on a CPU. None picks by
    `vasa_jax.device.target_platform()` when the function is traced.
    """
    if method is None:
        method = "slices" if target_platform() == "cpu" else "native"
    if method == "native":
        padding = [(k // 2, k // 2) for k in kernel.shape[:3]]
        return lax.conv_general_dilated(
            x, kernel, (1, 1, 1), padding, dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
        )
    if method != "slices":
        raise ValueError(f"conv3d method {method!r} is not one of None, 'native', 'slices'")
    b, d = x.shape[:2]
    half = kernel.shape[0] // 2
    parts = []
    for k in range(kernel.shape[0]):
        # Output slice z reads input slice z + k - half; only slices inside the volume are computed.
        start, stop = max(k - half, 0), d + min(k - half, 0)
        if start >= stop:
            continue
        part = x[:, start:stop].reshape(b * (stop - start), *x.shape[2:])
        y = conv2d(part, kernel[k]).reshape(b, stop - start, *x.shape[2:4], -1)
        ends = max(half - k, 0), max(k - half, 0)
        parts.append(jnp.pad(y, ((0, 0), ends, (0, 0), (0, 0), (0, 0))))
    return reduce(operator.add, parts)


def conv2d_up2(
    x: Float[Array, "b h w i"], kernel: Float[Array, "3 3 i o"]
) -> Float[Array, "b h2 w2 o"]:
    """`conv2d(nearest_up2(x), kernel)` without making the upsampled array.

    Of the nine taps at most four fall on different pixels of x. Summing the kernel over taps that
    read the same pixel leaves one 2x2 kernel for each of the four output phases: 4/9 of the
    multiplications. All phases are one convolution; phase (p, q) is its window shifted by (p, q).
    """
    b, h, w, _ = x.shape
    o = kernel.shape[-1]
    rows = (
        jnp.stack([kernel[0], kernel[1] + kernel[2]]),
        jnp.stack([kernel[0] + kernel[1], kernel[2]]),
    )
    phases = []
    for r in rows:
        phases.append(jnp.stack([r[:, 0], r[:, 1] + r[:, 2]], axis=1))
        phases.append(jnp.stack([r[:, 0] + r[:, 1], r[:, 2]], axis=1))
    kernels = jnp.concatenate(phases, -1)
    if target_platform() == "cpu":
        # Under shard_map a custom gradient must vary over devices as its input does. The shared
        # kernels do not; made to depend on x they do, and JAX sums their gradients as it should.
        y = _correlate2_cpu(x, kernels + 0 * lax.stop_gradient(x[:1, :1, :1, :1]))
    else:
        y = _correlate2(x, kernels)
    parts = [
        [y[:, p : p + h, q : q + w, (2 * p + q) * o : (2 * p + q + 1) * o] for q in (0, 1)]
        for p in (0, 1)
    ]
    both = jnp.stack([jnp.stack(columns, axis=3) for columns in parts], axis=2)
    return both.reshape(b, 2 * h, 2 * w, o)


def _correlate2(x, kernel):
    """Cross-correlation with a 2x2 kernel and one row and column of zeros on each side."""
    return lax.conv_general_dilated(
        x, kernel, (1, 1), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


_correlate2_cpu = jax.custom_vjp(_correlate2)


def _correlate2_forward(x, kernel):
    return _correlate2(x, kernel), (x, kernel)


def _correlate2_backward(saved, cotangent):
    x, kernel = saved
    # XLA's own gradient of an even kernel is 20 to 40 times slower on a CPU than a product per tap.
    h, w = x.shape[1:3]
    taps = [
        [
            jnp.einsum("bhwi,bhwo->io", x, cotangent[:, 1 - p : 1 - p + h, 1 - q : 1 - q + w])
            for q in (0, 1)
        ]
        for p in (0, 1)
    ]
    (d_x,) = jax.vjp(lambda x: _correlate2(x, kernel), x)[1](cotangent)
    return d_x, jnp.stack([jnp.stack(row) for row in taps])


_correlate2_cpu.defvjp(_correlate2_forward, _correlate2_backward)


def standardise_kernel(kernel: Float[Array, "*k i o"]) -> Float[Array, "*k i o"]:
    """Weight standardisation: zero mean and variance 1 / fan_in for each output channel.

    Qiao et al. 2019 (1903.10520), with the 1 / sqrt(fan_in) of Brock et al. 2021 (2101.08692):
    without it a convolution whose output is not normalised, as on MegaPortraits' residual paths,
    multiplies the scale of its input by sqrt(fan_in), up to 68.
    """
    axes = tuple(range(kernel.ndim - 1))
    centred = kernel - jnp.mean(kernel, axes, keepdims=True)
    # mean(x^2) * fan_in is a plain sum of squares.
    return centred * lax.rsqrt(jnp.maximum(jnp.sum(centred**2, axes, keepdims=True), 1e-6))


class Conv(nn.Module):
    """A convolution with bias over the last `dims` spatial axes.

    standardise: weight standardisation (the paper's rule: all convolutions but a network's first
    and last). up2: convolve the x2 nearest-upsampled input (2-D, size 3).
    """

    features: int
    size: int = 3
    dims: int = 2
    stride: int = 1
    standardise: bool = True
    up2: bool = False
    use_bias: bool = True
    options: LayerOptions = LayerOptions()
    kernel_init: Any = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        shape = (self.size,) * self.dims + (x.shape[-1], self.features)
        name = WS_KERNEL if self.standardise else "kernel"
        kernel = self.param(name, self.kernel_init, shape, jnp.float32)
        if self.standardise and not self.options.folded:
            kernel = standardise_kernel(kernel)
        x, kernel = x.astype(self.options.dtype), kernel.astype(self.options.dtype)
        if self.size == 1 and self.stride == 1:
            y = jnp.einsum("...i,io->...o", x, kernel.reshape(kernel.shape[-2:]))
        elif self.dims == 3:
            y = conv3d(x, kernel)
        elif self.up2:
            y = conv2d_up2(x, kernel)
        else:
            y = conv2d(x, kernel, self.stride)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            y = y + bias.astype(self.options.dtype)
        return y


def fold_weight_standardisation(params: Any) -> Any:
    """The parameters with each kernel named `WS_KERNEL` standardised ahead of use.

    Give the result to a model built with `folded=True`: equal outputs, less work per call.
    Folding twice changes nothing, since a standardised kernel is its own standardisation.
    """

    def fold(path, leaf):
        name = getattr(path[-1], "key", None)
        return standardise_kernel(leaf) if name == WS_KERNEL else leaf

    return jax.tree_util.tree_map_with_path(fold, params)
