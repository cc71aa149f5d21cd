"""Recognised phonemes: spans by hand, and the recogniser against Kokoro's true times."""

import numpy as np

from tests import needs
from tests.data_pipeline.synthetic.helpers import chatter, needs_kokoro
from vasa_jax.data_pipeline.phonemes import PHONEMES
from vasa_jax.data_pipeline.synthetic.coarticulation import articulate, enforce
from vasa_jax.data_pipeline.synthetic.performance import perform
from vasa_jax.data_pipeline.synthetic.prosody import analyse
from vasa_jax.data_pipeline.synthetic.recognise import recognise, spans_from
from vasa_jax.data_pipeline.synthetic.speech import Kokoro, SpeechClip
from vasa_jax.data_pipeline.synthetic.utterance import utter
from vasa_jax.data_pipeline.synthetic.visemes import PLACE


def test_spans_from_beginnings():
    spans = spans_from([("m", 0.5), ("ɑ", 0.6), ("p", 1.5), ("i", 1.58)], 2.0)
    names = [PHONEMES[i] for i in spans.phoneme]
    assert names == ["sil", "m", "ɑ", "sil", "p", "i", "sil"]
    np.testing.assert_allclose(spans.start, [0, 0.5, 0.6, 0.72, 1.5, 1.58, 1.7])
    np.testing.assert_allclose(spans.end, [*spans.start[1:], 2.0])
    nothing = spans_from([], 1.0)
    assert nothing.end.tolist() == [1.0]


def test_recognised_phonemes_are_no_labels():
    clip = chatter(3)
    track = perform(1, clip._replace(exact=False))
    assert (track.phonemes == -1).all()
    np.testing.assert_array_equal(track.arkit, perform(1, clip).arkit)


@needs_kokoro
def test_recognised_mouths_agree_with_true_ones():
    needs.require_module("hama", "phonemes")
    kokoro, found = Kokoro(), []
    for number, voice in enumerate(("af_heart", "am_michael", "bf_emma")):
        clip = utter(kokoro, (number, 7), voice, 120)
        prosody = analyse(clip.waveform)
        mouths = [articulate(s, prosody) for s in (clip.spans, recognise(clip.waveform))]
        true, heard = (enforce(m.arkit, m) for m in mouths)
        names = ("jawOpen", "mouthPucker", "mouthPressLeft")
        found.append([np.corrcoef(true[:, PLACE[n]], heard[:, PLACE[n]])[0, 1] for n in names])
    jaw, round_, closed = np.mean(found, 0)
    assert jaw > 0.55
    assert round_ > 0.55
    assert closed > 0.75
    silence = np.zeros(16_000, np.float32)
    assert (
        perform(0, SpeechClip(silence, recognise(silence))).arkit[:, PLACE["jawOpen"]].max() < 0.1
    )
