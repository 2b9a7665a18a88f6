"""TRL's trainers take a step on our rows as they are, and no gradient comes from what the assistant did not write."""

import copy
import math

import pytest
from helpers import scenes, vocabularies

from faultgym.core.errors import UserError
from faultgym.training.rows import features, label_rows, pair_row, sft_row, turn_rows
from faultgym.training.rows.rendered import rendered_pair, rendered_text, tools_of
from faultgym.training.trainers.collators import LabelCollator, PairCollator, orpo_trainer
from faultgym.training.trainers.masks import mask_label, mask_pair, scored

pytestmark = pytest.mark.slow

TASKS = scenes.TASKS[:2]
LIMIT = 1500
"""Tokens that cut a whole trajectory within its completion."""


@pytest.fixture(scope="module")
def tokenizer():
    """A small tokenizer, trained on the scenes."""
    return vocabularies.trained_on(scenes.texts())


@pytest.fixture
def model(tokenizer, tmp_path):
    return vocabularies.tiny_model(tokenizer, tmp_path / "model")


@pytest.fixture
def options(tmp_path):
    """What every trainer's configuration has here: one step on the CPU, nothing cut off."""
    return {
        "output_dir": str(tmp_path),
        "per_device_train_batch_size": 2,
        "max_steps": 1,
        "learning_rate": 1e-2,
        "max_length": 8192,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": [],
        "save_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def data(rows, form):
    from datasets import Dataset

    return Dataset.from_list(rows, features=features(form) if form else None)


def pairs(whole=False):
    return data([pair_row(scenes.pair(task, whole)) for task in TASKS], "pairs")


def labels(whole=False):
    return data([row for task in TASKS for row in label_rows(scenes.pair(task, whole))], "labels")


def assert_takes_a_step(trainer):
    before = copy.deepcopy(trainer.model.state_dict())
    assert math.isfinite(trainer.train().training_loss)
    after = trainer.model.state_dict()
    assert any(not before[name].equal(after[name]) for name in before)


def learning_positions(trainer, batch):
    """The last hidden states that the loss pulls at: True where the token after it is learned. Shape of a batch."""
    seen = []

    def keep(module, inputs, output):
        if output.requires_grad:
            output.retain_grad()
            seen.append(output)

    hook = trainer.model.get_decoder().norm.register_forward_hook(keep)
    trainer.compute_loss(trainer.model, batch).backward()
    hook.remove()
    (hidden,) = seen
    return hidden.grad.abs().sum(-1) > 0


def learned(trainer, batch, ids):
    """The tokens that the loss learns, row by row, from the gradient alone."""
    pulled = learning_positions(trainer, batch)
    assert not pulled[:, -1].any()
    rows = zip(ids, pulled, strict=True)
    return [[int(token) for token, on in zip(row[1:], at[:-1], strict=True) if on] for row, at in rows]


def said(tokenizer, row, side):
    """What the assistant wrote in a completion, in tokens."""
    messages = row["prompt"] + row[side]
    mask = (mask_label if side == "completion" else mask_pair)(row, tokenizer)[f"{side}_mask"]
    ids = scored(tokenizer, messages, tools_of(row)).ids
    return [token for token, on in zip(ids[-len(mask) :], mask, strict=True) if on]


@pytest.mark.parametrize("form", ["messages", "turns"])
def test_sft_takes_a_step_on_our_rows(form, tokenizer, model, options):
    from trl import SFTConfig, SFTTrainer

    examples = [scenes.example(task, True) for task in TASKS]
    rows = [sft_row(e) for e in examples] if form == "messages" else [row for e in examples for row in turn_rows(e)]
    config = SFTConfig(**options, assistant_only_loss=form == "messages")
    assert_takes_a_step(SFTTrainer(model, config, train_dataset=data(rows, form), processing_class=tokenizer))


def test_sft_takes_a_step_on_rendered_text(tokenizer, model, options):
    from trl import SFTConfig, SFTTrainer

    rows = [rendered_text(sft_row(scenes.example(task)), tokenizer) for task in TASKS]
    dataset = data(rows, None)
    assert_takes_a_step(SFTTrainer(model, SFTConfig(**options), train_dataset=dataset, processing_class=tokenizer))


def test_sft_labels_are_our_mask(tokenizer, model, options):
    from trl import SFTConfig, SFTTrainer

    row = sft_row(scenes.example(broken=True))
    config = SFTConfig(**options, assistant_only_loss=True)
    trainer = SFTTrainer(model, config, train_dataset=data([row], "messages"), processing_class=tokenizer)
    expected = scored(tokenizer, row["messages"], tools_of(row))
    (made,) = trainer.train_dataset
    assert made["input_ids"] == expected.ids
    assert [label != -100 for label in made["labels"]] == [mask == 1 for mask in expected.mask]


def test_sft_has_no_gradient_at_tool_output(tokenizer, model, options):
    from trl import SFTConfig, SFTTrainer

    row = sft_row(scenes.example(broken=True))
    config = SFTConfig(**options, assistant_only_loss=True)
    trainer = SFTTrainer(model, config, train_dataset=data([row], "messages"), processing_class=tokenizer)
    batch = trainer.data_collator(list(trainer.train_dataset))
    expected = scored(tokenizer, row["messages"], tools_of(row))
    wanted = [token for token, mask in zip(expected.ids, expected.mask, strict=True) if mask]
    assert learned(trainer, dict(batch), batch["input_ids"]) == [wanted]


def test_dpo_takes_a_step_on_our_pairs(tokenizer, model, options):
    from trl import DPOConfig, DPOTrainer

    trainer = DPOTrainer(model, args=DPOConfig(**options), train_dataset=pairs(), processing_class=tokenizer)
    prompt = tokenizer.decode(trainer.train_dataset[0]["prompt_ids"])
    assert all(tool["function"]["name"] in prompt for tool in scenes.pair().tools)
    assert_takes_a_step(trainer)


def test_kto_takes_a_step_on_our_labels(tokenizer, model, options):
    from trl import KTOConfig, KTOTrainer

    assert_takes_a_step(
        KTOTrainer(model, args=KTOConfig(**options), train_dataset=labels(), processing_class=tokenizer)
    )


def rendered(tokenizer):
    return data([rendered_pair(row, tokenizer) for row in pairs()], "rendered")


@pytest.mark.filterwarnings("ignore")
def test_orpo_takes_a_step_on_our_rendered_pairs(tokenizer, model, options):
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    args = ORPOConfig(**options)
    trainer = ORPOTrainer(model, args=args, train_dataset=rendered(tokenizer), processing_class=tokenizer)
    prompt = tokenizer.decode(trainer.train_dataset[0]["prompt_input_ids"])
    assert all(tool["function"]["name"] in prompt for tool in scenes.pair().tools)
    assert_takes_a_step(trainer)


@pytest.mark.filterwarnings("ignore")
def test_our_orpo_learns_completions_and_trl_s_the_prompt_too(tokenizer, model, options):
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    rows = list(pairs())
    for make, whole in ((orpo_trainer, False), (ORPOTrainer, True)):
        args = ORPOConfig(**options)
        trainer = make(model=model, args=args, train_dataset=rendered(tokenizer), processing_class=tokenizer)
        batch = trainer.data_collator(list(trainer.train_dataset))
        ids = trainer.concatenated_inputs(batch, padding_value=tokenizer.pad_token_id)["concatenated_input_ids"]
        found = learned(trainer, batch, ids)
        wanted = [said(tokenizer, row, side) for side in ("chosen", "rejected") for row in rows]
        assert (found != wanted) if whole else (found == wanted)
        assert ("# Tools" in tokenizer.decode(found[0])) == whole


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("whole", [False, True])
def test_our_orpo_takes_a_step_on_our_pairs_and_learns_completions_alone(whole, tokenizer, model, options):
    from trl.experimental.orpo import ORPOConfig

    rows = list(pairs(whole))
    args = ORPOConfig(**options)
    trainer = orpo_trainer(model=model, args=args, train_dataset=pairs(whole), processing_class=tokenizer)
    assert_takes_a_step(trainer)
    batch = trainer.data_collator(list(trainer.train_dataset))
    ids = trainer.concatenated_inputs(batch, padding_value=tokenizer.pad_token_id)["concatenated_input_ids"]
    wanted = [said(tokenizer, row, side) for side in ("chosen", "rejected") for row in rows]
    assert learned(trainer, batch, ids) == wanted


@pytest.mark.filterwarnings("ignore")
def test_our_orpo_refuses_prompts_that_leave_no_completion(tokenizer, model, options):
    from trl.experimental.orpo import ORPOConfig

    args = ORPOConfig(**options | {"max_length": 64})
    with pytest.raises(UserError, match="2 prompts fill max_length=64"):
        orpo_trainer(model=model, args=args, train_dataset=rendered(tokenizer), processing_class=tokenizer)


def masked_dpo(tokenizer, model, options):
    from trl import DPOConfig, DPOTrainer

    rows = pairs(whole=True).map(mask_pair, fn_kwargs={"tokenizer": tokenizer})
    config = DPOConfig(**options, remove_unused_columns=False)
    collator = PairCollator.of(tokenizer, config)
    return DPOTrainer(model, args=config, train_dataset=rows, processing_class=tokenizer, data_collator=collator)


def masked_kto(tokenizer, model, options):
    from trl import KTOConfig, KTOTrainer

    rows = labels(whole=True).map(mask_label, fn_kwargs={"tokenizer": tokenizer})
    config = KTOConfig(**options, remove_unused_columns=False)
    collator = LabelCollator.of(tokenizer, config)
    return KTOTrainer(model, args=config, train_dataset=rows, processing_class=tokenizer, data_collator=collator)


def masked_orpo(tokenizer, model, options):
    from trl.experimental.orpo import ORPOConfig

    rows = [rendered_pair(row | mask_pair(row, tokenizer), tokenizer) for row in pairs(whole=True)]
    args = ORPOConfig(**options)
    return orpo_trainer(model=model, args=args, train_dataset=data(rows, None), processing_class=tokenizer)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [masked_dpo, masked_kto, masked_orpo])
def test_whole_trajectories_take_a_step(make, tokenizer, model, options):
    assert_takes_a_step(make(tokenizer, model, options))


def test_dpo_has_no_gradient_at_tool_output_of_whole_trajectories(tokenizer, model, options):
    trainer = masked_dpo(tokenizer, model, options)
    rows = list(pairs(whole=True))
    batch = trainer.data_collator(list(trainer.train_dataset))
    wanted = [said(tokenizer, row, side) for side in ("chosen", "rejected") for row in rows]
    assert learned(trainer, batch, batch["input_ids"]) == wanted


def test_kto_has_no_gradient_at_tool_output_of_whole_trajectories(tokenizer, model, options):
    trainer = masked_kto(tokenizer, model, options)
    rows = list(labels(whole=True))[:2]
    batch = trainer.data_collator([trainer.train_dataset[n] for n in range(2)])
    assert learned(trainer, batch, batch["input_ids"]) == [said(tokenizer, row, "completion") for row in rows]
    assert batch["KL_completion_mask"].sum(-1).tolist() == [
        len(said(tokenizer, row, "completion")) for row in reversed(rows)
    ]


@pytest.mark.filterwarnings("ignore")
def test_orpo_has_no_gradient_at_tool_output_of_whole_trajectories(tokenizer, model, options):
    trainer = masked_orpo(tokenizer, model, options)
    rows = list(pairs(whole=True))
    batch = trainer.data_collator(list(trainer.train_dataset))
    ids = trainer.concatenated_inputs(batch, padding_value=tokenizer.pad_token_id)["concatenated_input_ids"]
    wanted = [said(tokenizer, row, side) for side in ("chosen", "rejected") for row in rows]
    assert [[t for t in row if t != tokenizer.pad_token_id] for row in learned(trainer, batch, ids)] == wanted


def test_without_the_mask_dpo_learns_tool_output(tokenizer, model, options):
    from trl import DPOConfig, DPOTrainer

    config = DPOConfig(**options)
    trainer = DPOTrainer(model, args=config, train_dataset=pairs(whole=True), processing_class=tokenizer)
    batch = trainer.data_collator(list(trainer.train_dataset))
    tokens = learned(trainer, batch, batch["input_ids"])
    assert "HTTP" in tokenizer.decode(tokens[0])


@pytest.mark.parametrize("cut", [{"truncation_mode": "keep_start"}, {"truncation_mode": "keep_end"}])
def test_a_cut_off_row_keeps_its_mask_in_place(cut, tokenizer, model, options):
    trainer = masked_dpo(tokenizer, model, options | {"max_length": LIMIT} | cut)
    whole = masked_dpo(tokenizer, model, options)
    row = [trainer.train_dataset[0]]
    short, long = trainer.data_collator(row), whole.data_collator(row)
    assert short["input_ids"].shape[1] == LIMIT
    for n in range(2):
        length = int(long["attention_mask"][n].sum())
        place = slice(max(0, length - LIMIT), length) if cut["truncation_mode"] == "keep_end" else slice(0, LIMIT)
        expected = long["completion_mask"][n][place]
        assert short["completion_mask"][n][: len(expected)].equal(expected)


def test_a_mask_made_with_another_tokenizer_is_refused(tokenizer, model, options):
    trainer = masked_dpo(tokenizer, model, options)
    row = dict(trainer.train_dataset[0])
    with pytest.raises(UserError, match="the trainer's tokenizer or template"):
        trainer.data_collator([row | {"chosen_mask": row["chosen_mask"][1:]}])
    with pytest.raises(UserError, match="remove_unused_columns"):
        trainer.data_collator([{key: value for key, value in row.items() if key != "chosen_mask"}])
