"""Small data sets and a small model, on disk: what the tests of training learn from, in seconds."""

import json
import os
import resource
import signal
from pathlib import Path

from faultgym.core.errors import UserError
from faultgym.training.builds.shards import write_shards
from faultgym.training.configs.train import TrainConfig
from faultgym.training.examples import Origin, PreferencePair, SFTExample
from faultgym.training.rows import label_rows, pair_row, sft_row, turn_rows
from faultgym.training.trainers.four_bits import keep_unpacked
from faultgym.training.trainers.run import train
from helpers import vocabularies

TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "look",
            "description": "Look up an order.",
            "parameters": {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]},
        },
    },
)
SET_OF = {"sft": "messages", "dpo": "pairs", "orpo": "pairs", "kto": "labels"}
LIMITED = """
import json, resource, sys
from faultgym.core.errors import UserError
from faultgym.training.configs.train import TrainConfig
from faultgym.training.trainers.run import train
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    train(TrainConfig.of(json.loads(sys.argv[1])))
except UserError as error:
    print(error)
"""
"""A child that trains where no file may grow beyond a limit, as on a full disk: the settings, the limit."""


def train_and_die(record: dict, step: int) -> None:
    """For a process of its own: train until a step has ended, and be killed there."""

    def progress(seen):
        if seen.step == step:
            os.kill(os.getpid(), signal.SIGKILL)

    train(TrainConfig.of(record), progress)


def train_limited(record: dict, limit: int, said: Path) -> None:
    """For a process of its own: train where no file may grow beyond a limit, as on a full disk; write the error."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        train(TrainConfig.of(record))
    except UserError as error:
        said.write_text(str(error))


def called(n: int, order: int) -> dict:
    call = {"name": "look", "arguments": json.dumps({"order": order})}
    return {"role": "assistant", "content": "", "tool_calls": [{"id": f"c{n}", "type": "function", "function": call}]}


def chat(n: int) -> tuple[dict, ...]:
    """One episode; the longer, the larger its number."""
    asked = {"role": "user", "content": f"Where is order {n}?" + " Please." * n}
    seen = {"role": "tool", "tool_call_id": f"c{n}", "content": f"order {n} is on its way"}
    return (asked, called(n, n), seen, {"role": "assistant", "content": f"Order {n} is on its way."})


def origin(n: int) -> Origin:
    return Origin(f"{n:024x}", f"orders/order_status/train/{n}", "orders", "order_status", "train", "expert", "clean")


def examples(count: int = 6) -> list[SFTExample]:
    return [SFTExample(chat(n), TOOLS, "clean", (), origin(n), 1, 1) for n in range(count)]


def pairs(count: int = 6) -> list[PreferencePair]:
    """The right order's number over another's; every second pair goes on past tool output."""
    found = []
    for n in range(count):
        asked, call, seen, answer = chat(n)
        wrong = called(n, n + 1)
        chosen, rejected = ((call, seen, answer), (wrong, seen, answer)) if n % 2 else ((call,), (wrong,))
        ids = ("c" * 16, "r" * 16)
        kind = "right_vs_wrong_arguments"
        found.append(PreferencePair((asked,), chosen, rejected, TOOLS, kind, "", 1.0, 0, *ids, origin(n), "expert"))
    return found


def rows(form: str, count: int = 6) -> list[dict]:
    if form == "messages":
        return [sft_row(example) for example in examples(count)]
    if form == "turns":
        return [row for example in examples(count) for row in turn_rows(example)]
    if form == "pairs":
        return [pair_row(pair) for pair in pairs(count)]
    return [row for pair in pairs(count // 2) for row in label_rows(pair)]


def write_set(folder: Path, form: str, count: int = 6) -> Path:
    folder.mkdir(parents=True)
    write_shards(rows(form, count), form, folder)
    return folder


def write_model(folder: Path, hidden: int = 64) -> Path:
    texts = [json.dumps(TOOLS), *(str(value) for n in range(9) for message in chat(n) for value in message.values())]
    tokenizer = vocabularies.trained_on(texts)
    vocabularies.tiny_model(tokenizer, folder, hidden)
    tokenizer.save_pretrained(folder)
    return folder


def config(place: Path, out: Path, method: str = "sft", **more) -> TrainConfig:
    """A run of two steps on what `place` holds."""
    least = {"method": method, "model": place / "model", "data": [place / SET_OF[method]], "out": out}
    usual = {"max_steps": 2, "batch_size": 2, "warmup_steps": 0, "learning_rate": 1e-2, "report_to": "none"}
    return TrainConfig.of({**least, **usual, **more})


def prompt_ids(tokenizer, prompt: bool = True):
    """The tokens of the first episode, or of its beginning up to the model's turn."""
    messages = list(chat(0))[: 1 if prompt else None]
    more = {"tokenize": True, "return_dict": True, "return_tensors": "pt", "add_generation_prompt": prompt}
    return tokenizer.apply_chat_template(messages, **more)["input_ids"]


def logits(model, tokenizer, prompt: bool = False):
    """What a model says of the first episode."""
    import torch

    with torch.no_grad():
        return model.eval()(input_ids=prompt_ids(tokenizer, prompt)).logits


def reloaded(out: Path, base: Path, adapter: str):
    """What is in a result's folder, as a user loads it, on the base that it was trained on."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    tokenizer = AutoTokenizer.from_pretrained(out)
    if adapter == "none":
        return AutoModelForCausalLM.from_pretrained(out), tokenizer
    options = {}
    if adapter.startswith("q"):
        bits = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
        quantised = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.float32, **bits)
        options = {"quantization_config": quantised, "device_map": {"": "cpu"}}
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, **options)
    if options:
        keep_unpacked(model)  # as it was trained: what is packed is multiplied in bfloat16
    return PeftModel.from_pretrained(model, out), tokenizer


def weights(folder: Path) -> dict:
    """The tensors of a result or a checkpoint by name."""
    from safetensors.torch import load_file

    (file,) = [*folder.glob("adapter_model.safetensors"), *folder.glob("model.safetensors")]
    return load_file(file)


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)
