"""GLSL shaders of skin and cloth, hair, mouth and eyeballs; lighting in linear colour."""

VERTEX = """#version 330
in vec3 position; in vec3 normal; in vec2 uv; in vec3 local;
uniform mat4 projection;
out vec3 P; out vec3 N; out vec2 T; out vec3 Q;
void main() {
  gl_Position = projection * vec4(position, 1.0);
  P = position; N = normal; T = uv; Q = local;
}"""

# Camera axes: x right, y down, z away; the camera is the origin. Output is premultiplied sRGB.
_COMMON = """#version 330
in vec3 P; in vec3 N; in vec2 T; in vec3 Q;
uniform vec3 key; uniform vec3 key_colour; uniform vec3 fill; uniform vec3 fill_colour;
uniform vec3 sky; uniform vec3 ground;
out vec4 result;
vec3 linear(vec3 c) { return pow(c, vec3(2.2)); }
vec3 display(vec3 c) {
  c = 1.12 * c / (1.0 + 0.18 * c);
  return pow(clamp(c, 0.0, 1.0), vec3(1.0 / 2.2));
}
vec3 facing(vec3 n) { return dot(n, P) > 0.0 ? -n : n; }
vec3 ambient(vec3 n) { return mix(ground, sky, 0.5 - 0.5 * n.y); }
float gloss(vec3 n, vec3 l, float power) {
  vec3 h = normalize(l - normalize(P));
  float f = 0.04 + 0.96 * pow(1.0 - max(dot(h, l), 0.0), 5.0);
  return (power + 8.0) / 25.0 * f * pow(max(dot(n, h), 0.0), power) * max(dot(n, l), 0.0);
}
"""

# How much light comes to a place p behind the lips: the share of the directions that the gap
# between them leaves open, roughly area / (area + distance^2), and less above the upper lip's edge.
_MOUTH = """
uniform vec3 gap_middle; uniform vec3 gap_inward; uniform vec3 gap_down; uniform vec3 gap_side;
uniform vec2 gap_half; uniform float gap_bend;
float reach(vec3 p) {
  vec3 r = p - gap_middle;
  float aside = dot(r, gap_side);
  float depth = max(dot(r, gap_inward) - gap_bend * aside * aside, 0.0);
  float area = gap_half.x * max(gap_half.y, 0.012);
  float seen = 0.05 + 0.95 * area / (area + 0.45 * depth * depth);
  float above = -dot(r, gap_down) - gap_half.y;
  return seen * (1.0 - 0.7 * smoothstep(-0.03, 0.06, above));
}
"""

SKIN = (
    _COMMON
    + _MOUTH
    + """
uniform sampler2D albedo; uniform float shine; uniform float softness;
uniform sampler2D creases; uniform vec4 crease_depth; uniform float creased;
void main() {
  vec4 t = texture(albedo, vec2(T.x, 1.0 - T.y));
  vec3 n = facing(normalize(N));
  vec3 c = linear(t.rgb);
  float fold = creased * dot(texture(creases, vec2(T.x, 1.0 - T.y)), crease_depth);
  c *= 1.0 - min(fold, 1.0) * vec3(0.50, 0.62, 0.66);
  // Of the skin only the inside of the mouth has alpha below 1.
  t.a *= mix(reach(P), 1.0, smoothstep(0.2, 0.95, t.a));
  // Light creeps around living skin, the red of it furthest (a wrapped diffuse term).
  vec3 wrap = softness * vec3(0.45, 0.25, 0.18);
  vec3 dk = clamp((dot(n, key) + wrap) / (1.0 + wrap), 0.0, 1.0);
  vec3 df = clamp((dot(n, fill) + wrap) / (1.0 + wrap), 0.0, 1.0);
  vec3 light = key_colour * dk + fill_colour * df + ambient(n);
  float rim = 0.12 * pow(1.0 - abs(dot(n, normalize(P))), 3.0);
  vec3 lit = c * light * t.a + shine * t.a * (key_colour * gloss(n, key, 22.0)
             + fill_colour * gloss(n, fill, 22.0) + rim * sky * 0.3);
  result = vec4(display(lit), 1.0);
}"""
)

# Teeth and tongue: wet, and lit through the gap between the lips.
MOUTH = (
    _COMMON
    + _MOUTH
    + """
uniform sampler2D albedo; uniform float shine; uniform float softness; uniform float power;
void main() {
  vec4 t = texture(albedo, vec2(T.x, 1.0 - T.y));
  if (t.a < 0.5) discard;
  vec3 n = facing(normalize(N));
  vec3 c = linear(t.rgb);
  vec3 wrap = softness * vec3(0.6, 0.5, 0.45);
  vec3 dk = clamp((dot(n, key) + wrap) / (1.0 + wrap), 0.0, 1.0);
  vec3 df = clamp((dot(n, fill) + wrap) / (1.0 + wrap), 0.0, 1.0);
  vec3 light = key_colour * dk + fill_colour * df + ambient(n);
  float seen = reach(P);
  vec3 lit = c * light * seen + shine * seen * (key_colour * gloss(n, key, power)
             + fill_colour * gloss(n, fill, power));
  result = vec4(display(lit), 1.0);
}"""
)

HAIR = (
    _COMMON
    + """
uniform sampler2D albedo; uniform vec3 tint; uniform float floor_alpha; uniform float inner;
void main() {
  vec4 t = texture(albedo, vec2(T.x, 1.0 - T.y));
  if (t.a < floor_alpha) discard;
  vec3 n = facing(normalize(N));
  vec3 c = linear(t.rgb) * tint;
  vec3 light = key_colour * clamp(dot(n, key) * 0.7 + 0.3, 0.0, 1.0)
             + fill_colour * clamp(dot(n, fill) * 0.7 + 0.3, 0.0, 1.0) + ambient(n);
  vec3 lit = c * light + 0.25 * key_colour * gloss(n, key, 12.0);
  lit *= dot(N, P) > 0.0 ? inner : 1.0;
  result = vec4(display(lit) * t.a, t.a);
}"""
)

# Without a discard, what is hidden is not shaded.
SHELL = HAIR.replace("  if (t.a < floor_alpha) discard;\n", "  t.a = 1.0;\n")

# The eyeball is a sphere; its pattern is painted by the angle from the line of sight.
EYE = (
    _COMMON
    + """
uniform vec3 centre; uniform vec3 sight; uniform vec3 iris; uniform float seed; uniform vec3 white;
float hash(float x) { return fract(sin(x * 127.1 + seed) * 43758.5453); }
float ridge(float a, float n) {
  float k = floor(a * n), f = fract(a * n); f = f * f * (3.0 - 2.0 * f);
  return mix(hash(mod(k, n)), hash(mod(k + 1.0, n)), f);
}
void main() {
  vec3 d = normalize(Q - centre);
  float angle = acos(clamp(dot(d, sight), -1.0, 1.0));
  vec3 side = normalize(cross(sight, vec3(0.0, 1.0, 0.0)));
  float turn = atan(dot(d, cross(side, sight)), dot(d, side)) / 6.2831853 + 0.5;
  const float rim = 0.50, pupil = 0.19;
  float r = clamp((angle - pupil) / (rim - pupil), 0.0, 1.0);
  vec3 inside = iris * (0.55 + 0.75 * ridge(turn, 46.0) * ridge(turn + 0.31, 17.0) + 0.35 * r);
  inside *= 1.0 - 0.65 * smoothstep(0.72, 1.0, r);
  inside = mix(vec3(0.008), inside, smoothstep(pupil - 0.025, pupil + 0.025, angle));
  vec3 veins = white * (1.0 - 0.10 * smoothstep(0.5, 1.3, angle) * vec3(0.3, 1.0, 1.0));
  vec3 c = mix(inside, veins, smoothstep(rim - 0.03, rim + 0.04, angle));
  vec3 n = normalize(N);
  // The lids shade the ball from above and at its edges.
  float open = clamp(dot(d, vec3(0.0, -0.22, 0.98)), 0.0, 1.0);
  float shade = mix(0.30, 1.0, smoothstep(0.55, 0.97, open));
  vec3 light = key_colour * clamp(dot(n, key) * 0.75 + 0.25, 0.0, 1.0)
             + fill_colour * clamp(dot(n, fill) * 0.75 + 0.25, 0.0, 1.0) + ambient(n);
  vec3 bulge = normalize(mix(n, normalize(N), 0.5));
  vec3 lit = c * light * shade + key_colour * gloss(bulge, key, 260.0) * 1.6
           + 0.03 * sky * pow(max(-n.y, 0.0), 2.0);
  result = vec4(display(lit), 1.0);
}"""
)

# Which place of the head at rest is seen. Hair counts from where it covers half of what is behind.
PLACE = """#version 330
in vec2 T; in vec3 Q;
uniform sampler2D albedo; uniform float floor_alpha;
out vec4 result;
void main() {
  if (texture(albedo, vec2(T.x, 1.0 - T.y)).a < floor_alpha) discard;
  result = vec4(Q, 1.0);
}"""
