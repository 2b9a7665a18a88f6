"""How far our readers of text formats agree with vLLM's parsers, on the texts of vLLM's own tests.

    pip download vllm==0.31.0 --no-deps --no-binary :all:      # its tests: tests/tool_parsers and tests/parser
    python -m benchmarks.parsers PATH/TO/vllm-0.31.0 --python .venv-vllm/bin/python

Nothing of vLLM's tests is kept here: they are run as they are, in vLLM's environment and with pytest in it, and the
texts that its parsers are given are written down. Then vLLM reads each of them whole, streamed and with its thoughts,
and we do.
"""
