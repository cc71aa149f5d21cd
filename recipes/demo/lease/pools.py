"""The two pools of swap groups on the device: training and held out."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from recipes.demo.lease.drawing import Drawing
from recipes.demo.lease.parts import Scale
from recipes.demo.on_device.pool import GroupArrays, group_struct
from vasa_jax.typing import Float

AT_ONCE = 16
"""The most groups taken between two dispatches."""


@partial(jax.jit, donate_argnums=0)
def _placed(pool: GroupArrays, rows: GroupArrays, at) -> GroupArrays:
    put = lambda whole, row: jax.lax.dynamic_update_index_in_dim(whole, row, at, 0)  # noqa: E731
    return jax.tree.map(put, pool, rows)


class Pools:
    """train, held: groups on the device; the first `counts` (train, held) of them are filled."""

    def __init__(self, scale: Scale):
        self.train, self.held = (
            jax.tree.map(
                lambda s: jnp.zeros(s.shape, s.dtype),
                group_struct(groups, scale.picture, scale.swaps),
            )
            for groups in (scale.groups, scale.held)
        )
        self.counts = (0, 0)
        self._sizes = (scale.groups, scale.held)

    @property
    def whole(self) -> bool:
        """Whether all held-out groups are filled."""
        return self.counts[1] == self._sizes[1]

    def fill(self, drawing: Drawing) -> None:
        """Take finished groups, as many as there is room for."""
        for made in drawing.take(AT_ONCE):
            train, held = self.counts
            rows = jax.tree.map(jnp.asarray, made.rows)
            if made.held and held < self._sizes[1]:
                self.held = _placed(self.held, rows, held)
                self.counts = (train, held + 1)
            elif not made.held and train < self._sizes[0]:
                self.train = _placed(self.train, rows, train)
                self.counts = (train + 1, held)

    def looks(self) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 3"]]:
        """Gaze and head rotation (radians) of the first person of each training group."""
        count = self.counts[0]
        gaze = np.asarray(self.train.gaze[:count])
        rotation = np.asarray(self.train.rotation[:count, 0])
        rotation = np.broadcast_to(rotation[:, :, None], (*gaze.shape[:3], 3))
        return gaze.reshape(-1, 2), rotation.reshape(-1, 3)
