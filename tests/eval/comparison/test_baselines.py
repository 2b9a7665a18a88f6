"""The base's runs under other prompts that a comparison lacks, and the commands that make them."""

from dataclasses import replace

from helpers.compared import QUICK, outcomes

from faultgym.envs.limits import Limits
from faultgym.eval.comparison.compare import compare
from faultgym.eval.comparison.report import markdown


def model(prompt, name="m", **more):
    return {"name": f"openai:{name}", "kind": "openai", "model": name, "prompt": {"name": prompt}, **more}


ASKED = {"policy": "openai:m@http://h:1/v1?temperature=0.5&prompt=plain", "suites": ["orders"], "split": "dev",
         "templates": [], "per_template": 2, "trials": 3, "faults": ["clean", "rough"], "seed": 5}  # fmt: skip


def test_the_bases_missing_prompts_are_named_with_the_commands_that_make_them():
    a = replace(outcomes("a", [True], limits=Limits(turns=30)), policy=model("plain"), asked=(ASKED,), folder="runs/a/")
    b = replace(outcomes("b", [True], limits=Limits(turns=30)), policy=model("plain", "tuned"))
    (missing,) = compare(a, [b], QUICK).missing
    assert missing.prompt == "best"
    assert missing.commands == (
        "faultgym rollout --out runs/a-best --policy 'openai:m@http://h:1/v1?temperature=0.5&prompt=best' --suite"
        " orders --split dev --per-template 2 --trials 3 --faults clean --faults rough --seed 5 --max-turns 30",
    )
    assert "MISSING: the base under the prompt best" in markdown(compare(a, [b], QUICK))


def test_a_missing_prompt_is_made_with_the_same_ending_and_as_many_reminders():
    asked = {**ASKED, "answers": "typed"}
    limits = Limits(reminders=2)
    a = replace(outcomes("a", [True], limits=limits), policy=model("plain"), asked=(asked,), folder="runs/a")
    (missing,) = compare(a, [outcomes("b", [True], limits=limits)], QUICK).missing
    assert missing.commands[0].endswith("--seed 5 --answers typed --max-turns 60 --reminders 2")


def test_nothing_is_missing_when_the_base_is_there_under_both_prompts_or_is_no_model():
    a = replace(outcomes("a", [True]), policy=model("plain"))
    best, tuned = (replace(outcomes(n, [True]), policy=p) for n, p in (("b", model("best")), ("c", model("x", "t"))))
    assert compare(a, [best, tuned], QUICK).missing == ()
    assert [m.prompt for m in compare(a, [tuned], QUICK).missing] == ["best"]
    assert compare(outcomes("a", [True]), [outcomes("b", [True])], QUICK).missing == ()


def test_each_folder_of_a_base_gets_a_folder_of_its_own():
    a = replace(
        outcomes("a", [True]), policy=model("plain"), asked=(ASKED, ASKED), folders=("clean", "rough"), folder="a"
    )
    (missing,) = compare(a, [outcomes("b", [True])], QUICK).missing
    assert [command.split()[3] for command in missing.commands] == ["a-best/clean", "a-best/rough"]
