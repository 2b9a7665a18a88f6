"""A REST service over a world: routes, pages, its OpenAPI document."""
