"""The published rows of VASA-1 (arXiv 2404.10667, tables 1 and 2), and what they compare with."""

from typing import NamedTuple


class Row(NamedTuple):
    """Figures of one system on one set; None is not reported."""

    system: str
    confidence: float  # SC
    distance: float  # SD
    capp: float
    delta_pose: float
    fvd: float | None  # of 25 frames


VOXCELEB2 = (
    Row("MakeItTalk", 4.176, 15.513, -0.051, 0.210, None),
    Row("Audio2Head", 6.172, 8.470, 0.246, 0.260, None),
    Row("SadTalker", 5.843, 8.813, 0.441, 0.275, None),
    Row("VASA-1", 8.841, 6.312, 0.468, 0.304, None),
    Row("real videos", 7.640, 7.189, 0.588, 0.505, None),
)
ONE_MIN = (
    Row("MakeItTalk", -0.123, 14.340, 0.002, 0.190, 304.833),
    Row("Audio2Head", 5.992, 8.211, 0.205, 0.239, 209.772),
    Row("SadTalker", 5.501, 8.850, 0.383, 0.252, 214.507),
    Row("VASA-1", 7.957, 6.635, 0.465, 0.316, 105.884),
    Row("real videos", 7.192, 7.254, 0.559, 0.405, 29.245),
)
SETS = {
    "VoxCeleb2 subset (46 people, 460 clips)": VOXCELEB2,
    "OneMin-32 (17 people, 32 clips)": ONE_MIN,
}
COLUMNS = ("SC ↑", "SD ↓", "CAPP ↑", "ΔP", "FVD25 ↓")
COMPARABLE = (
    "What can be compared with these rows: SC and SD, where --syncnet gave the public weights and "
    "the clips are from the same set (the definition is theirs; the face crop is ours, and one "
    "codec goes before it). What cannot: av_sync and capp_synthetic are other networks; the paper "
    "names neither norm, unit nor pose reader of ΔP, and its FVD depends on the number of clips "
    "(2,000 each), so those are to be compared with the real videos' row of the same table alone."
)
