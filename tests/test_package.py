"""What gets installed: one package, every folder of it, nothing else, and no model library at import."""

import ast
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import faultgym

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {
    "agents": "agents",
    "cli": "scripts",
    "core": "core",
    "envs": "envs",
    "eval": "eval",
    "tools": "tools",
    "training": "training",
}
"""Package name -> folder of the repository."""
MODEL_LIBRARIES = (
    "accelerate",
    "bitsandbytes",
    "datasets",
    "peft",
    "ray",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
    "vllm",
)
DATA_LIBRARIES = ("datasketch", "huggingface_hub", "pyarrow", "safetensors", "scipy", "sklearn", "yaml")
"""What building data sets and training need besides."""

in_a_checkout = pytest.mark.skipif(not (ROOT / "scripts").is_dir(), reason="the sdist has no such folders")


def sources() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    src = ROOT / "src"
    found = {}
    for folder in [src / "faultgym", *(src / "faultgym" / name for name in FOLDERS)]:
        for path in folder.glob("*.py") if folder.name == "faultgym" else folder.rglob("*.py"):
            parts = path.relative_to(src).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def build(kind: str, tree: Path, out: Path) -> Path:
    """Build a wheel or an sdist of a tree, without isolation: no network."""
    out.mkdir()
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})"
    subprocess.run([sys.executable, "-P", "-c", code], cwd=tree, check=True, capture_output=True)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of the tree, symlinks kept: setuptools writes beside the sources."""
    copy = tmp_path_factory.mktemp("tree") / "faultgym"
    skip = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "runs")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=skip)
    return copy


@pytest.fixture(scope="module")
def wheel(tree, tmp_path_factory) -> set[str]:
    """The names in the wheel built from the tree."""
    return set(zipfile.ZipFile(build("wheel", tree, tmp_path_factory.mktemp("w") / "out")).namelist())


@pytest.fixture(scope="module")
def sdist(tree, tmp_path_factory) -> Path:
    """The unpacked sdist."""
    where = tmp_path_factory.mktemp("s")
    with tarfile.open(build("sdist", tree, where / "out")) as archive:
        archive.extractall(where, filter="data")
    (unpacked,) = (path for path in where.iterdir() if path.name != "out")
    return unpacked


@in_a_checkout
@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_each_folder_is_a_relative_symlink_into_the_repository(name):
    link = ROOT / "src" / "faultgym" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..", "..", FOLDERS[name])
    assert link.resolve() == ROOT / FOLDERS[name]


@in_a_checkout
def test_the_wheel_holds_what_is_not_python_too(wheel):
    for name, folder in FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix not in {".py", ".pyc"}:
                assert f"faultgym/{name}/{path.relative_to(ROOT / folder)}" in wheel


@in_a_checkout
def test_every_folder_with_modules_is_a_package():
    for folder in FOLDERS.values():
        for path in (ROOT / folder).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), f"{path.parent} has no __init__.py"


def test_the_wheel_holds_every_module(wheel):
    for module, path in sources().items():
        base = module.replace(".", "/")
        assert (f"{base}/__init__.py" if path.name == "__init__.py" else f"{base}.py") in wheel
    assert "faultgym/py.typed" in wheel


def test_the_wheel_installs_one_top_level_package_and_nothing_else(wheel):
    assert {name.partition("/")[0] for name in wheel if ".dist-info/" not in name} == {"faultgym"}


def test_the_wheel_holds_the_licence_and_the_command(wheel):
    (info,) = {name.partition("/")[0] for name in wheel if ".dist-info/" in name}
    assert f"{info}/licenses/LICENSE" in wheel
    assert f"{info}/entry_points.txt" in wheel


def test_the_sdist_builds_the_same_wheel(sdist, wheel, tmp_path):
    assert set(zipfile.ZipFile(build("wheel", sdist, tmp_path / "out")).namelist()) == wheel


def test_the_sdist_holds_the_tests_and_what_runs_them(sdist):
    for path in [
        *ROOT.glob("tests/**/*.py"),
        *ROOT.glob("benchmarks/**/*.py"),
        ROOT / "Makefile",
        ROOT / "constraints.txt",
    ]:
        assert (sdist / path.relative_to(ROOT)).is_file(), path


def test_the_installed_package_is_this_version():
    assert metadata.version("faultgym") == faultgym.__version__


def test_every_requirement_is_pinned_within_its_range():
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if pin := line.partition("#")[0].strip():
            name, version = pin.split("==")
            pins[name] = version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    for line in [*project["dependencies"], *(one for extra in extras for one in extra)]:
        requirement = Requirement(line)
        if requirement.name != "faultgym":
            assert requirement.specifier.contains(pins[requirement.name]), line


def test_what_the_core_imports_is_declared():
    declared = {"faultgym", "starlette", "uvicorn", *MODEL_LIBRARIES, *DATA_LIBRARIES} | {
        Requirement(line).name.replace("-", "_")
        for line in metadata.requires("faultgym") or []
        if "extra ==" not in line
    }
    for module, path in sources().items():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                top = name.partition(".")[0]
                assert top in sys.stdlib_module_names or top in declared, f"{module} imports {name}"


def test_no_module_of_the_core_imports_a_model_or_data_library():
    modules = [name for name in sources() if not name.endswith("__main__")]
    code = (
        "import importlib, sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {MODEL_LIBRARIES + DATA_LIBRARIES!r}:\n"
        "            raise AssertionError(f'{name} was imported')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"for name in {modules!r}:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except AssertionError as exc:\n"
        "        raise SystemExit(f'{name}: {exc}')\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("bare", ["agents", "envs", "training", "tools"])
def test_the_bare_folder_names_are_not_importable(bare):
    code = f"import importlib.util; raise SystemExit(importlib.util.find_spec({bare!r}) is not None)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
