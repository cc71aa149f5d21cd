"""Small datasets of clips and of swaps, made once a module."""

import pytest

from tests.data_pipeline.helpers import make_clip, make_group
from tests.data_pipeline.loading.helpers import SIZE, dataset_of
from vasa_jax.data_pipeline.datasets.write import write_swaps


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Ten clips of seven people; two without labels."""
    people = (0, 0, 0, 1, 1, 2, 3, 4, 5, 6)
    return [
        make_clip(n, f"person{who}", size=SIZE, labels=n not in (4, 7))
        for n, who in enumerate(people)
    ]


@pytest.fixture(scope="module")
def folder(clips, tmp_path_factory):
    return dataset_of(clips, tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="module")
def swaps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swaps")
    write_swaps(folder, [make_group(n, size=SIZE) for n in range(3)])
    return folder
