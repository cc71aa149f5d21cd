"""VASA-1 at the paper's size (arXiv 2404.10667, 3.1 and 3.2): 512 px, 204M parameters for the face
model and 29M for the motion model.

Every number that the paper leaves open is marked: MP is MegaPortraits (2207.07572), whose networks
VASA-1 builds on, by its figures 9 and 10 and its appendix; EMO is EMOPortraits' public code; ours
is a choice of this project.

    vasa-jax train pose --config vasa1 --data DATA --workdir RUN/pose
    vasa-jax train face --config vasa1 --data DATA --workdir RUN/face --pose RUN/pose
    vasa-jax train motion --config vasa1 --data CLIPS --workdir RUN/motion

Cost: 465 TFLOP for a step of stage 1 (XLA's count); the paper trained for about 7 days (stage 1)
and 3 days (stage 2) on four RTX A6000. Status: every part is tested, the training step compiles;
not trained by us, so no weights.
"""

from vasa_jax.config import (
    AudioConfig,
    Config,
    DiffusionConfig,
    FaceConfig,
    FaceLossConfig,
    FaceTrainConfig,
    MotionConfig,
    MotionTrainConfig,
    PoseTrainConfig,
)
from vasa_jax.config.losses import (
    AdversarialLoss,
    ConsistencyLoss,
    ContrastLoss,
    CrossIdentityLoss,
    FaceFeatureLoss,
    PerceptualLoss,
    PixelLoss,
    PoseLabelLoss,
    RegionLoss,
    SelfLoss,
)


def config() -> Config:
    return Config(
        name="vasa1",
        face=FaceConfig(
            image_size=512,  # 3.1
            # E_app, the appearance volume 96 x 16 x 64 x 64 (MP, fig. 9).
            appearance_stem=64,
            appearance_widths=(128, 256, 512),
            appearance_blocks_3d=6,
            volume_channels=96,
            volume_depth=16,
            # z_id: a ResNet-50 (MP) that ends in a map of 512 x 4 x 4 (EMO).
            identity_width=64,
            identity_depths=(3, 4, 6, 3),
            identity_image_size=256,
            # z_pose and z_dyn: two ResNet-18; z_dyn has 512 numbers (MP).
            motion_width=64,
            motion_depths=(2, 2, 2, 2),
            motion_image_size=256,  # ours
            dyn_dim=512,
            # Warp generators: 4 x 4 x 4 seed, embeddings of 512 (MP, fig. 9).
            embed_channels=512,
            embed_size=4,
            warp_widths=(256, 128, 64, 32),
            # G3D (MP, fig. 9; 192 for its 196, which 32 groups do not divide).
            canonical_widths=(192, 384, 512),
            # G2D (MP, fig. 9 and text: 8 blocks).
            decoder_width=512,
            decoder_blocks=8,
            decoder_widths=(256, 128, 64),
            norm_groups=32,  # EMO
        ),
        face_losses=FaceLossConfig(
            pixel=PixelLoss(weight=1.0),  # ours
            perceptual=PerceptualLoss(
                weight=20.0,  # MP
                tap_weights=(0.2, 0.2, 0.2, 0.2, 0.2),  # EMO
                scales=4,  # EMO
            ),
            self_drive=SelfLoss(weight=1.0),  # DPE (2301.06281)
            face_features=FaceFeatureLoss(weight=4.0),  # MP
            # In place of MP's gaze loss, whose network is not public: ours.
            eyes=RegionLoss(weight=5.0),
            mouth=RegionLoss(weight=5.0),
            adversarial=AdversarialLoss(
                weight=1.0,  # MP
                feature_matching=40.0,  # MP
                scales=2,  # EMO
                widths=(64, 128, 256, 512),  # EMO
            ),
            contrast=ContrastLoss(weight=2.0, scale=5.0, margin=0.2),  # MP
            # 3.1, l_consist: the distance is DPE's L1 and VGG; weight and ramp are ours.
            consistency=ConsistencyLoss(
                weight=1.0, pixel=1.0, perceptual=20.0, start=10_000, ramp=10_000
            ),
            # 3.1, l_cross_id: weight and ramp are ours.
            cross_identity=CrossIdentityLoss(weight=5.0, start=10_000, ramp=10_000),
            # MP pretrains the pose encoder and does not say how; by labels: ours.
            pose=PoseLabelLoss(weight=50.0, rotation=1.0, translation=2.0, log_scale=0.5),
            masked=True,  # MP
        ),
        audio=AudioConfig(encoder="wav2vec2", variant="base", dim=768),  # 3.2; its variant: ours
        motion=MotionConfig(
            layers=8,  # 4.1
            width=512,  # 4.1
            heads=8,  # 4.1
            ffn_multiple=4,  # by the parameter count, 29M
            window=50,  # ours
            context=10,  # ours
            time_conditioning="token",  # ours
            audio_attention="full",  # ours
        ),
        diffusion=DiffusionConfig(
            timesteps=1000,  # ours
            schedule="cosine",  # ours
            sampler="ddim",  # ours
            spacing="trailing",  # ours
            steps=50,  # 4.1
            guidance_audio=0.5,  # 4.1
            guidance_gaze=1.0,  # 4.1
        ),
        train_pose=PoseTrainConfig(  # ours
            steps=20_000,
            batch=128,
            learning_rate=1e-3,
            final_learning_rate=3e-5,
            warmup=200,
            beta1=0.9,
            weight_decay=1e-4,
            clip=5.0,
            ema=0.998,
        ),
        train_face=FaceTrainConfig(  # MP, at 512 px
            steps=300_000,
            batch=16,
            learning_rate=2e-4,
            final_learning_rate=1e-6,
            schedule="cosine",
            beta1=0.5,
            beta2=0.999,
            eps=1e-8,
            weight_decay=1e-2,
            ema=0.999,  # ours
        ),
        train_motion=MotionTrainConfig(  # optimiser and averaging: ours
            steps=200_000,
            batch=64,
            learning_rate=1e-4,
            final_learning_rate=1e-4,
            warmup=5_000,
            schedule="constant",
            beta1=0.9,
            clip=1.0,
            ema=0.9999,
            drop_condition=0.1,  # 4.1
            drop_context=0.5,  # 4.1
            drop_tail=0.1,  # ours; the paper drops the last frames of A, too
        ),
        precision="bf16",  # ours
    )
