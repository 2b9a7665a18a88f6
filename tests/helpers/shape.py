"""What the sources must not have: each function gives the offences it finds, as lines that stay the same while the
offence does (no line numbers, no sizes), so that `tests/checks/known.json` can list those that are still to be mended.
"""

import ast
import itertools
import re
from collections import defaultdict

from helpers.sources import definitions, every, imported, imports, package

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
COPIED_LINES = 12
OPTIONAL = {
    *("accelerate", "bitsandbytes", "datasets", "datasketch", "gguf", "huggingface_hub", "peft", "pyarrow", "ray"),
    *("safetensors", "scipy", "sklearn", "tensorboard", "tokenizers", "torch", "transformers", "trl", "vllm", "yaml"),
}
"""Heavy libraries of extras: those who need none of them must not have to install or to load them."""
START_UP = {"gymnasium", "numpy", "pydantic", "rich", "starlette", "tantivy", "typer", "uvicorn"}
"""Heavy libraries that `faultgym --help` and `import faultgym.envs` do without, to start in a tenth of a second."""
TRAINERS = "faultgym.training.trainers."
SECTIONS = ("Args", "Returns", "Raises", "Yields", "Example")


def circles() -> set[str]:
    """Modules that import themselves by way of others; imports for types and inside functions count."""
    needs = {
        source.module: {
            name for node, _ in imports(source.tree) for name in imported(node, source) if name in package()
        }
        - {source.module}
        for source in package().values()
    }

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        todo = list(needs[start])
        while todo:
            module = todo.pop()
            if module not in found:
                found.add(module)
                todo += needs[module]
        return found

    return {module for module in needs if module in reached(module)}


def inner_imports() -> set[str]:
    """Imports inside functions, but of heavy libraries and of the trainers, which rest on them.

    Verbs are excepted too: `faultgym --help` has to start before what they need is loaded.
    """
    found = set()
    for source in package().values():
        if source.module.startswith("faultgym.cli."):
            continue
        for node, inside in imports(source.tree):
            for name in imported(node, source) if inside else ():
                heavy = name.partition(".")[0] in OPTIONAL | START_UP or f"{name}.".startswith(TRAINERS)
                if not heavy:
                    found.add(f"{source.module}: {inside} imports {name}")
    return found


def long_files() -> set[str]:
    """Files with too many lines."""
    return {source.name for source in every() if source.text.count("\n") > LONGEST_FILE}


def long_functions() -> set[str]:
    """Functions with too many lines, docstring and decorators not counted."""
    found = set()
    for source in every():
        for name, node in definitions(source.tree):
            if isinstance(node, ast.ClassDef):
                continue
            first = node.body[0]
            doc = first.end_lineno - first.lineno + 1 if ast.get_docstring(node, clean=False) is not None else 0
            if node.end_lineno - node.lineno + 1 - doc > LONGEST_FUNCTION:
                found.add(f"{source.name}: {name}")
    return found


def copies() -> set[str]:
    """Pairs of files of the package, or one file twice, that share lines in a row; imports and comments not counted."""
    places = defaultdict(set)
    for source in package().values():
        skipped = {
            line
            for node, _ in imports(source.tree)
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }
        lines = [
            text
            for number, line in enumerate(source.text.splitlines(), 1)
            if (text := re.sub(r"\s+", " ", line.partition("  # ")[0].strip()))
            and not text.startswith("#")
            and number not in skipped
        ]
        for at in range(len(lines) - COPIED_LINES + 1):
            places["\n".join(lines[at : at + COPIED_LINES])].add((source.name, at))
    found = set()
    for where in places.values():
        names = sorted(name for name, _ in where)
        found |= {f"{one} and {other}" for one, other in itertools.pairwise(names)}
    return found


def class_names() -> set[str]:
    """Names of classes that more than one module of the package defines; private ones are nobody else's business."""
    where = defaultdict(set)
    for source in package().values():
        for name, node in definitions(source.tree):
            if isinstance(node, ast.ClassDef) and "." not in name and not name.startswith("_"):
                where[name].add(source.module)
    return {name for name, modules in where.items() if len(modules) > 1}


def undocumented() -> set[str]:
    """Public classes and functions, methods included, without a docstring."""
    return {
        f"{module}: {name}"
        for module, name, node in _public()
        if ast.get_docstring(node) is None and not name.rpartition(".")[2].startswith("_")
    }


def docstring_shape() -> set[str]:
    """Public docstrings whose first line is no sentence, or with sections that are unknown or name no parameter."""
    found = set()
    for module, name, node in _public():
        for wrong in _wrong_with(ast.get_docstring(node) or "Nothing.", node):
            found.add(f"{module}: {name}: {wrong}")
    return found


def _public():
    """(module, name, node) of what a module offers: no name with an underscore, nothing inside a function."""
    for source in package().values():
        functions: list[str] = []
        for name, node in definitions(source.tree):
            nested = any(name.startswith(f"{one}.") for one in functions)
            if not isinstance(node, ast.ClassDef):
                functions.append(name)
            if not nested and not any(part.startswith("_") for part in name.split(".")):
                yield source.module, name, node


def _wrong_with(doc: str, node: ast.AST) -> list[str]:
    first, _, rest = doc.partition("\n")
    found = []
    if not rest.startswith("\n") and rest:
        first = doc.partition("\n\n")[0]
    if not first.rstrip().endswith((".", "?", "!", ":", ".)", '."')):
        found.append("the first line is no sentence")
    for title, body in re.findall(r"^([A-Z]\w+):\n((?:    .*\n?|\n)+)", rest, re.M):
        if title not in SECTIONS:
            found.append(f"no section is called {title}")
        elif title == "Args":
            named = re.findall(r"^    \*{0,2}(\w+)(?: \([^)]*\))?:", body, re.M)
            found += [f"Args names {name}, which is no parameter" for name in named if name not in _parameters(node)]
    return found


def _parameters(node: ast.AST) -> set[str]:
    """What a function takes; of a class, what its `__init__` takes or its fields."""
    if isinstance(node, ast.ClassDef):
        fields = {
            one.target.id for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        }
        return fields.union(*(_parameters(one) for one in node.body if getattr(one, "name", "") == "__init__"))
    arguments = node.args
    every_one = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {one.arg for one in every_one if one}


CHECKS = {
    check.__name__: check
    for check in (
        circles,
        inner_imports,
        long_files,
        long_functions,
        copies,
        class_names,
        undocumented,
        docstring_shape,
    )
}
