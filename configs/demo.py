"""The weights that ship: 256 px, small enough to train and to run on a laptop's CPU.

Trained by `scripts/train_demo.sh` (recipes/demo) on synthetic heads, in days of two CPU cores; the
model card is vasa_jax/weights/demo/README.md. Losses and training sections are those of the
recipe's main generator stage, of its pose stage and of its stage 2:

    vasa-jax train pose --config demo --data DATASET --workdir POSE
    vasa-jax train face --config demo --data GROUPS --swaps --pose POSE --workdir FACE
    vasa-jax train motion --config demo --data CLIPS --workdir MOTION

`train face` is the generator's stage alone, on rendered transfers; the recipe trains the dynamics
encoder before. What VASA-1 does not have is in `extensions`, in `face_losses.transfer` and marked
in `train_*`.

The networks see and draw 128 px, but for the motion encoders: at 128 px an eye is 12 pixels wide.
The portrait's own pixels, which the networks move, have 256. The volume is a quarter of the
networks' image, whatever that is: the same parameters train at 64 px first.
"""

from vasa_jax.config import (
    AudioConfig,
    Config,
    DiffusionConfig,
    FaceConfig,
    FaceExtensions,
    FaceLossConfig,
    FaceTrainConfig,
    MotionConfig,
    MotionExtensions,
    MotionTrainConfig,
    PoseTrainConfig,
)
from vasa_jax.config.extensions import TransferLoss
from vasa_jax.config.losses import (
    AdversarialLoss,
    ConsistencyLoss,
    ContrastLoss,
    CrossIdentityLoss,
    FaceFeatureLoss,
    PerceptualLoss,
    PoseLabelLoss,
    RegionLoss,
    SelfLoss,
)


def config() -> Config:
    return Config(
        name="demo",
        face=FaceConfig(
            image_size=256,
            appearance_stem=16,
            appearance_widths=(16, 48),
            appearance_blocks_3d=1,
            volume_channels=16,
            volume_depth=8,
            identity_width=32,
            identity_depths=(1, 1, 1, 1),
            identity_image_size=64,
            motion_width=32,
            motion_depths=(2, 2, 2, 2),
            motion_image_size=160,
            dyn_dim=64,
            embed_channels=128,
            warp_widths=(64, 48, 32),
            canonical_widths=(16, 16, 32),
            decoder_width=96,
            decoder_blocks=2,
            decoder_widths=(48, 16),
            norm_groups=8,
            extensions=FaceExtensions(
                pose_flip_average=True,
                dyn_crop=112,
                warp_size=16,
                blendshape_maps=32,
                decoder_embed=True,
                compositing=True,
                network_size=128,
                portrait_features=32,
                background=True,
            ),
        ),
        face_losses=FaceLossConfig(
            # Drivers are rendered transfers, so these are supervised; the mouth counts most.
            eyes=RegionLoss(weight=2.0, perceptual=0.0),
            mouth=RegionLoss(weight=6.0, perceptual=0.0),
            transfer=TransferLoss(
                weight=1.0,
                perceptual=0.0,
                motion_weighted=4.0,
                decoded=1.0,
                layer_assignment=0.5,
                flow=10.0,
                flow_regions=2.0,
                blend_masks=0.4,
                foreground=0.2,
            ),
            # VASA-1's other losses: too slow on two cores, or replaced by the targets above.
            perceptual=PerceptualLoss(weight=0.0),
            self_drive=SelfLoss(weight=0.0),
            face_features=FaceFeatureLoss(weight=0.0),
            adversarial=AdversarialLoss(weight=0.0, feature_matching=0.0),
            contrast=ContrastLoss(weight=0.0),
            consistency=ConsistencyLoss(weight=0.0),
            cross_identity=CrossIdentityLoss(weight=0.0),
            pose=PoseLabelLoss(weight=0.0),  # the encoder is frozen
            masked=False,
        ),
        audio=AudioConfig(encoder="mel", variant="", dim=192),
        motion=MotionConfig(
            layers=6,
            width=256,
            extensions=MotionExtensions(residual_prior=True, neutral_start=0.4),
        ),
        diffusion=DiffusionConfig(steps=25),
        train_pose=PoseTrainConfig(
            steps=8_000,
            batch=32,
            learning_rate=7e-4,
            final_learning_rate=7e-4 / 30,
            log_every=25,
            sample_every=500,
            save_every=500,
            keep=1,
        ),
        train_face=FaceTrainConfig(
            steps=8_000,
            batch=4,
            learning_rate=5e-4,
            final_learning_rate=5e-4 / 30,
            warmup=200,
            beta1=0.9,
            weight_decay=1e-4,
            clip=5.0,
            ema=0.998,
            freeze_pose=True,
            freeze_dyn=True,
            arkit_code=True,
            encoded_source=True,
            log_every=25,
            sample_every=500,
            save_every=500,
            keep=1,
        ),
        train_motion=MotionTrainConfig(
            steps=8_000,
            batch=16,
            learning_rate=4e-4,
            final_learning_rate=4e-4 / 30,
            warmup=300,
            schedule="cosine",
            ema=0.999,
            velocity_weight=10.0,  # without it heads shake and jump where windows meet
            augment_audio=True,
            log_every=50,
            sample_every=10_000_000,
            save_every=500,
            keep=1,
        ),
        precision="f32",
    )
