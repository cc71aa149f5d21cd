"""The transformer layer of Wav2Vec2 and Whisper (Vaswani et al. 2017, exact GELU)."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from vasa_jax.typing import Array, Bool, Float


def layer_norm(eps: float = 1e-5) -> nn.LayerNorm:
    """LayerNorm over channels in float32, with the variance of the centred values."""
    return nn.LayerNorm(epsilon=eps, dtype=jnp.float32, use_fast_variance=False)


class SelfAttention(nn.Module):
    """Multi-head self-attention; keys outside the mask are not seen. Softmax in float32."""

    width: int
    heads: int
    key_bias: bool = True
    dtype: DTypeLike = jnp.float32

    def setup(self):
        self.q_proj = nn.Dense(self.width, dtype=self.dtype)
        self.k_proj = nn.Dense(self.width, use_bias=self.key_bias, dtype=self.dtype)
        self.v_proj = nn.Dense(self.width, dtype=self.dtype)
        self.out_proj = nn.Dense(self.width, dtype=self.dtype)

    def __call__(self, x: Float[Array, "b t c"], mask: Bool[Array, "b t"]) -> Float[Array, "b t c"]:
        split = (*x.shape[:2], self.heads, self.width // self.heads)
        q, k, v = (p(x).reshape(split) for p in (self.q_proj, self.k_proj, self.v_proj))
        y = jax.nn.dot_product_attention(q, k, v, mask=mask[:, None, None, :])
        return self.out_proj(y.reshape(x.shape))


class Layer(nn.Module):
    """Attention and feed-forward, each with a residual; norms before (`pre_norm`) or after them.

    The residual stream is float32 whatever the compute type.
    """

    width: int
    heads: int
    hidden: int
    pre_norm: bool
    eps: float = 1e-5
    key_bias: bool = True
    dtype: DTypeLike = jnp.float32

    def setup(self):
        self.attention = SelfAttention(self.width, self.heads, self.key_bias, self.dtype)
        self.attention_norm = layer_norm(self.eps)
        self.up = nn.Dense(self.hidden, dtype=self.dtype)
        self.down = nn.Dense(self.width, dtype=self.dtype)
        self.feed_norm = layer_norm(self.eps)

    def _feed(self, x: Array) -> Array:
        return self.down(jax.nn.gelu(self.up(x), approximate=False))

    def __call__(self, x: Float[Array, "b t c"], mask: Bool[Array, "b t"]) -> Float[Array, "b t c"]:
        if self.pre_norm:
            x = x + self.attention(self.attention_norm(x), mask)
            return x + self._feed(self.feed_norm(x))
        x = self.attention_norm(x + self.attention(x, mask))
        return self.feed_norm(x + self._feed(x))
