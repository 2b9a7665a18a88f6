"""The closed loop: rounds of rollouts, data, training and comparison, on disk, that survive being killed anywhere.

    LOOP/loop.json                       what was asked for; written once
    LOOP/lock                            held by the one process that works on the loop
    LOOP/registry.json                   which model is in use, where it comes from, and what became of each round
    LOOP/rollbacks/03-1.json             a return to an earlier model, by hand, after round 3
    LOOP/rounds/03/plan.json             the episodes to be rolled out, chosen from the last round's scores
    LOOP/rounds/03/{rollout,score,collect,data,sft}/                    one folder for each stage
    LOOP/rounds/03/{sft-model,sft-rollout,preferences,pref}/            those of the preference stage
    LOOP/rounds/03/{model,eval}/
    LOOP/rounds/03/decision.json         promoted or not, and why
    LOOP/rounds/03/README.md             the page of the ledger

A stage works in `.STAGE.work` and takes its name when it is whole; then it is never touched again (`stage`). The
registry follows from the decisions and rollbacks alone, and is made again where it is missing or damaged.
"""
