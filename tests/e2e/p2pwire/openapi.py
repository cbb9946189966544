"""Checks answers against docs/openapi.yaml: status, type and fields."""

import re

import yaml
from jsonschema import Draft202012Validator, RefResolver


class Api:
    def __init__(self, path):
        self.document = yaml.safe_load(path.read_text())
        self.resolver = RefResolver.from_schema(self.document)
        self.seen = set()  # (method, path template, status)

    def operations(self):
        """{(METHOD, template): operation}."""
        return {
            (method.upper(), template): operation
            for template, item in self.document["paths"].items()
            for method, operation in item.items()
            if method in ("get", "post", "put", "patch", "delete")
        }

    def find(self, method, path):
        """The template that matches a path; literal ones come before those with parameters."""
        candidates = []
        for template in self.document["paths"]:
            pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path.split("?")[0]):
                candidates.append(template)
        with_method = [t for t in candidates if (method, t) in self.operations()]
        assert with_method, f"{method} {path} is not in the document"
        return min(with_method, key=lambda t: t.count("{"))

    def resolve(self, node):
        return self.resolver.resolve(node["$ref"])[1] if "$ref" in node else node

    def check(self, method, path, answer):
        """AssertionError unless the document allows this answer. Returns the answer."""
        template = self.find(method, path)
        responses = self.operations()[method, template]["responses"]
        status = str(answer.status_code)
        assert status in responses, f"{method} {template}: {status} is not documented ({answer.text[:300]})"
        content = self.resolve(responses[status]).get("content", {})
        kind = answer.headers.get("Content-Type", "").split(";")[0]
        if content and "application/octet-stream" not in content:
            assert kind in content, f"{method} {template} {status}: type {kind}"
            if kind.endswith("json"):
                self.check_schema(content[kind]["schema"], answer.json(), f"{method} {template} {status}")
            if kind == "application/problem+json":
                self.check_code(self.resolve(responses[status]), answer.json(), f"{method} {template} {status}")
        self.seen.add((method, template, status))
        return answer

    def check_code(self, response, problem, where):
        """The codes of a refusal are in backticks: with its status, or in the part for all routes."""
        everywhere = self.document["info"]["description"]
        named = set(re.findall(r"`([a-z_]+)`", response["description"] + everywhere))
        assert problem["code"] in named, f"{where}: code {problem['code']!r} is not documented"

    def check_schema(self, schema, value, where):
        validator = Draft202012Validator(schema, resolver=self.resolver)
        errors = [
            f"{'/'.join(map(str, e.absolute_path))}: {e.message[:300]}" for e in validator.iter_errors(value)
        ]
        assert not errors, f"{where}: {errors}"

    def check_named(self, name, value):
        self.check_schema({"$ref": f"#/components/schemas/{name}"}, value, name)
