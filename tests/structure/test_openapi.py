"""docs/openapi.yaml can be turned into a client: generators name its functions by the ids of operations."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
METHODS = {"get", "put", "post", "patch", "delete"}


def test_every_operation_has_an_id_of_its_own():
    paths = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())["paths"]
    ids = [
        (f"{method.upper()} {path}", operation.get("operationId"))
        for path, item in paths.items()
        for method, operation in item.items()
        if method in METHODS
    ]
    assert [name for name, id in ids if not re.fullmatch(r"[a-z][A-Za-z]+", id or "")] == []
    assert len({id for _, id in ids}) == len(ids)
