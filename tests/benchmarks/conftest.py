"""The scripts of `benchmarks/` are no package: their folder is put on the path."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
