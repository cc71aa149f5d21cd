"""Every part at its smallest: for tests and first steps, not for pictures."""

from vasa_jax.config import (
    AudioConfig,
    Config,
    DiffusionConfig,
    FaceConfig,
    FaceLossConfig,
    FaceTrainConfig,
    InferenceConfig,
    MeshConfig,
    MotionConfig,
    MotionTrainConfig,
    PoseTrainConfig,
)
from vasa_jax.config.losses import (
    AdversarialLoss,
    ConsistencyLoss,
    CrossIdentityLoss,
    FaceFeatureLoss,
    PerceptualLoss,
)


def config() -> Config:
    return Config(
        name="debug",
        face=FaceConfig(
            image_size=64,
            appearance_stem=8,
            appearance_widths=(8, 16),
            appearance_blocks_3d=1,
            volume_channels=8,
            volume_depth=4,
            identity_width=8,
            identity_depths=(1, 1),
            identity_image_size=64,
            motion_width=8,
            motion_depths=(1, 1),
            motion_image_size=64,
            dyn_dim=16,
            embed_channels=16,
            warp_widths=(16, 8),
            canonical_widths=(8, 16, 16),
            decoder_width=16,
            decoder_blocks=1,
            decoder_widths=(16, 8),
            norm_groups=4,
        ),
        # Without the losses whose frozen networks must be downloaded first.
        face_losses=FaceLossConfig(
            perceptual=PerceptualLoss(weight=0.0),
            face_features=FaceFeatureLoss(weight=0.0),
            cross_identity=CrossIdentityLoss(weight=0.0),
            consistency=ConsistencyLoss(perceptual=0.0, start=5, ramp=5),
            adversarial=AdversarialLoss(weight=0.1, feature_matching=1.0, widths=(8, 16)),
        ),
        audio=AudioConfig(
            encoder="mel", variant="", dim=32, mel_bins=40, mel_width=32, mel_blocks=2
        ),
        motion=MotionConfig(layers=2, width=32, heads=2, ffn_multiple=2, window=20, context=5),
        diffusion=DiffusionConfig(timesteps=100, steps=4),
        inference=InferenceConfig(decode_batch=16, windows_per_call=4),
        train_pose=PoseTrainConfig(
            steps=20,
            batch=8,
            learning_rate=3e-3,
            final_learning_rate=1e-6,
            warmup=0,
            beta1=0.9,
            weight_decay=1e-2,
            clip=0.0,
            ema=0.99,
            log_every=5,
            sample_every=20,
            save_every=10,
            keep=2,
        ),
        train_face=FaceTrainConfig(
            steps=20, batch=4, ema=0.99, log_every=5, sample_every=20, save_every=10, keep=2
        ),
        train_motion=MotionTrainConfig(
            steps=20,
            batch=8,
            learning_rate=1e-3,
            final_learning_rate=1e-3,
            schedule="constant",
            warmup=5,
            beta1=0.9,
            clip=1.0,
            ema=0.99,
            log_every=5,
            sample_every=20,
            save_every=10,
            keep=2,
        ),
        mesh=MeshConfig(fsdp_floor=2**10),
        precision="f32",
    )
