"""What tests read out of a run's folder."""

from pathlib import Path

from faultgym.agents.storage.store import RunDirectory


def compacted(folder: Path) -> bytes:
    """All records of the run, in the order that no engine can change."""
    target = folder.parent / f"{folder.name}.jsonl"
    RunDirectory.open(folder).compact(target)
    return target.read_bytes()


def ids_on_disk(folder: Path) -> list[str]:
    """All ids of whole lines, doubles included."""
    lines = [line for path in RunDirectory.open(folder).segments() for line in path.read_bytes().split(b"\n")[:-1]]
    return [line[15 : line.index(b'"', 15)].decode() for line in lines]
