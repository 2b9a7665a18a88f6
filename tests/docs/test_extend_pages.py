"""The pages that say how to extend the package: short, and their code runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("extend-*.md"))
MOST_LINES = 30


def test_there_are_pages() -> None:
    assert {"extend-fault-kind.md", "extend-tool-channel.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_short_and_its_code_runs(page: Path, tmp_path: Path) -> None:
    """In a process of its own: what a page registers is nobody else's."""
    text = page.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    script = tmp_path / "page.py"
    script.write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
