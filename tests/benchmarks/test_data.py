"""The memory that a build of a data set takes."""

import subprocess
import sys

from faultgym.cli.bench import add_benchmarks

GROWTH = f"""
import sys
sys.path.append({str(add_benchmarks())!r})
from benchmarks.data import _built
print(_built(int(sys.argv[1]))["mib"])
"""


def test_memory_does_not_grow_with_the_number_of_examples(tmp_path, child_environment):
    def peak(count: int) -> float:
        done = subprocess.run(
            [sys.executable, "-c", GROWTH, str(count)],
            env=child_environment, cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return float(done.stdout)

    few, many = peak(700), peak(1700)  # both beyond the first batch, which allocates
    assert many - few < 28  # as JSON alone, the examples between would be 10 MiB, as objects far more
