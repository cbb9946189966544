"""p2p-ui over restarts, kills, silent registries, full disks and peers that come back."""

import contextlib
import os
import re
import socket
import subprocess
import threading
import time

import pytest

from conftest import BIN, environment, wait_until
from p2pwire import keys
from ui_world import SlowFile


def private_files(folder, prefix):
    return list((folder / ".p2p").glob(prefix + "*"))


def restart(suite, ui, *more, **kwargs):
    ui.stop()
    suite.programs.remove(ui)
    return suite.ui(*more, **kwargs)


def test_settings_and_deleted_files_survive_a_restart(suite):
    ui = suite.ui()
    assert ui.api.request("PATCH", "/api/config", json={"max_running": 7, "name": "läppi"}).status_code == 200
    assert ui.api.upload("gone.txt", b"back again").status_code == 200
    assert ui.api.delete("shared", "gone.txt").status_code == 200
    assert not (ui.shared / "gone.txt").exists()
    again = restart(suite, ui)
    config = again.api.json("/api/config")
    assert (config["max_running"], config["name"]) == (7, "läppi")
    assert again.api.request("POST", "/api/shared/gone.txt/restore").status_code == 200
    assert (again.shared / "gone.txt").read_bytes() == b"back again"


def test_one_dashboard_a_downloads_folder(suite):
    ui = suite.ui()
    run = subprocess.run(
        [BIN / "p2p-ui", "--host", "127.0.0.1", "--port", "0", "--shared-dir", ui.shared,
         "--downloads-dir", ui.downloads, "--keys-dir", suite.folder / "k"],
        capture_output=True, text=True, timeout=20, cwd=suite.folder, env=environment(suite.folder),
    )  # fmt: skip
    assert run.returncode == 1 and "--downloads-dir" in run.stderr


def test_what_a_killed_upload_leaves_is_removed(suite):
    ui = suite.ui()
    with socket.create_connection(ui.address) as sock:
        sock.sendall(
            b"POST /api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\n"
            b"Content-Length: 1000000\r\n\r\n--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n"
            + b"x" * 50000
        )
        wait_until(lambda: private_files(ui.shared, "upload-"), what="the upload has begun")
        ui.kill()
    suite.programs.remove(ui)
    assert private_files(ui.shared, "upload-")
    suite.ui()
    assert not private_files(ui.shared, "upload-")


@contextlib.contextmanager
def silent_registry():
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_silent_registry_stops_nobody(suite):
    with silent_registry() as url:
        ui = suite.ui("--discovery", url)
        waiting = [threading.Thread(target=ui.api.get, args=("/api/peers/search",), kwargs={"filename": str(i)}) for i in range(20)]
        for thread in waiting:
            thread.start()
        for _ in range(10):
            start = time.monotonic()
            for path in ("/", "/health", "/api/transfers", "/api/shared", "/api/config"):
                assert ui.api.get(path).status_code == 200
            assert time.monotonic() - start < 2, "answers wait for the registry"
        assert any(t.is_alive() for t in waiting), "the registry was not asked at all"
        for thread in waiting:
            thread.join(60)
            assert not thread.is_alive()


def add(ui, server, name, **more):
    peer = {"peer_id": server.identity.peer_id, "ip": "127.0.0.1", "port": server.address[1]}
    answer = ui.api.request(
        "POST", "/api/transfers", json={"filename": name, "peers": [peer], "auto": False, **more}
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def test_the_queue_has_a_limit_and_an_order(suite):
    files = {f"{i}.bin": os.urandom(2 << 20) for i in range(4)}
    with SlowFile(files, chunk_size=1 << 17) as server:
        ui = suite.ui("--max-running", 1)
        first = add(ui, server, "0.bin")
        wait_until(lambda: ui.api.json(f"/api/transfers/{first}")["state"] == "downloading", what="the first runs")
        low = add(ui, server, "1.bin", priority="low")
        normal = add(ui, server, "2.bin")
        high = add(ui, server, "3.bin", priority="high")
        listed = {t["id"]: t for t in ui.api.json("/api/transfers")["transfers"]}
        assert [listed[t]["position"] for t in (high, normal, low)] == [0, 1, 2]
        assert ui.api.request("PATCH", f"/api/transfers/{low}", json={"priority": "high", "position": 0}).json()["position"] == 0
        order, running = [], 0
        end = time.monotonic() + 60
        while len(order) < 4 and time.monotonic() < end:
            page = ui.api.json("/api/transfers")
            running = max(running, page["totals"]["running"])
            order += [t["id"] for t in page["transfers"] if t["state"] == "completed" and t["id"] not in order]
            time.sleep(0.02)
        assert order == [first, low, high, normal]
        assert running == 1


def test_a_peer_that_comes_back_is_asked_again(suite):
    far = suite.peer(name="far", files={"later.bin": b"patience" * 1000})
    peer_id, port = far.peer_id, far.port
    far.stop()
    suite.programs.remove(far)
    ui = suite.ui("--timeout", "2")
    body = {"filename": "later.bin", "peers": [{"peer_id": peer_id, "ip": "127.0.0.1", "port": port}], "auto": False}
    transfer = ui.api.request("POST", "/api/transfers", json=body).json()["id"]
    failed = wait_until(
        lambda: (t := ui.api.json(f"/api/transfers/{transfer}"))["state"] == "failed" and t, 60, "given up for now"
    )
    assert failed["error_code"] in ("peer_offline", "no_source") and failed["error"]
    assert failed["retry_at"] > time.time() - 5
    suite.peer(name="far", port=port)
    done = wait_until(
        lambda: (t := ui.api.json(f"/api/transfers/{transfer}"))["state"] == "completed" and t, 60, "completed"
    )
    assert (ui.downloads / done["path"]).read_bytes() == b"patience" * 1000


def test_a_blocked_peer_is_not_used(suite):
    with SlowFile({"slow.bin": os.urandom(8 << 20)}, chunk_size=1 << 17) as server:
        ui = suite.ui()
        transfer = add(ui, server, "slow.bin")
        wait_until(lambda: ui.api.json(f"/api/transfers/{transfer}")["verified"] > 0, what="it runs")
        answer = ui.api.request("POST", f"/api/peers/{server.identity.peer_id}/block")
        assert answer.status_code == 200 and answer.json()["trust"] == "blocked"
        got = wait_until(
            lambda: (t := ui.api.json(f"/api/transfers/{transfer}"))["state"] == "failed" and t, 30, "stopped"
        )
        assert got["error"]
        peer = {"filename": "slow.bin", "peer_id": server.identity.peer_id, "ip": "127.0.0.1", "port": server.address[1]}
        assert ui.api.request("POST", "/api/download", json=peer).status_code == 403


@pytest.fixture
def small_disk(suite):
    """A shared folder of 8 MiB."""
    folder = suite.folder / "peer" / "shared"
    folder.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("cannot mount here")
    yield folder
    suite.stop()
    suite.programs.clear()
    subprocess.run(["umount", folder], check=True)


def body_of(size):
    yield b'--B\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n'
    for _ in range(size >> 16):
        yield os.urandom(1 << 16)
    yield b"\r\n--B--\r\n"


def test_uploads_onto_a_full_disk(suite, small_disk):
    ui = suite.ui()
    kind = {"Content-Type": "multipart/form-data; boundary=B"}
    for data in (b"".join(body_of(12 << 20)), body_of(12 << 20)):  # announced; in chunks
        answer = ui.api.request("POST", "/api/upload", data=data, headers=kind)
        assert answer.status_code == 507 and answer.json()["code"] == "disk_full"
        assert not (small_disk / "big.bin").exists() and not private_files(small_disk, "upload-")
    assert ui.api.upload("fits.bin", os.urandom(5 << 20)).status_code == 200
    assert ui.api.delete("shared", "fits.bin").json()["restore_until"]
    assert ui.api.upload("next.bin", os.urandom(5 << 20)).status_code == 200, "what was deleted makes room"
    assert ui.api.request("POST", "/api/shared/fits.bin/restore").status_code == 404


def test_a_limit_for_uploads(suite):
    ui = suite.ui("--max-upload", "1M")
    assert ui.api.upload("a", os.urandom(1 << 20)).status_code == 200
    assert ui.api.upload("b", os.urandom((1 << 20) + 1)).status_code == 413
    answer = ui.api.request("POST", "/api/upload", data=body_of(4 << 20), headers={"Content-Type": "multipart/form-data; boundary=B"})
    assert answer.status_code == 413
    assert not (ui.shared / "b").exists() and not private_files(ui.shared, "upload-")


def modules_of(svg):
    """The dark modules of a QR code as a set of (x, y), without the quiet zone."""
    side = int(re.search(r'viewBox="0 0 (\d+) \1"', svg).group(1))
    dark = set()
    for x, y, run in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", svg):
        dark |= {(int(x) - 4 + i, int(y) - 4) for i in range(int(run))}
    return side - 8, dark


def test_the_qr_code_of_a_dashboard_that_can_be_reached(suite):
    ui = suite.ui(host="0.0.0.0")
    urls = ui.api.json("/api/status")["urls"]
    if not urls:
        pytest.skip("this machine has no network address")
    assert all(re.fullmatch(rf"http://[^/]+:{ui.port}/", url) for url in urls)
    assert ui.api.upload("a b.txt", b"x").status_code == 200
    for query in ("target=dashboard", "target=share&name=a%20b.txt", f"target=dashboard&base={urls[-1]}"):
        answer = ui.api.get("/api/qr?" + query)
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "image/svg+xml"
        size, dark = modules_of(answer.text)
        finder = {(x, y) for x in range(7) for y in range(7) if max(abs(x - 3), abs(y - 3)) != 2}
        for left, top in ((0, 0), (size - 7, 0), (0, size - 7)):
            corner = {(x - left, y - top) for x, y in dark if left <= x < left + 7 and top <= y < top + 7}
            assert corner == finder
    assert ui.api.get("/api/qr?target=dashboard&base=http://evil.example/").status_code == 400


def test_a_peer_that_never_proves_its_id_is_not_listed_as_met(suite):
    ui = suite.ui()
    stranger = keys.Identity().peer_id
    assert ui.api.get(f"/api/peers/{stranger}").status_code == 404
    for verb in ("trust", "forget"):  # a block needs no acquaintance
        assert ui.api.request("POST", f"/api/peers/{stranger}/{verb}").status_code == 404
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        answer = ui.api.request("POST", "/api/peers", json={"address": f"127.0.0.1:{nobody.getsockname()[1]}"})
        assert answer.status_code == 503 and answer.json()["code"] == "peer_offline"
    assert ui.api.json("/api/peers")["peers"] == []
