"""CAPP's loss against transformers' CLIP, and its negatives over the devices of a mesh."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from transformers.models.clip import modeling_clip

from vasa_jax.capp.loss import accuracy, contrastive_loss


def _embeddings(rows, width=24, seed=0):
    draw = np.random.default_rng(seed)
    found = draw.standard_normal((3, rows, width)).astype(np.float32)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


@pytest.mark.parametrize("rows", [1, 2, 33])
def test_the_loss_is_clips(rows):
    pose, audio, _ = _embeddings(rows)
    scale = np.float32(np.log(14.3))
    found = contrastive_loss(jnp.asarray(pose), jnp.asarray(audio), jnp.asarray(scale))
    logits = torch.from_numpy(audio) @ torch.from_numpy(pose).T * float(np.exp(scale))
    want = modeling_clip.image_text_contrastive_loss(logits)
    np.testing.assert_allclose(float(found), float(want), rtol=2e-6, atol=1e-6)


def test_its_gradients_are_clips():
    pose, audio, _ = _embeddings(9)
    found = jax.grad(contrastive_loss, (0, 1, 2))(
        jnp.asarray(pose), jnp.asarray(audio), jnp.asarray(np.float32(1.5))
    )
    leaves = [torch.tensor(x, requires_grad=True) for x in (pose, audio, np.float32(1.5))]
    logits = leaves[1] @ leaves[0].T * leaves[2].exp()
    modeling_clip.image_text_contrastive_loss(logits).backward()
    for mine, theirs in zip(found, leaves, strict=True):
        np.testing.assert_allclose(mine, theirs.grad.numpy(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("count", [1, 4])
def test_a_sounds_own_negative_is_as_many_more_classes_of_that_sound(count):
    pose, audio, others = _embeddings(7)
    scale = jnp.asarray(np.float32(2.0))
    found = contrastive_loss(
        *map(jnp.asarray, (pose, audio)), scale, jnp.asarray(others), float(count)
    )
    logits = torch.from_numpy(audio @ pose.T) * float(np.exp(2.0))
    own = torch.from_numpy((audio * others).sum(-1, keepdims=True)) * float(np.exp(2.0))
    right = torch.arange(7)
    want = torch.nn.functional.cross_entropy(torch.cat([logits, *count * [own]], 1), right)
    want = (want + torch.nn.functional.cross_entropy(logits.T, right)) / 2
    np.testing.assert_allclose(float(found), float(want), rtol=2e-6)


def test_the_temperature_is_bounded():
    pose, audio, _ = map(jnp.asarray, _embeddings(5))
    at = [contrastive_loss(pose, audio, jnp.asarray(np.float32(s))) for s in (np.log(100), 9.0)]
    np.testing.assert_allclose(at[0], at[1], rtol=1e-5)


def test_accuracy_is_the_share_of_sounds_that_find_their_pose():
    pose = jnp.eye(4)
    audio = jnp.asarray(np.eye(4, dtype=np.float32)[[0, 1, 3, 2]])
    assert float(accuracy(pose, audio)) == 0.5
