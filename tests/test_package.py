"""What is installed is what is in the tree, and it imports where data packages are missing."""

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import vasa_jax

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _modules():
    for name in ("vasa_jax", "configs", "data_pipeline"):
        folder, prefix = ROOT / name, name if name == "vasa_jax" else f"vasa_jax.{name}"
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join([prefix, *(p for p in parts if p != "__init__")])


def _recipes():
    for path in (ROOT / "recipes").rglob("*.py"):
        yield ".".join(p for p in path.relative_to(ROOT).with_suffix("").parts if p != "__init__")


def test_every_package_of_the_tree_is_in_the_wheel():
    packages = {m.rpartition(".")[0] for m in _modules() if m != "vasa_jax"} - {""}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages


def test_requirements_are_the_base_install_and_what_data_and_training_need():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]
    extras = PROJECT["project"]["optional-dependencies"]
    groups = (PROJECT["project"]["dependencies"], extras["data"], extras["train"])
    oracle = [line for line in extras["dev"] if line.startswith("transformers")]
    assert listed == list(dict.fromkeys(line for group in (*groups, oracle) for line in group))


def test_jax_builds_with_the_slow_scatter_are_excluded_everywhere():
    groups = [PROJECT["project"]["dependencies"]]
    groups += PROJECT["project"]["optional-dependencies"].values()
    pins = [p for group in groups for p in group if p.startswith(("jax>", "jax["))]
    assert len(pins) == 4
    assert all("!=0.10.2" in pin and "!=0.11.0" in pin for pin in pins)


IMPORT_ALL = """
import sys
for name in ("grain", "tensorflow_datasets", "av", "torch", "transformers", "tensorflow",
             "moderngl", "onnx", "onnxruntime", "matplotlib", "apache_beam", "array_record",
             "tensorboardX", "huggingface_hub", "hama", "ott"):
    sys.modules[name] = None  # importing it now raises ImportError
import importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_every_module_imports_without_data_packages():
    words = [sys.executable, "-W", "error::DeprecationWarning:vasa_jax"]
    done = subprocess.run(
        [*words, "-c", IMPORT_ALL, *_modules(), *_recipes()],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr


def _imports(path: Path, modules: set[str]) -> set[str]:
    """The modules that a file imports, wherever in it; a name of a package is that module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & modules or {node.module}
    return found & modules


def test_the_import_graph_has_no_circles():
    """Imports within functions count; the package's door, which opens `pipeline` late, does not."""
    paths = {}
    for name in ("vasa_jax", "configs", "data_pipeline"):
        prefix = "" if name == "vasa_jax" else "vasa_jax."
        for path in (ROOT / name).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            paths[prefix + ".".join(part for part in parts if part != "__init__")] = path
    door = paths.pop("vasa_jax")
    assert door.name == "__init__.py"
    graph = {name: _imports(path, paths.keys()) - {name} for name, path in paths.items()}
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the circle


def test_the_package_knows_nothing_of_recipes():
    """They use it and are not installed with it."""
    for folder in ("vasa_jax", "configs", "data_pipeline"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not re.search(r"^\s*(from|import) recipes\b", path.read_text(), re.M), path


HEAVY = """
import sys
from vasa_jax.cli import build_parser
build_parser().parse_args(["generate", "-s", "a", "-a", "b", "-o", "c"])
print(*[name for name in ("flax", "cv2", "optax", "orbax", "transformers") if name in sys.modules])
"""


def test_the_command_line_parses_before_anything_heavy_is_loaded():
    done = subprocess.run([sys.executable, "-c", HEAVY], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "", done.stderr


@pytest.mark.parametrize(
    "path",
    sorted(p for name in ("vasa_jax", "recipes") for p in (ROOT / name).rglob("*.py")),
    ids=lambda p: p.name,
)
def test_house_rules(path):
    text = path.read_text()
    assert "from __future__ import annotations" not in text
    assert "jax._src" not in text
    assert "jax.experimental" not in text
    assert "pickle.load" not in text
    assert len(text.splitlines()) <= 450


def test_version_is_stated_once():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert vasa_jax.__version__.count(".") == 2


def test_paths_that_the_docs_name_exist():
    """Links, and files and modules in backticks; logs and the changelog tell of what was."""
    rooms = "vasa_jax|data_pipeline|recipes|benchmarks|configs|tests|scripts|docs"
    found = 0
    for page in [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("recipes/*/README.md")]:
        text = page.read_text()
        named = [ROOT / p for p in re.findall(rf"`((?:{rooms})/[\w./]+)`", text)]
        named += [page.parent / link for link in re.findall(r"\]\(([^)#:]+)\)", text)]
        for path in named:
            assert path.exists() or path.name == "NAME", (page.name, str(path))
        found += len(named)
    assert found > 60
