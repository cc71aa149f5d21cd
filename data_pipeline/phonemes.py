"""English phonemes as clips are labelled with them, and Kokoro's letters for them."""

PAUSE = "sil"
CONSONANTS = (
    "p",
    "b",
    "m",
    "f",
    "v",
    "θ",
    "ð",
    "t",
    "d",
    "ɾ",
    "n",
    "l",
    "k",
    "ɡ",
    "ŋ",
    "tʃ",
    "dʒ",
    "ʃ",
    "ʒ",
    "s",
    "z",
    "ɹ",
    "j",
    "w",
    "h",
    "ʔ",
)
VOWELS = (
    "i",
    "ɪ",
    "ɛ",
    "æ",
    "ɑ",
    "ɒ",
    "ɔ",
    "ʌ",
    "ə",
    "ɜ",
    "ʊ",
    "u",
    "eɪ",
    "aɪ",
    "ɔɪ",
    "oʊ",
    "əʊ",
    "aʊ",
)
PHONEMES = (PAUSE, *CONSONANTS, *VOWELS)
"""`Clip.phonemes` indexes this tuple; 0 is a pause. The order is part of the data format."""

BILABIAL = frozenset("pbm")
LABIODENTAL = frozenset("fv")
SIBILANT = frozenset(("s", "z", "ʃ", "ʒ", "tʃ", "dʒ"))
ROUNDED = frozenset(("u", "ʊ", "w", "ɔ", "ɒ", "oʊ", "əʊ", "ɔɪ", "ʃ", "ʒ", "tʃ", "dʒ"))
"""Lips stick out: these start early and end late (JALI, Edwards et al. 2016, section 4.2)."""
VOICELESS = frozenset(("p", "t", "k", "f", "θ", "s", "ʃ", "tʃ", "h", "ʔ"))

LETTERS = {
    **{letter: letter for letter in PHONEMES if len(letter) == 1},
    "ʤ": "dʒ", "ʧ": "tʃ", "T": "ɾ", "A": "eɪ", "I": "aɪ", "O": "oʊ", "Q": "əʊ", "W": "aʊ",
    "Y": "ɔɪ", "a": "æ", "e": "ɛ", "o": "ɔ", "ɐ": "ə", "ᵊ": "ə", "ᵻ": "ɪ",
}  # fmt: skip
"""Kokoro's letter to a phoneme; it writes affricates and diphthongs with one letter each (the
misaki alphabet), and weak vowels with signs of their own."""

INDEX = {name: i for i, name in enumerate(PHONEMES)}
