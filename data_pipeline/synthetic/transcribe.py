"""How `sentences.tsv` was made: English text to Kokoro's phonemes by espeak-ng.

Run once, when a sentence is added: `python -m vasa_jax.data_pipeline.synthetic.transcribe FILE`
reads one sentence a line (further columns are ignored) and writes FILE back with the columns
text, American, British. espeak-ng is GPL-3 software: it is run here as a tool, nothing else in the
project needs it, and what it prints is not covered by its licence.
"""

import re
import subprocess
import sys
from pathlib import Path

from vasa_jax.errors import UserError

DIALECTS = {"a": "en-us", "b": "en-gb"}
_TIED = {
    "a^ɪ": "I",
    "a^ʊ": "W",
    "e^ɪ": "A",
    "ɔ^ɪ": "Y",
    "o^ʊ": "O",
    "ə^ʊ": "Q",
    "d^ʒ": "ʤ",
    "t^ʃ": "ʧ",
    "ə^l": "ᵊl",
    "i^ə": "iə",
    "e^ə": "ɛə",
    "n̩": "ən",
    "l̩": "əl",
}
_SINGLE = {
    "ɾ": "T",
    "ɚɹ": "əɹ",
    "ɚ": "əɹ",
    "ɝ": "ɜɹ",
    "ʔ": "t",
    "ɬ": "l",
    "x": "k",
    "ç": "k",
    "r": "ɹ",
    "g": "ɡ",
}
_AMERICAN = {"ɜː": "ɜɹ", "ː": ""}


def transcribe(text: str, dialect: str) -> str:
    """Kokoro letters of an English sentence, its punctuation kept.

    dialect: 'a' American or 'b' British. Raises UserError without espeak-ng.
    """
    pieces = re.split(r"([,.;:!?]+ ?)", text.strip())
    return "".join(p if i % 2 else _clause(p, dialect) for i, p in enumerate(pieces)).strip()


def _clause(text: str, dialect: str) -> str:
    if not text.strip():
        return ""
    try:
        done = subprocess.run(
            ["espeak-ng", "-v", DIALECTS[dialect], "--ipa", "--tie=^", "-q", text],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        raise UserError(
            "espeak-ng does not run here; install it (apt-get install espeak-ng)"
        ) from None
    ipa = " ".join(done.stdout.split())
    for table in (_TIED, _AMERICAN if dialect == "a" else {}, _SINGLE):
        for old, new in table.items():
            ipa = ipa.replace(old, new)
    return ipa.replace("^", "")


def main(path: Path) -> None:
    lines = [line.split("\t")[0] for line in path.read_text().splitlines() if line.strip()]
    rows = ["\t".join((text, *(transcribe(text, d) for d in DIALECTS))) for text in lines]
    path.write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
