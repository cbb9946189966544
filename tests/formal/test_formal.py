"""The models that checked the design: runs those for which Debian has the tools, and checks that the others are up
to date.
"""

import hashlib
import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
LONG = os.environ.get("P2P_LONG_TESTS") == "1"

# The answers that ProVerif must give. The controls of a scenario are "false" on purpose: an event that must be
# reachable, or the query without the condition that the other side is honest.
SCENARIOS = {
    "id_passive": {"true": 1, "false": 0},
    "out_auth": {"true": 9, "false": 5},
    "out_kci": {"true": 5, "false": 0},
    "out_ephleak": {"true": 5, "false": 0},
    "out_oaepbroken": {"true": 5, "false": 0},
    "out_dsks": {"true": 5, "false": 0},
    "out_bothbroken": {"true": 0, "false": 1},
    "mut_nofs": {"true": 0, "false": 1},
    "mut_nonegS": {"true": 0, "false": 1},
    "mut_noready": {"true": 0, "false": 1},
    "mut_nosigS": {"true": 0, "false": 1},
    "mut_nofreshS": {"true": 1, "false": 0},
    "mut_nolowS": {"true": 1, "false": 0},
    "mut_nosigC": {"true": 1, "false": 0},
}


@pytest.mark.parametrize("model", sorted(SCENARIOS))
def test_recorded_proverif_result_belongs_to_its_model(model):
    text = (RESULTS / f"{model}.log.txt").read_text()
    recorded = re.search(r"model sha256 ([0-9a-f]{64})", text).group(1)
    actual = hashlib.sha256((HERE / f"{model}.pv").read_bytes()).hexdigest()
    assert actual == recorded, f"{model}.pv changed: run ProVerif again and record its answer"
    answers = re.findall(r"^RESULT (?!\(even).*is (true|false)\.$", text, re.M)
    assert {a: answers.count(a) for a in ("true", "false")} == SCENARIOS[model]


def test_every_model_has_a_result():
    models = {p.stem for p in HERE.glob("out_*.pv")} | {p.stem for p in HERE.glob("mut_*.pv")}
    assert models | {"id_passive"} == set(SCENARIOS)


def test_models_are_what_the_generator_writes(tmp_path):
    for name in ("gen.sh", "v2.pv", "v2_proc.inc"):
        shutil.copy(HERE / name, tmp_path)
    subprocess.run(["sh", "gen.sh"], cwd=tmp_path, check=True)
    written = sorted(p.name for p in tmp_path.glob("*_*.pv"))
    assert written == sorted(p.name for p in HERE.glob("*_*.pv") if p.name != "id_passive.pv")
    for name in written:
        assert (tmp_path / name).read_bytes() == (HERE / name).read_bytes(), name


# --- Spin -----------------------------------------------------------------------------------

SPIN_RUNS = [("-DNC=2 -DNS=1", 0), ("-DNC=1 -DNS=2", 0)] + [
    (f"-DNC=2 -DNS=2 -D{mutant}", 1)
    for mutant in ("REACH", "NO_SIGS_CHECK", "NO_NEG_IN_TH", "NO_PIN", "NO_READY")
]


# Calls and answers, with the registry as the attacker. Each check that is left out must show as an error.
MUTANTS = ["REACH", "NO_SIG_CALL", "NO_ANSWER_TO"]
if LONG:
    MUTANTS += ["NO_SIG_ANSWER", "NO_FINGERPRINT", "NO_FROM", "NO_TO", "NO_SEEN", "NO_EXPIRY", "NO_SESSION NO_CALLED"]
CALL_RUNS = [("", 0)] + [("-D" + mutant.replace(" ", " -D"), 1) for mutant in MUTANTS]
if LONG:  # each of these two stands in for the other one
    CALL_RUNS += [("-DNO_SESSION", 0), ("-DNO_CALLED", 0)]


@pytest.mark.skipif(not shutil.which("spin"), reason="needs the package spin")
@pytest.mark.parametrize(
    "model,switches,expected_errors",
    [("v2_bounded.pml", *run) for run in SPIN_RUNS] + [("calls_bounded.pml", *run) for run in CALL_RUNS],
)
def test_spin(tmp_path, model, switches, expected_errors):
    shutil.copy(HERE / model, tmp_path)
    limits = ["-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=4000"]
    subprocess.run(
        ["spin", "-a", *switches.split(), model], cwd=tmp_path, check=True, capture_output=True, timeout=60
    )
    subprocess.run(["gcc", "-O2", "-w", *limits, "-o", "pan", "pan.c"], cwd=tmp_path, check=True, timeout=120)
    # Whoever gets no message waits for ever (-E): that is no error.
    run = subprocess.run(["./pan", "-m100000", "-E"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert "max search depth too small" not in run.stdout and "out of memory" not in run.stdout
    assert f"errors: {expected_errors}" in run.stdout, run.stdout


# --- SPASS ----------------------------------------------------------------------------------

CLAUSES = sorted(p.name.removesuffix(".dfg.xz") for p in (HERE / "dfg").glob("*.dfg.xz"))


def test_clause_files_are_all_there():
    scenarios = ("auth", "bothbroken", "dsks", "ephleak", "kci")
    assert CLAUSES == sorted(f"{s}_{d}" for s in scenarios for d in ("secC", "secS"))


@pytest.mark.skipif(not shutil.which("SPASS"), reason="needs the package spass")
@pytest.mark.parametrize("name", CLAUSES)
def test_spass(tmp_path, name):
    if name.startswith(("auth", "kci")) and not LONG:
        pytest.skip("half a minute to two: P2P_LONG_TESTS=1 runs it")
    clauses = tmp_path / f"{name}.dfg"
    clauses.write_bytes(lzma.decompress((HERE / "dfg" / f"{name}.dfg.xz").read_bytes()))
    run = subprocess.run(["SPASS", "-TimeLimit=900", clauses], capture_output=True, text=True, timeout=1000)
    expected = "Proof found." if name.startswith("bothbroken") else "Completion found."
    verdict = re.search(r"SPASS beiseite: (.*)", run.stdout)
    assert verdict and verdict.group(1).strip() == expected, run.stdout[-500:]
