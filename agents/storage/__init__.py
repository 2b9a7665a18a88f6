"""Where traces are kept: append-only segments in run folders."""
