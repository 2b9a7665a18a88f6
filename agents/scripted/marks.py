"""What a result's text itself gives away: that something is wrong with it, or that it is not all."""

from __future__ import annotations

from faultgym.envs.reading import read_result


def looks_wrong(text: str) -> str:
    """Why an attentive reader would not take this result at its word; empty when nothing shows."""
    seen = read_result(text)
    if seen.trouble:
        return seen.trouble
    if "age" in seen.headers or "warning" in seen.headers:
        return "it is a stale copy"
    data = seen.data
    if not isinstance(data, dict):
        return ""
    if data.get("timed_out") or data.get("shards_failed"):
        return "the search was not complete"
    if data.get("truncated"):
        return "the result was cut"
    if data.get("source", "primary") != "primary":
        return f"it came from a {data['source']}"
    return "nothing was found" if data.get("hits") == [] else ""
