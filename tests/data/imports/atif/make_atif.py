"""Makes the files beside it with Harbor's own code, and checks exported trajectories with it. No test runs this.

    python3.13 -m venv /tmp/harbor && /tmp/harbor/bin/pip install harbor==0.26.0     # needs Python 3.12 or newer
    faultgym rollout --policy expert --faults rough --template cancel_order --per-template 3 --out /tmp/run
    faultgym export /tmp/run --format atif --out /tmp/run.jsonl
    /tmp/harbor/bin/python tests/data/imports/atif/make_atif.py /tmp/run.jsonl            # makes the files
    /tmp/harbor/bin/python tests/data/imports/atif/make_atif.py --check /tmp/run.jsonl    # only checks

`strands.json` and `mini_swe_agent.json` are what Harbor's converters make of the logs of two agents; `models.json` is
written with Harbor's models and has what those leave out; `through_harbor.json` is `exported.json`, the first export of
ours, as Harbor read it and wrote it again. `schema.json` is the JSON Schema of Harbor's models, without their words.
"""

import json
import sys
from pathlib import Path
from typing import Any

from harbor.agents.installed.mini_swe_agent import convert_mini_swe_agent_to_atif
from harbor.agents.installed.strands_trajectory import convert_strands_to_atif
from harbor.models.trajectories import (
    Agent,
    ContentPart,
    Observation,
    ObservationResult,
    Step,
    SubagentTrajectoryRef,
    ToolCall,
    Trajectory,
)
from harbor.utils.trajectory_validator import TrajectoryValidator

HERE = Path(__file__).parent
WEATHER = {
    "name": "weather",
    "description": "Look the weather up.",
    "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
}


def strands() -> Trajectory:
    def use(name: str, city: str) -> dict[str, Any]:
        return {"toolUse": {"toolUseId": name, "name": "weather", "input": {"city": city}}}

    def result(name: str, content: dict[str, Any], status: str = "success") -> dict[str, Any]:
        return {"toolResult": {"toolUseId": name, "content": [content], "status": status}}

    said = [
        ("user", [{"text": "Is it warmer in Paris or in Rome?"}]),
        (
            "assistant",
            [
                {"reasoningContent": {"reasoningText": {"text": "I need both."}}},
                {"text": "Let me look."},
                use("t1", "Paris"),
                use("t2", "Rome"),
            ],
        ),
        ("user", [result("t2", {"json": {"celsius": 21}}), result("t1", {"text": "503: try again"}, "error")]),
        ("assistant", [use("t3", "Paris")]),
        ("user", [result("t3", {"json": {"celsius": 17}})]),
        ("assistant", [{"text": "In Rome: 21 against 17 degrees."}]),
    ]
    usage = {"inputTokens": 100, "outputTokens": 20, "totalTokens": 120}
    events = [
        {"kind": "message", "message": {"role": role, "content": blocks, "metadata": {"usage": usage}}}
        for role, blocks in said
    ]
    return convert_strands_to_atif(
        instruction="Is it warmer in Paris or in Rome?",
        result={"output": "In Rome", "tools": [WEATHER], "observed_model": {"model_id": "claude-x", "provider": "p"}},
        events=events,
        agent_name="strands",
        agent_version="1.0",
        session_id="strands-1",
    )


def mini_swe_agent() -> Trajectory:
    call = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}
    messages = [
        {"role": "system", "content": "You are a shell."},
        {"role": "user", "content": "Which files are there?"},
        {"role": "assistant", "content": "I list them.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "a.txt"},
        {"role": "assistant", "content": "There is a.txt."},
    ]
    log = {
        "info": {"mini_version": "2.0", "config": {"model": {"model_name": "gpt-x"}}},
        "trajectory_format": "mini-swe-agent-1.1",
        "messages": messages,
    }
    return convert_mini_swe_agent_to_atif(log, "mini-1")


def models() -> Trajectory:
    """Commands that share one screen, a step that acts by its text, a subagent, and content in parts."""
    screen = Observation(results=[ObservationResult(content="$ ls\na.txt\n$ pwd\n/app")])
    typed = [
        ToolCall(tool_call_id="c1", function_name="bash_command", arguments={"keystrokes": "ls\n", "duration": 0.1}),
        ToolCall(tool_call_id="c2", function_name="bash_command", arguments={"keystrokes": "pwd\n", "duration": 0.1}),
    ]
    helped = Observation(
        results=[
            ObservationResult(
                source_call_id="c3",
                content="The file is empty.",
                subagent_trajectory_ref=[SubagentTrajectoryRef(trajectory_id="sub-1")],
            )
        ]
    )
    asked = [
        ToolCall(tool_call_id="c3", function_name="delegate", arguments={"task": "Read a.txt"}),
        ToolCall(tool_call_id="c4", function_name="mark_task_complete", arguments={}),
    ]
    steps = [
        Step(step_id=1, source="system", message="You use a terminal."),
        Step(step_id=2, source="user", message=[ContentPart(type="text", text="What is "), part("in a.txt?")]),
        Step(step_id=3, source="agent", message="I look.", tool_calls=typed, observation=screen),
        Step(
            step_id=4,
            source="agent",
            message='{"commands": []}',
            observation=Observation(results=[ObservationResult(content=[part("No command was sent.")])]),
        ),
        Step(step_id=5, source="agent", message="", tool_calls=asked, observation=helped, llm_call_count=1),
        Step(step_id=6, source="agent", message="It is empty.", reasoning_content="So it is."),
    ]
    inside = Trajectory(
        trajectory_id="sub-1",
        agent=Agent(name="reader", version="1"),
        steps=[
            Step(step_id=1, source="user", message="Read a.txt"),
            Step(step_id=2, source="agent", message="The file is empty."),
        ],
    )
    return Trajectory(
        session_id="run-1",
        trajectory_id="main",
        agent=Agent(name="terminal", version="2", model_name="m-1"),
        steps=steps,
        subagent_trajectories=[inside],
    )


def part(text: str) -> ContentPart:
    return ContentPart(type="text", text=text)


def bare(schema: Any) -> Any:
    """A schema without its titles and descriptions."""
    if isinstance(schema, list):
        return [bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            kept[key] = {name: bare(each) for name, each in value.items()}
        elif key not in ("title", "description"):
            kept[key] = bare(value)
    return kept


def write(name: str, value: Any) -> None:
    (HERE / name).write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def check(path: str) -> int:
    """How many of a file's trajectories Harbor refuses."""
    refused = count = 0
    with open(path, encoding="utf-8") as lines:
        for count, line in enumerate(lines, 1):
            validator = TrajectoryValidator()
            if not validator.validate(json.loads(line)):
                refused += 1
                print(f"{path}:{count}: {validator.errors[:3]}")
    print(f"{path}: {count} trajectories, {refused} refused")
    return refused


def main() -> None:
    if sys.argv[1] == "--check":
        sys.exit(sum(map(check, sys.argv[2:])) > 0)
    made = {"strands": strands(), "mini_swe_agent": mini_swe_agent(), "models": models()}
    first = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()[0]
    made["through_harbor"] = Trajectory.model_validate_json(first)
    write("exported.json", json.loads(first))
    for name, trajectory in made.items():
        write(f"{name}.json", trajectory.to_json_dict())
    write("schema.json", bare(Trajectory.model_json_schema()))


main()
