"""Which real video a video is compared with, and who is seen."""

import pytest

from vasa_jax.errors import UserError
from vasa_jax.score.pairing import group_videos, person_of, read_people, videos_of


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def test_pairs_by_name_and_by_the_number_of_a_sample(tmp_path):
    real = touch(tmp_path / "real", "anna/a.mov", "anna/b.mp4", "take-2.mp4")
    ours = touch(tmp_path / "ours", "anna/a-0.mp4", "anna/a-1.mp4", "take-2.mp4", "other.mp4")
    rival = touch(tmp_path / "rival", "anna/a.seed3.avi", "take-2_s1.mp4")
    groups = group_videos({"ours": ours, "rival": rival}, real)
    named = {g.real.name: [(v.system, v.name) for v in g.videos] for g in groups if g.real}
    assert named == {
        "anna/a": [("ours", "anna/a-0"), ("ours", "anna/a-1"), ("rival", "anna/a.seed3")],
        "anna/b": [],
        "take-2": [("ours", "take-2"), ("rival", "take-2_s1")],
    }
    (alone,) = (g.videos for g in groups if g.real is None)
    assert [(v.name, v.reference) for v in alone] == [("other", None)]
    assert {v.person for g in groups for v in g.videos} == {"anna", "take-2", "other"}


def test_two_single_files_are_a_pair(tmp_path):
    touch(tmp_path, "made.mp4", "truth.mp4")
    (group,) = group_videos({"made": tmp_path / "made.mp4"}, tmp_path / "truth.mp4")
    assert (group.real.name, group.videos[0].name) == ("truth", "made")


def test_people(tmp_path):
    assert person_of("id00012/21Uxsk56VDQ/00001", None) == "id00012"
    assert person_of("id00012--21Uxsk56VDQ--00001", None) == "id00012"
    assert person_of("anna/monday/3", None) == "anna"
    assert person_of("3", None) == "3"
    file = tmp_path / "people.csv"
    file.write_text("# who\nclip, Anna B.\nanna/3\tCleo\n\n")
    people = read_people(file)
    assert person_of("clip-2", people) == person_of("clip", people) == "Anna B."
    assert person_of("anna/3", people) == "Cleo"
    with pytest.raises(UserError, match="no line for the video 'more'"):
        person_of("more", people)
    for text, said in (("clip\n", "line 1"), ("a,b\na,c\n", "'a' has two people")):
        file.write_text(text)
        with pytest.raises(UserError, match=said):
            read_people(file)
    with pytest.raises(UserError, match="cannot be read"):
        read_people(tmp_path / "none")


def test_mistakes(tmp_path):
    folder = touch(tmp_path / "v", "a.mp4", "a.mov")
    with pytest.raises(UserError, match="differ in their endings alone"):
        videos_of(folder)
    with pytest.raises(UserError, match="no such folder"):
        videos_of(tmp_path / "none")
    with pytest.raises(UserError, match="cannot be called 'real'"):
        group_videos({"real": folder}, None)
