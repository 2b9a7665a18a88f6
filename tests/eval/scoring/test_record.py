"""What people call the faults that an episode met."""

from faultgym.eval.scoring.record import faults_name, plan_digest


def test_a_plan_that_is_called_clean_is_not_taken_for_the_preset():
    assert faults_name({"version": 1, "name": "clean", "rules": []}) == "clean (plan)"
    assert (faults_name("clean"), faults_name({"name": "mine"})) == ("clean", "mine")


def test_plans_without_a_name_are_told_apart_by_what_they_hold_and_not_by_how_it_is_written():
    one, same, other = ({"rules": [{"kind": "slow", "params": {"seconds": n}}]} for n in (30, 30.0, 31))
    assert faults_name(one) == faults_name(same) != faults_name(other)
    assert faults_name(one).startswith("plan ")


def test_two_plans_of_one_name_have_digests_of_their_own_and_a_preset_has_none():
    one, other = ({"name": "mine", "rules": [{"kind": kind}]} for kind in ("slow", "gone"))
    assert plan_digest(one) != plan_digest(other)
    assert plan_digest("rough") == ""
