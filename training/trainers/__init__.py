"""What needs transformers and TRL: masks, collators, trainers.

What TRL 1.16 takes as it is, where its loss falls, and what is added here:

- SFTTrainer takes `messages` and `tools`. Loss on everything, or with `assistant_only_loss=True` on what the template
  marks: give the tokenizer a training template (`rows.rendered.with_template`). It takes `prompt`, `completion` and
  `tools` too; loss on the completion, which is one assistant turn.
- DPOTrainer takes `prompt`, `chosen`, `rejected` and `tools`. Loss on all after the prompt, tool output too: whole
  trajectories need `masks.mask_pair` and `collators.PairCollator`.
- KTOTrainer takes `prompt`, `completion`, `label` and `tools`. Loss as DPO's: `masks.mask_label` and
  `collators.LabelCollator`. At least two rows in a batch; it reads them in order, so shuffle them before.
- ORPOTrainer (experimental) takes `prompt`, `chosen` and `rejected` as text: `rows.rendered.rendered_pair`. Given
  messages it never reads `tools`, and fails on columns of JSON values. Its odds ratio looks at all after the prompt;
  its likelihood term at the prompt as well, tool output and user text included: `collators.orpo_trainer`, always; it
  takes rows of both forms, and renders and masks those that hold messages.

DPO and KTO drop rows whose prompt fills `max_length` (1,024 unless set), without a word; ORPO's loss is not a number
then. Our prompts with tools have 2,400 tokens with Qwen3's tokenizer (median; 7,200 at most), four out of five more
than 1,024: set it to 8,192 or so. SFT cuts such rows off at their end.

SFT, DPO and KTO parse a `tools` column of JSON text. They put messages through the tokenizer's `chat_template`,
and only SFT looks for a training template by itself: set one first. What a template does not know is not rendered:
with Llama 3's and most others, reasoning has to be `inline` (`rows.Reasoning`); ours know `reasoning_content`.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the bars and notices of the libraries beneath, whose output would run into ours; for a whole process.

    Warnings come back at the end of the block; the environment variables and the levels of the logs stay.
    """
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    for name in ("trl", "peft", "accelerate", "bitsandbytes", "torch.utils.tensorboard"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
