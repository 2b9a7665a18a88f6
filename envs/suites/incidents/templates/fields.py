"""The fields of typed answers that several templates ask for."""

from __future__ import annotations

from faultgym.envs.judging.form import AnswerField
from faultgym.envs.suites.incidents import words

SEVERITY = AnswerField("severity", "enum", "The severity of the incident", values=words.SEVERITIES)
ASSIGNEE = AnswerField("assignee", "name", "Who the incident is assigned to")
STATE = AnswerField("state", "enum", "The state of the incident", values=words.STATES)
CAUSE = AnswerField("cause", "enum", "The root cause of the incident", values=words.CAUSES)
CUSTOMERS = AnswerField("customers", "integer", "How many customers were affected")
RELEASE = AnswerField("release", "version", "The release that is asked for")
SERVICE = AnswerField("service", "id", "The service that is asked for", unit="SVC")
ERRORS = AnswerField("errors", "integer", "How many errors there were")
REPLICAS = AnswerField("replicas", "integer", "With how many replicas the service runs")

INCIDENT = (SEVERITY, ASSIGNEE, STATE)
"""Of questions about one incident, so that the fields do not tell whether there is such an incident."""
POSTMORTEM = (CAUSE, CUSTOMERS)
"""Of questions about one postmortem, so that the fields do not tell whether there is one."""
