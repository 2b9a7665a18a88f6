"""The sources of the package as the checks in `tests/checks` read them: parsed once, never imported."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "agents": "agents",
    "cli": "scripts",
    "core": "core",
    "envs": "envs",
    "eval": "eval",
    "tools": "tools",
    "training": "training",
}
"""Package name -> folder of the repository."""


@dataclass(frozen=True)
class Source:
    """One file."""

    module: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """The path within the repository."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def is_package(self) -> bool:
        """Whether this is an `__init__`."""
        return self.path.name == "__init__.py"


def _read(path: Path, module: str) -> Source:
    text = path.read_text()
    return Source(module.removesuffix(".__init__"), path, text, ast.parse(text))


@cache
def package() -> dict[str, Source]:
    """Every module of faultgym by its dotted name."""
    found = [_read(path, f"faultgym.{path.stem}") for path in (ROOT / "src" / "faultgym").glob("*.py")]
    for name, folder in PACKAGES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found.append(_read(path, ".".join(("faultgym", name, *parts))))
    return {source.module: source for source in found}


@cache
def every() -> list[Source]:
    """The package, the benchmarks and the tests."""
    others = [path for folder in ("benchmarks", "tests") for path in sorted((ROOT / folder).rglob("*.py"))]
    return [*package().values(), *(_read(path, path.stem) for path in others)]


Import = ast.Import | ast.ImportFrom


def imports(node: ast.AST, inside: str = "") -> Iterator[tuple[Import, str]]:
    """Every import below a node, with the dotted name of the function that it stands in ('': none)."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, inside
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(child, f"{inside}.{child.name}".lstrip("."))
        else:
            yield from imports(child, inside)


def imported(node: Import, source: Source) -> list[str]:
    """The modules that an import names: of `from a import b`, `a.b` where that is a module, or else `a`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        parts = source.module.split(".")
        kept = parts[: len(parts) - node.level + source.is_package]
        base = ".".join([*kept, *filter(None, [base])])
    known = package()
    return sorted({f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names})


def definitions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Every class and function below a node, nested ones too, by its dotted name."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name, child
            yield from definitions(child, f"{prefix}{child.name}.")
        else:
            yield from definitions(child, prefix)
