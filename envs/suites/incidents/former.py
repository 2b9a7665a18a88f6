"""How phrasings of the suite `incidents` read in earlier releases: traces that were recorded with them stay true."""

from __future__ import annotations

from collections.abc import Mapping

FORMER: Mapping[str, Mapping[int, tuple[str, ...]]] = {
    "incident_facts": {
        3: ("For my shift report: severity of {incident_id} and the person it belongs to, please.",),
    },
    "open_incidents": {
        2: ("I take over the shift: which incidents of severity {severity} has nobody acknowledged so far?",),
        4: ("Give me the ids of the {severity} incidents that wait for an acknowledgement.",),
    },
    "noisiest_service": {
        1: ("On {day}, which of the services of team {team} had the most errors in its logs? I need id and number.",),
    },
    "runbook_action": {
        4: ("The runbook knows what to do about {incident_id}. Do it and tell me on which service id.",),
    },
    "roll_back": {
        2: (
            "Undo the deploy that came just before {incident_id} by a rollback to its predecessor, add the note"
            ' "{text}" to the incident, and say which release runs then.',
        ),
    },
    "sql_note": {
        3: (
            'The API form is closed to me: put the note "{text}" on {incident_id} straight into incident_notes and'
            " name the severity.",
        ),
    },
    "minutes_between": {
        1: ("How many minutes lie between {start} and {end} of one day?",),
        3: ("Convert this for my report: outage start {start}, outage end {end}, one calendar day. Total minutes?",),
    },
    "restart_unless_frozen": {
        0: (
            "Restart {service_id}, a planned restart, unless the change freeze policy forbids that for its tier"
            " today. Either way, tell me the last day of its tier's freeze.",
        ),
    },
    "handle_by_the_book": {
        1: (
            "{incident_id} is new. Acknowledge, assign to its team's on-call engineer, and do what the service's"
            " runbook says for the code. Who is it assigned to?",
        ),
    },
    "count_and_note": {
        0: (
            'Count the entries of level error with code {code} of {service_id} on {day}, and add the note "{code}'
            ' errors on {day}: N" to {incident_id}, with the number for N. Tell me the number.',
        ),
    },
}
"""Template -> the index of a phrasing -> its earlier wordings."""
