"""Prints results of `vasa-jax benchmark` as Markdown.

python benchmarks/table.py benchmarks/results/FILE.json
"""

import json
import sys
from pathlib import Path

from vasa_jax.benchmark.table import report


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(report(json.loads(Path(sys.argv[1]).read_text())))


if __name__ == "__main__":
    main()
