#!/usr/bin/env bash
# mkdocs-material 9.8.2 (mkdocs 1.6.1): the plugin `offline`, which is there for sites that are opened from the disk,
# puts a script from a host of the network into every page. The same site without the plugin loads nothing from
# elsewhere (given `font: false`). The script is a shim that lets the search run without a web server; the plugin
# `privacy` is what would download it, and needs the network while the site is built.
#
# Seen: no address in a `src` without the plugin, one with it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check mkdocs==1.6.1 mkdocs-material==9.8.2
mkdir -p "$place/site/docs"
cd "$place/site"
printf '# A page\n' > docs/index.md

# How many scripts of other hosts the built page loads, with these plugins.
foreign() {
    printf 'site_name: Example\ntheme:\n  name: material\n  font: false\nplugins: [%s]\n' "$1" > mkdocs.yml
    NO_MKDOCS_2_WARNING=1 "$place/venv/bin/mkdocs" build --quiet --clean 2> /dev/null
    { grep -oE '<script[^>]*src="https?://' site/index.html || true; } | wc -l
}

without=$(foreign "search")
with=$(foreign "search, offline")
echo "scripts from other hosts: $without without the plugin, $with with it"
[ "$without" -eq 0 ] || { echo "changed: the theme alone loads from the network" >&2; exit 1; }
[ "$with" -eq 1 ] || { echo "changed: the plugin no longer adds a script from the network" >&2; exit 1; }
echo "as described"
