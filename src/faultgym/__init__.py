"""faultgym: a gym for tool-using agents in which tools fail."""

__version__ = "0.1.0"
