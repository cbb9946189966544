"""docs/openapi.yaml is what the tools of others take: its linter has nothing to say, and a typed client compiles."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "openapi.yaml"

pytestmark = [
    pytest.mark.skipif(not os.environ.get("P2P_LONG_TESTS"), reason="takes minutes: P2P_LONG_TESTS=1 runs it"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed"),
]

# One answer, one parameter and one body, each with its type; what has another type does not compile.
CLIENT = """
import type { operations, paths } from "./client";

type Peers = paths["/api/peers"]["get"]["responses"]["200"]["content"]["application/json"];
export function ids(answer: Peers): string[] { return answer.peers.map((peer) => peer.peer_id); }

type Search = paths["/api/peers/search"]["get"]["parameters"]["query"];
export const search: Search = { filename: "holiday.mp4" };
// @ts-expect-error
export const wrong: Search = { filename: 1 };

export type Operation = keyof operations;
// @ts-expect-error
export const unknown: Operation = "no such operation";
"""


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    folder = tmp_path_factory.mktemp("npm")
    done = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, "@redocly/cli", "openapi-typescript", "typescript"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"no packages from npm: {done.stderr[-300:]}")
    return folder


def run(tools, name, *words):
    done = subprocess.run(
        [tools / "node_modules" / ".bin" / name, *words], cwd=tools, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        env={**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "CI": "true"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_linter_has_nothing_to_say(tools):
    said = run(tools, "redocly", "lint", "--config", ROOT / "docs" / "redocly.yaml", DOCUMENT)
    assert "Your API description is valid" in said and "warning" not in said.replace("Deprecation warning", ""), said


def test_a_typed_client_compiles(tools):
    run(tools, "openapi-typescript", DOCUMENT, "-o", "client.d.ts")
    (tools / "use.ts").write_text(CLIENT)
    run(tools, "tsc", "--strict", "--noEmit", "--target", "es2022", "--moduleResolution", "bundler", "--module", "es2022", "use.ts")
