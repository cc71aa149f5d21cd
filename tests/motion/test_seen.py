"""What a motion model can have learnt of its conditions."""

import numpy as np

from vasa_jax.inference.request import Controls
from vasa_jax.motion.seen import SeenLabels, from_json, unanswered
from vasa_jax.typing import EMOTIONS


def shares(**given):
    return np.array([given.get(name, 0.0) for name in EMOTIONS], np.float32)


def asked(emotion=None, gaze=None):
    return Controls(gaze=gaze, emotion=emotion).for_clip()


def test_labels_of_clips_add_up():
    seen = SeenLabels()
    assert seen.lacking() == list(EMOTIONS)
    seen = seen.add({"emotion": shares(anger=0.6, neutral=0.4), "motion": np.zeros((3, 9))})
    seen = seen.add({"gaze": np.zeros(2), "emotion": shares(anger=0.2, fear=0.05, neutral=0.75)})
    assert seen.gaze
    assert seen.lacking() == ["contempt", "disgust", "fear", "happiness", "sadness", "surprise"]
    again = from_json(seen.to_json())
    assert again.gaze
    np.testing.assert_allclose(again.emotion, seen.emotion, atol=1e-3)
    for broken in (None, {}, {"gaze": True, "emotion": {"anger": 1}}, 3, {"emotion": "x"}):
        assert from_json(broken) is None


def test_what_is_asked_for_in_vain_is_said():
    seen = SeenLabels(True, tuple(float(v) for v in shares(happiness=0.9, neutral=1)))
    assert unanswered(seen, [asked(), asked((("happiness", 0.5),), (3.0, 4.0))]) == []
    lines = unanswered(seen, [asked((("contempt", 0.5),)), asked((("contempt", 1.0),))])
    assert len(lines) == 1
    assert "contempt" in lines[0]
    blind = seen._replace(gaze=False)
    assert unanswered(blind, [asked()]) == []
    assert "gaze" in unanswered(blind, [asked(gaze=(0.0, 0.0))])[0]
    # A bundle of before says nothing of what it learnt.
    assert unanswered(None, [asked((("contempt", 1.0),))]) == []
