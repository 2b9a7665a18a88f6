"""The OpenAPI document: what generators of clients make classes of, and what a fault may answer."""

from __future__ import annotations

from collections import Counter

import pytest

from faultgym.core.json import JSON
from faultgym.envs.registry import suite_named
from faultgym.tools.channels.http.openapi import openapi
from faultgym.tools.faults.layer import FaultLayer
from faultgym.tools.faults.probes import ProbeWorld, probes, service
from faultgym.tools.faults.registry import FAULT_KINDS
from faultgym.tools.faults.types import ScheduledFault

SUITES = ["orders", "incidents"]
HTTP = sorted(name for name, kind in FAULT_KINDS.items() if kind.channel == "http")


def operations(document: JSON) -> dict[str, JSON]:
    return {op["operationId"]: op for path in document["paths"].values() for op in path.values()}


@pytest.mark.parametrize("suite", SUITES)
def test_each_type_of_an_answer_stands_in_the_document_once(suite: str) -> None:
    document = openapi(suite_named(suite).service)
    known = document["components"]["schemas"]
    for op in operations(document).values():
        success = next(answer for status, answer in op["responses"].items() if status < "300")
        schema = success["content"]["application/json"]["schema"]
        assert schema.keys() == {"$ref"}
        assert schema["$ref"].removeprefix("#/components/schemas/") in known


@pytest.mark.parametrize("suite", SUITES)
def test_no_two_types_have_one_title(suite: str) -> None:
    titles = [schema.get("title") for schema in openapi(suite_named(suite).service)["components"]["schemas"].values()]
    assert max(Counter(filter(None, titles)).values()) == 1


def test_a_server_with_variables_says_what_each_of_them_is() -> None:
    server = openapi(service(), "http://shop/s/{secret}", secret="of the base URL")["servers"]
    assert server == [
        {
            "url": "http://shop/s/{secret}",
            "variables": {"secret": {"default": "SECRET", "description": "of the base URL"}},
        }
    ]


@pytest.mark.parametrize("kind", HTTP)
def test_what_a_fault_answers_is_documented(kind: str) -> None:
    documented = operations(openapi(service()))
    for probe in probes("http"):
        if probe.site.route:
            world = ProbeWorld()
            layer = FaultLayer((ScheduledFault(0, kind, ordinals=(1, 2), params=FAULT_KINDS[kind].params),))
            reply = layer.exchange(world, probe.site, probe.request, lambda r, w=world, p=probe: p.backend(w, r))
            assert reply.status == 0 or str(reply.status) in documented[probe.site.route]["responses"]
