"""Pictures with faces, and plain labellers."""

import numpy as np
import pytest
import skimage.data

from tests import needs
from tests.data_pipeline.prepare.helpers import plain

SIZE = 256


@pytest.fixture(scope="session")
def face_picture():
    """(256, 256, 3) uint8 with one face, 90 px wide. Needs the detector's and BRISQUE's weights."""
    needs.require_weights("face-landmarker", "brisque")
    return np.ascontiguousarray(skimage.data.astronaut()[:SIZE, 96 : 96 + SIZE])


@pytest.fixture(scope="session")
def two_people(face_picture):
    """(256, 512, 3): the face twice, the second mirrored."""
    return np.concatenate([face_picture, face_picture[:, ::-1]], 1)


@pytest.fixture
def plain_labellers():
    return plain()
