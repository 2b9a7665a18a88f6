"""The OpenAPI 3.1 document of a service, read off the same declarations that validate its requests."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import TypeAdapter

from faultgym.core.json import JSON
from faultgym.tools.channels.http.service import Operation, Service, response_type

_PROBLEM: JSON = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
_HEADERS = {
    "Idempotency-Key": "A repeat under the same key is answered as the first time and done once.",
    "If-Match": "The ETag that the change is meant for; 412 when it is no longer current.",
}


_RETRY_AFTER: JSON = {
    "Retry-After": {"description": "When to try again: seconds, or an HTTP date.", "schema": {"type": "string"}}
}
_LOCATION: JSON = {"Location": {"description": "Where it lives now.", "schema": {"type": "string"}}}


def openapi(service: Service, server: str = "/", **variables: str) -> JSON:
    """The OpenAPI 3.1 document of a service.

    Args:
        service: The routes.
        server: The base URL of the paths; names in braces are variables.
        variables: What each of them is, in words.

    Example:
        >>> from faultgym.tools.faults.probes import service
        >>> list(openapi(service())["paths"])
        ['/v1/orders/{order_id}', '/v2/orders/{order_id}', '/v1/orders', '/v1/orders/{order_id}/status', '/v1/token']
    """
    bodies, schemas = _bodies(service)
    paths: JSON = {}
    for op in service.operations.values():
        paths.setdefault(op.path, {})[op.method.lower()] = _operation(op, bodies[op.name])
    return {
        "openapi": "3.1.0",
        "info": {"title": service.title, "version": "1"},
        "servers": [_server(server, variables)],
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM, **schemas},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _server(url: str, variables: Mapping[str, str]) -> JSON:
    if not variables:
        return {"url": url}
    said = {name: {"default": name.upper(), "description": text} for name, text in variables.items()}
    return {"url": url, "variables": said}


def _operation(op: Operation, answer: JSON) -> JSON:
    body: JSON = {
        "operationId": op.name,
        "summary": op.declaration.description,
        "parameters": _parameters(op),
        "responses": {
            str(op.status): {
                "description": "Success",
                "content": {"application/json": {"schema": answer}},
            },
            **{str(status): _refusal(status, text) for status, text in _failures(op)},
        },
    }
    if op.write:
        body["requestBody"] = {
            "required": bool(_body_schema(op).get("required")),
            "content": {"application/json": {"schema": _body_schema(op)}},
        }
    if not op.public:
        body["security"] = [{"bearer": []}]
    if op.successor:
        body["deprecated"] = True
    return body


def _failures(op: Operation) -> list[tuple[int, str]]:
    """The refusals that the pipeline and the routes may give, and what stands before them."""
    found = [(400, "Malformed request")]
    if op.successor:
        found += [(301, "Moved"), (307, "Moved"), (308, "Moved"), (410, "Retired: `Link` names the successor")]
    if not op.public or op.write:
        found.append((401, "No valid token"))
    if not op.public:
        found.append((403, "The token lacks a scope"))
    found.append((404, "No such record"))
    if op.write:
        found += [(409, "Not possible in this state"), (412, "Changed since it was read")]
        found += [(415, "Not JSON"), (422, "Invalid fields"), (507, "No room for more")]
    found += [(429, "Too many requests"), (500, "An error of the service"), (502, "An error before the service")]
    return [*found, (503, "Out of service"), (504, "The service did not answer in time")]


def _refusal(status: int, text: str) -> JSON:
    schema = {"$ref": "#/components/schemas/Problem"}
    found: JSON = {"description": text, "content": {"application/problem+json": {"schema": schema}}}
    if status == 502:  # of a proxy, which knows nothing of problem documents
        found["content"] = {"text/html": {"schema": {"type": "string"}}}
    if status in (429, 503):
        found["headers"] = _RETRY_AFTER
    if 300 <= status < 400:
        found["headers"] = _LOCATION
    return found


def _parameters(op: Operation) -> list[JSON]:
    properties = op.declaration.schema["properties"]
    found: list[JSON] = [
        {"name": name, "in": "path", "required": True, "schema": properties[name]} for name in op.path_names
    ]
    if not op.write:
        found += [
            {"name": name, "in": "query", "required": name in op.declaration.required, "schema": schema}
            for name, schema in properties.items()
            if name not in op.path_names
        ]
        return found
    for name, text in _HEADERS.items():
        if name != "If-Match" or op.versioned is not None:
            found.append({"name": name, "in": "header", "description": text, "schema": {"type": "string"}})
    return found


def _body_schema(op: Operation) -> JSON:
    schema = dict(op.declaration.schema)
    schema["properties"] = {n: s for n, s in schema["properties"].items() if n not in op.path_names}
    schema["required"] = [n for n in op.declaration.required if n not in op.path_names]
    return schema


def _bodies(service: Service) -> tuple[dict[str, JSON], JSON]:
    """The schema of each operation's body by name, and the types that they refer to: each is there once."""
    found, shared = TypeAdapter.json_schemas(
        [(name, "serialization", TypeAdapter(response_type(op))) for name, op in service.operations.items()],
        ref_template="#/components/schemas/{model}",
    )
    # By the name that it has here: every page is titled `Page`, and generators of clients name classes by titles.
    named = {name: {**schema, "title": name} for name, schema in shared.get("$defs", {}).items()}
    return {name: schema for (name, _), schema in found.items()}, named
