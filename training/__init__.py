"""Data to learn from, made of stored traces: what `faultgym build` does, as functions over plain values."""

from faultgym.training.environments.factory import ToolEpisode, environments_of
from faultgym.training.environments.reward import Reward
from faultgym.training.environments.rewards import reward_functions
from faultgym.training.environments.task_rows import task_rows
from faultgym.training.examples import EXAMPLE_KINDS, ExampleKind, Origin, PairKind, PreferencePair, SFTExample
from faultgym.training.filters.decontaminate import HeldOut, contamination, held_out, refused
from faultgym.training.filters.dedupe import DedupThresholds, deduplicated, exact_key, group_key, signature, similarity
from faultgym.training.filters.mix import MixReport, MixWeights, SampleCaps, mixed, parse_mix, quotas
from faultgym.training.filters.rejection import REASONS, Rejected
from faultgym.training.filters.select import read_trace
from faultgym.training.filters.select import select as select_example
from faultgym.training.forks.positives import Sources
from faultgym.training.preferences.corrections import examples_from, find_example
from faultgym.training.preferences.pairs import find_pairs, pairs_from, pairs_of
from faultgym.training.rows import features, label_rows, pair_row, sft_row, turn_rows

__all__ = [
    "EXAMPLE_KINDS",
    "REASONS",
    "DedupThresholds",
    "ExampleKind",
    "HeldOut",
    "MixReport",
    "MixWeights",
    "Origin",
    "PairKind",
    "PreferencePair",
    "Rejected",
    "Reward",
    "SFTExample",
    "SampleCaps",
    "Sources",
    "ToolEpisode",
    "contamination",
    "deduplicated",
    "environments_of",
    "exact_key",
    "examples_from",
    "features",
    "find_example",
    "find_pairs",
    "group_key",
    "held_out",
    "label_rows",
    "mixed",
    "pair_row",
    "pairs_from",
    "pairs_of",
    "parse_mix",
    "quotas",
    "read_trace",
    "refused",
    "reward_functions",
    "select_example",
    "sft_row",
    "signature",
    "similarity",
    "task_rows",
    "turn_rows",
]
