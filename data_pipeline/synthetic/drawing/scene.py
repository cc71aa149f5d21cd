"""The OpenGL scene of a head: surfaces with textures, lights, one framebuffer."""

from typing import Any, NamedTuple

import numpy as np

from vasa_jax.data_pipeline.synthetic.drawing import shaders
from vasa_jax.data_pipeline.synthetic.drawing.mesh import Part
from vasa_jax.data_pipeline.synthetic.drawing.oral import Opening
from vasa_jax.data_pipeline.synthetic.drawing.surfaces import sphere
from vasa_jax.data_pipeline.synthetic.identity import Light
from vasa_jax.errors import UserError
from vasa_jax.typing import Float, Int, UInt8

PLACES = 128
"""Side of what `Scene.places` draws, pixels."""
_NEAR, _FAR = 0.5, 200.0
"""Of what is drawn, mesh units before the camera."""


class _Surface(NamedTuple):
    """A surface as OpenGL holds it."""

    # Of the posed vertices that it shows; for an eyeball, its number in `balls`.
    rows: Int[np.ndarray, " c"]
    array: Any
    at_rest: Any  # what `places` draws, from the places in the buffer `rest`
    rest: Any
    buffer: Any
    program: Any
    texture: Any
    settings: dict


class Ball(NamedTuple):
    """Where an eyeball is: centre in camera axes, radius, and the turn of the head."""

    centre: Float[np.ndarray, "3"]
    radius: float
    turn: Float[np.ndarray, "3 3"]
    rest: Float[np.ndarray, "3"]  # centre in the axes of `Scene.places`


class Scene:
    """One EGL context with a square picture of `side` pixels. Raises UserError without EGL."""

    def __init__(self, side: int):
        import moderngl

        try:
            # The stubs take every setting for a dictionary.
            egl: Any = "egl"
            self.context = moderngl.create_context(standalone=True, backend=egl)
        except Exception as error:  # glcontext raises plain Exception
            raise UserError(
                f"cannot draw heads: no EGL context ({error}); on Debian install "
                "libegl1 libegl-mesa0 libgl1-mesa-dri"
            ) from None
        self._side = side
        sources = (
            ("skin", shaders.SKIN),
            ("hair", shaders.HAIR),
            ("mouth", shaders.MOUTH),
            ("eye", shaders.EYE),
            ("shell", shaders.SHELL),
        )
        self._programs: dict[str, Any] = {
            name: self.context.program(vertex_shader=shaders.VERTEX, fragment_shader=source)
            for name, source in sources
        }
        self._target = self.context.framebuffer(
            [self.context.texture((side, side), 4)], self.context.depth_renderbuffer((side, side))
        )
        self._place_program: Any = self.context.program(
            vertex_shader=shaders.VERTEX, fragment_shader=shaders.PLACE
        )
        self._place_target = self.context.framebuffer(
            [self.context.texture((PLACES, PLACES), 4, dtype="f4")],
            self.context.depth_renderbuffer((PLACES, PLACES)),
        )
        self.context.enable(moderngl.DEPTH_TEST | moderngl.BLEND)
        self.context.blend_func = moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA
        self._held: list[Any] = []
        self._surfaces: list[_Surface] = []
        self._ball, self._ball_triangles = sphere()

    def close(self) -> None:
        """Gives the context back."""
        self.context.release()

    def clear(self) -> None:
        """Forgets all surfaces."""
        for thing in self._held:
            thing.release()
        self._held, self._surfaces = [], []

    def add(self, part: Part, start: int, program: str, texture: Any, **settings: Any) -> None:
        """A surface over the posed vertices from row `start` on; drawn after the earlier ones."""
        uv = np.ascontiguousarray(part.uv, "f4")
        self._surface(part.vertex + start, program, texture, uv, part.triangles, "uv", settings)

    def add_ball(self, number: int, **settings: Any) -> None:
        """An eyeball; its pattern follows `sight`, given to `draw`."""
        at = np.array([number])
        self._surface(at, "eye", None, self._ball, self._ball_triangles, "local", settings)

    def _surface(self, rows, program, texture, extra, triangles, extra_name, settings):
        gl, program = self.context, self._programs[program]
        buffer = gl.buffer(reserve=len(extra) * 6 * 4, dynamic=True)
        fixed, index = gl.buffer(extra.tobytes()), gl.buffer(triangles.astype("i4").tobytes())
        content = [
            (buffer, "3f 3f", "position", "normal"),
            (fixed, f"{extra.shape[1]}f", extra_name),
        ]
        array = gl.vertex_array(program, content, index)
        rest = gl.buffer(reserve=len(extra) * 3 * 4, dynamic=True)
        content = [(buffer, "3f 12x", "position"), (rest, "3f", "local")]
        if extra_name == "uv":
            content.append((fixed, "2f", "uv"))
        at_rest = gl.vertex_array(self._place_program, content, index)
        self._held += [array, at_rest, rest, buffer, fixed, index]
        self._surfaces.append(
            _Surface(rows, array, at_rest, rest, buffer, program, texture, settings)
        )

    def texture(self, rgba: UInt8[np.ndarray, "h w 4"]) -> Any:
        """A picture, with its smaller copies; row 0 is the top (v = 1)."""
        import moderngl

        texture = self.context.texture(rgba.shape[1::-1], 4, np.ascontiguousarray(rgba).tobytes())
        texture.build_mipmaps()
        texture.repeat_y = False  # hair at a crown and at its tips are no neighbours
        # Software renderers pay dearly for more (trilinear and anisotropic: four times the frame).
        texture.filter = moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR
        self._held.append(texture)
        return texture

    def plain(self, colour: tuple[float, ...], alpha: float = 1.0) -> Any:
        """A texture of one colour."""
        rgba = np.zeros((4, 4, 4), np.uint8)
        rgba[...] = (np.clip([*colour, alpha], 0, 1) * 255).astype(np.uint8)
        return self.texture(rgba)

    def crease(self, texture: Any) -> None:
        """The map of wrinkles of the surfaces whose setting `creased` is 1."""
        self._creases = texture

    def light(self, light: Light, focal: float) -> None:
        """Lights and lens (focal length in picture widths) of all that follows."""
        near, far, f = _NEAR, _FAR, 2 * focal
        matrix = np.array(
            [
                [f, 0, 0, 0],
                [0, -f, 0, 0],
                [0, 0, (far + near) / (far - near), -2 * far * near / (far - near)],
                [0, 0, 1, 0],
            ],
            "f4",
        )
        for program in (*self._programs.values(), self._place_program):
            program["projection"].write(np.ascontiguousarray(matrix.T).tobytes())
            for name, value in light._asdict().items():
                if name in program:
                    program[name].value = value

    def draw(
        self,
        rows: Float[np.ndarray, "n 6"],
        balls: list[Ball],
        sight: Float[np.ndarray, "3"],
        mouth: Opening,
        creases: Float[np.ndarray, " k"],
    ) -> UInt8[np.ndarray, "s s 4"]:
        """Premultiplied sRGB. rows: positions and normals in camera axes. sight: direction of the
        eyes in a head that faces the camera. mouth: the gap that light comes through. creases:
        depth of each channel of the map given to `crease`."""
        for name in ("skin", "mouth"):
            program = self._programs[name]
            for axis in ("middle", "inward", "down", "side"):
                program[f"gap_{axis}"].value = tuple(float(v) for v in getattr(mouth, axis))
            program["gap_half"].value = mouth.half_width, mouth.half_height
            program["gap_bend"].value = mouth.bend
        self._programs["skin"]["crease_depth"].value = tuple(float(v) for v in creases)
        self._programs["skin"]["creases"].value = 1
        self._creases.use(1)
        self._target.use()
        self.context.clear(0.0, 0.0, 0.0, 0.0)
        for surface in self._surfaces:
            program = surface.program
            for name, value in surface.settings.items():
                if name in program:
                    program[name].value = value
            if surface.texture is None:
                ball = balls[int(surface.rows[0])]
                normal = self._ball @ ball.turn.T
                place = ball.centre + normal * ball.radius
                surface.buffer.write(np.concatenate([place, normal], 1).astype("f4").tobytes())
                program["sight"].value = tuple(float(v) for v in sight)
            else:
                surface.buffer.write(rows[surface.rows].tobytes())
                surface.texture.use(0)
            surface.array.render()
        drawn = np.frombuffer(self._target.read(components=4), np.uint8)
        return drawn.reshape(self._side, self._side, 4)[::-1]

    def places(
        self, rest: Float[np.ndarray, "n 3"], balls: list[Ball], sight: Float[np.ndarray, "3"]
    ) -> Float[np.ndarray, "p p 4"]:
        """For every pixel of what was drawn last, at `PLACES` pixels: which place of the head at
        rest is seen there, and 1; 0 where nothing is. rest: of the vertices, camera axes. An iris
        moves on its ball and takes its place along. A surface's setting `apart` puts its places so
        far before the head: teeth are no lips, however near to them."""
        import moderngl

        self._place_target.use()
        self.context.clear(0.0, 0.0, 0.0, 0.0)
        self.context.disable(moderngl.BLEND)
        straight = _turn_between(sight, np.array([0.0, 0.0, -1.0]))
        for surface in self._surfaces:
            if surface.texture is None:
                ball = balls[int(surface.rows[0])]
                at = ball.rest + ball.radius * self._ball @ straight.T
            else:
                at = rest[surface.rows]
            at = at - [0.0, 0.0, surface.settings.get("apart", 0.0)]
            surface.rest.write(np.ascontiguousarray(at, "f4").tobytes())
            if surface.texture is not None:
                surface.texture.use(0)
            hairy = surface.program in (self._programs["hair"], self._programs["mouth"])
            self._place_program["floor_alpha"].value = 0.5 if hairy else -1.0
            surface.at_rest.render()
        self.context.enable(moderngl.BLEND)
        drawn = np.frombuffer(self._place_target.read(components=4, dtype="f4"), np.float32)
        return drawn.reshape(PLACES, PLACES, 4)[::-1]


def _turn_between(a: Float[np.ndarray, "3"], b: Float[np.ndarray, "3"]):
    """The rotation that turns direction a to b, by the shortest way; they are not opposite."""
    axis, cosine = np.cross(a, b), float(a @ b)
    cross = np.cross(np.eye(3), axis)
    return np.eye(3) + cross + cross @ cross / (1 + cosine)
