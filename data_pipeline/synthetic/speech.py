"""Synthetic speech with exact phoneme times: Kokoro-82M, which predicts the durations.

The graph is StyleTTS 2 (Li et al. 2023): a predictor gives every letter a whole number of frames
of 25 ms, and the decoder draws exactly that many, so the durations are the truth of the sound.
"""

from typing import NamedTuple

import numpy as np

from vasa_jax.data_pipeline.phonemes import INDEX, LETTERS
from vasa_jax.data_pipeline.synthetic.resample import to_16k
from vasa_jax.errors import UserError
from vasa_jax.typing import FPS, SAMPLE_RATE, Float, Int

LETTER_SECONDS = 0.025
EARLY = 0.06
"""Seconds by which the sound precedes the sum of the durations (measured; deviation 0.02)."""
SILENT = -38.0
"""dB against the loud parts of a sentence, below which the end of a word is silence already."""
SHORTEST = 0.06
"""Seconds that are left of a phoneme beside a pause."""
PAUSE_SPACE = 5
"""Frames of a space from which it is a pause; shorter ones belong to the sounds beside it."""
_DURATIONS = "/encoder/Clip_output_0"
_IDS = {
    ";": 1, ":": 2, ",": 3, ".": 4, "!": 5, "?": 6, " ": 16, "A": 24, "I": 25, "O": 31, "Q": 33,
    "T": 36, "W": 39, "Y": 41, "ᵊ": 42, "a": 43, "b": 44, "d": 46, "e": 47, "f": 48, "h": 50,
    "i": 51, "j": 52, "k": 53, "l": 54, "m": 55, "n": 56, "o": 57, "p": 58, "s": 61, "t": 62,
    "u": 63, "v": 64, "w": 65, "z": 68, "ɑ": 69, "ɐ": 70, "ɒ": 71, "æ": 72, "ɔ": 76, "ð": 81,
    "ʤ": 82, "ə": 83, "ɛ": 86, "ɜ": 87, "ɡ": 92, "ɪ": 102, "ŋ": 112, "θ": 119, "ɹ": 123, "ɾ": 125,
    "ʃ": 131, "ʧ": 133, "ʊ": 135, "ʌ": 138, "ʒ": 147, "ʔ": 148, "ˈ": 156, "ˌ": 157, "ː": 158,
    "ᵻ": 177,
}  # fmt: skip
"""Kokoro's number of each letter of English and punctuation (its config.json)."""
_STRESS = {"ˈ": 2, "ˌ": 1}


class Spans(NamedTuple):
    """Phonemes one after another, without gaps: index into `phonemes.PHONEMES`, start and end in
    seconds, stress (0 none, 1 secondary, 2 primary: on the vowel)."""

    phoneme: Int[np.ndarray, " p"]
    start: Float[np.ndarray, " p"]
    end: Float[np.ndarray, " p"]
    stress: Int[np.ndarray, " p"]


class SpeechClip(NamedTuple):
    """Speech of t frames at 25 fps."""

    waveform: Float[np.ndarray, " n"]  # float32, mono, 16 kHz, in [-1, 1]
    spans: Spans | None  # phonemes over the whole clip, if known
    voice: str = ""
    text: str = ""
    exact: bool = True  # False: recognised

    @property
    def frames(self) -> int:
        return len(self.waveform) * FPS // SAMPLE_RATE


class Sentence(NamedTuple):
    """One spoken sentence: waveform (n,) float32 at 16 kHz and its phonemes."""

    waveform: Float[np.ndarray, " n"]
    spans: Spans


class Kokoro:
    """The speech model on one CPU thread; the zoo fetches its weights (119 MB) when first used.

    The same letters, voice and speed give the same sound on the same machine. Its int8 sums may
    round differently on another type of processor.
    """

    def __init__(self):
        import onnx
        import onnxruntime

        from vasa_jax import zoo

        parts = [zoo.ensure(f"kokoro-{number}").read_bytes() for number in (1, 2, 3, 4)]
        graph = onnx.load_from_string(b"".join(parts))
        kind = onnx.TensorProto.FLOAT
        graph.graph.output.append(onnx.helper.make_tensor_value_info(_DURATIONS, kind, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # the int8 export has initializers that nobody reads
        self._session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._folder = zoo.ensure("kokoro-voices").parent

    def say(self, letters: str, voice: str, speed: float = 1.0) -> Sentence:
        """Speak one sentence, written in Kokoro's letters (at most 500 of them).

        voice: a name, or several with their shares, as "af_sky:0.4+am_liam:0.6": the mean of their
        styles, which is the voice of someone else. speed: 1 is the voice's own. Raises UserError
        for an unknown voice.
        """
        letters = "".join(letter for letter in letters if letter in _IDS)
        tokens = np.array([[0, *(_IDS[letter] for letter in letters), 0]], np.int64)
        wave, frames = self._session.run(
            ["audio", _DURATIONS],
            {
                "tokens": tokens,
                "style": self._style(voice, len(letters)),
                "speed": np.array([speed], np.float32),
            },
        )
        wave = to_16k(np.asarray(wave, np.float32).ravel())
        return Sentence(wave, trim(spans_of(letters, np.ravel(frames).astype(int)), wave))

    def _style(self, voice: str, length: int) -> Float[np.ndarray, "1 256"]:
        total = np.zeros((1, 256), np.float32)
        for name, share in parts_of(voice):
            path = self._folder / f"{name}.bin"
            if not path.is_file():
                raise UserError(f"no voice {name!r}; the voices are the files in {self._folder}")
            # A voice has one style vector for every length of text.
            styles = np.frombuffer(path.read_bytes(), "<f4").reshape(-1, 1, 256)
            total += np.float32(share) * styles[min(length, len(styles) - 1)]
        return total


def parts_of(voice: str) -> list[tuple[str, float]]:
    """The voices that a voice is mixed of, with their shares. Raises UserError for shares that are
    no numbers."""
    parts = []
    for part in voice.split("+"):
        name, _, share = part.partition(":")
        try:
            parts.append((name, float(share or 1)))
        except ValueError:
            raise UserError(
                f"voice {voice!r}: {share!r} is no share; write NAME:SHARE+NAME:SHARE"
            ) from None
    return parts


def spans_of(letters: str, frames: Int[np.ndarray, " l"]) -> Spans:
    """Phoneme spans from Kokoro's letters and the frames of each (one more at either end).

    A stress mark's time belongs to the sound after it, a length mark's to the sound before, a
    short space's half to each; punctuation, long spaces and both ends are pauses. All times are
    `EARLY` before the sums of durations.
    Raises ValueError when the numbers of letters and frames do not fit.
    """
    if len(frames) != len(letters) + 2:
        raise ValueError(f"{len(frames)} durations for {len(letters)} letters")
    rows: list[list] = [["sil", float(frames[0]), 0]]
    carried, stress = 0.0, 0
    for letter, count in zip(letters, frames[1:-1], strict=True):
        pause = letter == " " and (rows[-1][0] == "sil" or count >= PAUSE_SPACE)
        if letter in LETTERS:
            rows.append([LETTERS[letter], count + carried, stress])
            carried, stress = 0.0, 0
        elif letter in _STRESS:
            carried, stress = carried + count, _STRESS[letter]
        elif letter == "ː":
            rows[-1][1] += count
        elif letter == " " and not pause:
            rows[-1][1] += count / 2
            carried += count / 2
        elif rows[-1][0] == "sil":
            rows[-1][1] += count
        else:
            rows.append(["sil", float(count), 0])
    if rows[-1][0] != "sil":
        rows.append(["sil", 0.0, 0])
    rows[-1][1] += carried + frames[-1]
    names, counts, stresses = zip(*rows, strict=True)
    edges = np.concatenate([[0.0], np.cumsum(counts)]) * LETTER_SECONDS
    edges[1:-1] = np.maximum(edges[1:-1] - EARLY, 0.0)
    return Spans(
        np.array([INDEX[name] for name in names], np.int16),
        edges[:-1],
        edges[1:],
        np.array(stresses, np.int8),
    )


def trim(spans: Spans, wave: Float[np.ndarray, " n"]) -> Spans:
    """Pauses grown over the silence that Kokoro counts to the phonemes beside them.

    The model gives a last sound up to 0.3 s, most of it silence; a mouth must not stay open there.
    """
    step = SAMPLE_RATE // 100
    blocks = wave[: len(wave) // step * step].reshape(-1, step).astype(np.float64)
    level = 10 * np.log10((blocks**2).mean(1) + 1e-12)
    loud = level > np.percentile(level, 90) + SILENT
    start, end = spans.start.copy(), spans.end.copy()
    for i in np.flatnonzero(spans.phoneme == 0):
        for j, edge, direction in ((i - 1, start[i], -1), (i + 1, end[i], 1)):
            if not 0 <= j < len(start):
                continue
            room = max(0.0, end[j] - start[j] - SHORTEST)
            moved = 0.0
            while moved + 0.01 <= room:
                block = round((edge + direction * (moved + 0.005)) * 100 - 0.5)
                if not 0 <= block < len(loud) or loud[block]:
                    break
                moved += 0.01
            if direction < 0:
                start[i] = end[j] = edge - moved
            else:
                end[i] = start[j] = edge + moved
    return spans._replace(start=start, end=end)


def frame_labels(spans: Spans, count: int) -> Int[np.ndarray, " t"]:
    """`Clip.phonemes`: what is spoken in the middle of each of `count` frames, int16."""
    middle = (np.arange(count) + 0.5) / FPS
    place = np.searchsorted(spans.end, middle, side="right")
    return spans.phoneme[np.minimum(place, len(spans.phoneme) - 1)].astype(np.int16)
