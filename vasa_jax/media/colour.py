"""HDR (ITU-R BT.2100) and wide-gamut video to sRGB."""

from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np

from vasa_jax.typing import Float, PortraitArray, UInt8

__all__ = ["WHITE", "Colours", "colours_of", "to_srgb"]

WHITE = 203.0
"""cd/m^2 of HDR reference white, which becomes sRGB's white (ITU-R BT.2408, table 1). Brighter
highlights are clipped: a face is darker than white but for its glints."""
_HLG_PEAK, _HLG_GAMMA = 1000.0, 1.2
"""The nominal display of HLG and its system gamma (BT.2100, table 5, note 5f)."""

# Codes of ITU-T H.273, tables 2 and 3.
_TRANSFERS = {16: "PQ", 18: "HLG"}
_PRIMARIES = {
    9: ("BT.2020", ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))),
    12: ("Display P3", ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
}
_SRGB = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_D65 = (0.3127, 0.3290)
_UNSPECIFIED = 2
_STEPS = 65_535


class Colours(NamedTuple):
    """How a frame's numbers are to be read: H.273 codes that `to_srgb` knows."""

    transfer: int  # 16 (PQ), 18 (HLG) or 0 for that of sRGB
    primaries: int  # 9 (BT.2020), 12 (Display P3) or 0 for sRGB's

    @property
    def name(self) -> str:
        """For a note to the user, such as "PQ, BT.2020"."""
        names = [_TRANSFERS.get(self.transfer), _PRIMARIES.get(self.primaries, (None,))[0]]
        return ", ".join(name for name in names if name)


def colours_of(frame: Any) -> Colours | None:
    """What must be converted of a PyAV frame; None where it can be shown as sRGB as it is.

    BT.709's, BT.601's and unknown transfers and primaries are shown as they are, as browsers and
    `VideoWriter` do.
    """
    transfer = frame.color_trc if frame.color_trc in _TRANSFERS else 0
    primaries = frame.color_primaries if frame.color_primaries in _PRIMARIES else 0
    if transfer and frame.color_primaries == _UNSPECIFIED:
        primaries = 9  # the only ones that BT.2100 knows
    return Colours(transfer, primaries) if transfer or primaries else None


def to_srgb(rgb: UInt8[np.ndarray, "h w 3"] | np.ndarray, colours: Colours) -> PortraitArray:
    """(h, w, 3) uint16 R'G'B' of full range to uint8 sRGB.

    Reference white and what is darker keep their luminance relations; what is brighter, or outside
    of sRGB's gamut, is clipped channel by channel.
    """
    linear = _linear_table(colours.transfer)[rgb]
    if colours.transfer == 18:
        # BT.2100 table 5: the display's light is that of the scene times Y^(gamma - 1).
        luminance = cv2.transform(linear, _luminance_row(colours.primaries))
        linear *= np.power(np.maximum(luminance, 0), np.float32(_HLG_GAMMA - 1))[..., None]
        linear *= np.float32(_HLG_PEAK / WHITE)
    if colours.primaries:
        linear = cv2.transform(linear, _matrix(colours.primaries))
    index = np.clip(linear, 0, 1) * np.float32(_STEPS) + np.float32(0.5)
    return _srgb_table()[index.astype(np.uint16)]


@cache
def _linear_table(transfer: int) -> Float[np.ndarray, " n"]:
    """Linear light of every 16-bit value: 1 is white; for HLG the scene's light, 1 its peak."""
    signal = np.arange(_STEPS + 1) / _STEPS
    if transfer == 16:  # BT.2100 table 4, EOTF
        m1, m2 = 2610 / 16384, 2523 / 4096 * 128
        c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        power = signal ** (1 / m2)
        light = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
        return (light * (10_000 / WHITE)).astype(np.float32)
    if transfer == 18:  # BT.2100 table 5, inverse OETF
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        bright = (np.exp((signal - c) / a) + b) / 12
        return np.where(signal <= 0.5, signal**2 / 3, bright).astype(np.float32)
    # IEC 61966-2-1; also for BT.709's own numbers, so that greys stay as they are.
    bright = ((signal + 0.055) / 1.055) ** 2.4
    return np.where(signal <= 0.04045, signal / 12.92, bright).astype(np.float32)


@cache
def _srgb_table() -> UInt8[np.ndarray, " n"]:
    """sRGB's 8-bit value of every step of linear light (IEC 61966-2-1)."""
    light = np.arange(_STEPS + 1) / _STEPS
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(signal * 255).astype(np.uint8)


@cache
def _matrix(primaries: int) -> Float[np.ndarray, "3 3"]:
    """Linear RGB of these primaries to linear sRGB."""
    back = np.linalg.inv(_to_xyz(_SRGB))
    return (back @ _to_xyz(_PRIMARIES[primaries][1])).astype(np.float32)


@cache
def _luminance_row(primaries: int) -> Float[np.ndarray, "1 3"]:
    chromaticities = _PRIMARIES[primaries][1] if primaries else _SRGB
    return _to_xyz(chromaticities)[1:2].astype(np.float32)


def _to_xyz(primaries: tuple) -> Float[np.ndarray, "3 3"]:
    """Linear RGB to CIE XYZ with D65's Y = 1 (SMPTE RP 177, normalised primary matrix)."""
    columns = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in primaries]).T
    x, y = _D65
    white = np.array([x / y, 1.0, (1 - x - y) / y])
    return columns * np.linalg.solve(columns, white)
