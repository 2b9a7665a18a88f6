"""The conformance kit: what every suite must hold, as rules that any suite can be checked against.

    python -m faultgym.envs.check your_package.your_suite:SUITE

or, in a test:

    report = check_suite(SUITE)
    assert report.ok, report
"""

from __future__ import annotations

from faultgym.envs.check.kit import CONDUCT, RULES, check_env, check_suite
from faultgym.envs.check.report import ConformanceRule, Finding, Report

__all__ = ["CONDUCT", "RULES", "ConformanceRule", "Finding", "Report", "check_env", "check_suite"]
