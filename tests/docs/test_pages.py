"""The pages of the site say what is so of the code, show what runs, and point to what there is."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")], key=str)
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def written():
    """The module docs/pages.py."""
    spec = importlib.util.spec_from_file_location("pages", DOCS / "pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("how-it-works.md", marks=pytest.mark.slow),
        "faults",
        pytest.param("failure-modes", marks=pytest.mark.slow),
    ],
)
def test_a_page_with_real_values_is_as_the_code_is_now(name):
    pages = written().PAGES
    (page,) = (one for one in pages if name in one)
    assert (DOCS / page).read_text() == pages[page](), "write it anew: python docs/pages.py"


@pytest.mark.parametrize("page", ["environment", "policy"])
def test_what_a_page_on_a_concept_shows_runs(page, tmp_path):
    script = tmp_path / "page.py"
    script.write_text("\n".join(BLOCK.findall((DOCS / "concepts" / f"{page}.md").read_text())))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_imports_from_faultgym_is_there(page):
    for line in re.findall(
        r"^ *(from faultgym\S* import .+)$", "\n".join(BLOCK.findall(page.read_text())), re.MULTILINE
    ):
        exec(line.strip(), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page):
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(place), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def test_every_page_stands_in_the_navigation():
    nav = (ROOT / "mkdocs.yml").read_text()
    assert not [page for page in DOCS.rglob("*.md") if page.relative_to(DOCS).as_posix() not in nav]
