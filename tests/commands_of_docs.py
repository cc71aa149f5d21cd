"""Commands as the documentation prints them."""

import re
import shlex
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def blocks(name: str) -> list[list[list[str]]]:
    """Of every code block of a page that starts with `vasa-jax`: its commands, each as words
    without the program's name."""
    text = (DOCS / name).read_text()
    found = re.findall(r"^```(?:sh)?\n(.*?)^```$", text, re.M | re.S)
    return [
        [shlex.split(line, comments=True)[1:] for line in lines.splitlines() if line.strip()]
        for lines in (block.replace("\\\n", " ") for block in found)
        if lines.startswith("vasa-jax ")
    ]
