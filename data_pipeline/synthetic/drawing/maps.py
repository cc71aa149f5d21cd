"""Surface position and region masks of each texel of the head's texture."""

import cv2
import numpy as np

from vasa_jax.data_pipeline.synthetic.drawing.mesh import Mesh, mask_files
from vasa_jax.data_pipeline.synthetic.drawing.skin import SIZE, Maps
from vasa_jax.errors import UserError

_VERTEX = """#version 330
in vec3 place; in vec2 uv; out vec3 P;
void main() { gl_Position = vec4(uv.x * 2.0 - 1.0, 1.0 - uv.y * 2.0, 0.0, 1.0); P = place; }"""
_FRAGMENT = """#version 330
in vec3 P; out vec4 result; void main() { result = vec4(P, 1.0); }"""


def surface_maps(context, mesh: Mesh) -> Maps:
    """Places and masks of the skin's texels, row 0 at the top (v = 1) of the texture."""
    import moderngl

    body = mesh.parts["body"]
    program = context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
    target = context.framebuffer([context.texture((SIZE, SIZE), 4, dtype="f4")])
    target.use()
    context.disable(moderngl.DEPTH_TEST | moderngl.BLEND)
    context.clear(0.0, 0.0, 0.0, 0.0)
    rows = np.concatenate([mesh.rest[body.vertex], body.uv], 1).astype("f4")
    buffer = context.buffer(np.ascontiguousarray(rows).tobytes())
    index = context.buffer(body.triangles.astype("i4").tobytes())
    context.vertex_array(program, [(buffer, "3f 2f", "place", "uv")], index).render()
    drawn = np.frombuffer(target.read(components=4, dtype="f4"), np.float32)
    drawn = drawn.reshape(SIZE, SIZE, 4)  # v = 1 was sent to the first row
    context.enable(moderngl.DEPTH_TEST | moderngl.BLEND)
    place, inside = drawn[..., :3], drawn[..., 3] > 0.5
    place = _spread(place, inside)
    masks = {}
    for name, path in mask_files().items():
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if grey is None:
            raise UserError(f"{path}: cannot be read as a picture; delete it to fetch it anew")
        grey = cv2.resize(grey, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        masks[name] = grey.astype(np.float32) / 255
    return Maps(place, masks["lips"], masks["eyelids"], masks["ears"], masks["inside-mouth"])


def _spread(place, inside):
    """Texels beside a seam take the place of their neighbours, for smooth sampling across it."""
    place, known = place.copy(), inside.astype(np.float32)
    kernel = np.ones((3, 3), np.float32)
    for _ in range(6):
        total = cv2.filter2D(place * known[..., None], -1, kernel)
        count = cv2.filter2D(known, -1, kernel)
        fresh = (known == 0) & (count > 0)
        place[fresh] = total[fresh] / count[fresh][:, None]
        known = np.maximum(known, fresh.astype(np.float32))
    return place
