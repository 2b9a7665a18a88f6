#!/usr/bin/env bash
# ruff 0.17.6: a plain `ruff format .` rewrites the Python code blocks inside Markdown files, with no setting that asks
# for it. 0.14.0 and 0.15.0 left Markdown alone ("No Python files found"); 0.16.0 and 0.17.6 reformat it. So a page
# whose code must match another file, or stay within a number of lines, changes under a formatter that was only
# upgraded. `ruff check` still reads no Markdown.
#
# Seen with 0.17.6: "1 file reformatted", and the fenced call spread over three lines.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
mkdir "$place/project"
cd "$place/project"

# What `ruff format` of the given version says of a folder that holds one Markdown page.
formatted() {
    "$place/venv/bin/pip" install --quiet --disable-pip-version-check "ruff==$1"
    cat > page.md <<'PAGE'
# A page

```python
registered = register("a_name", a_function, summary="what the entry does", channel="http", phase="after")
```
PAGE
    "$place/venv/bin/ruff" format --isolated . 2>&1
}

grep -q "No Python files found" <<< "$(formatted 0.15.0)" || { echo "changed: 0.15.0 formats Markdown too" >&2; exit 1; }
grep -q "1 file reformatted" <<< "$(formatted 0.17.6)" || { echo "changed: 0.17.6 leaves Markdown alone" >&2; exit 1; }
cat page.md
grep -qx 'registered = register(' page.md || { echo "changed: the block is laid out in another way" >&2; exit 1; }
"$place/venv/bin/ruff" check --isolated . 2>&1 | grep -q "No Python files found" ||
    { echo "changed: ruff check now reads Markdown" >&2; exit 1; }
echo "as described"
