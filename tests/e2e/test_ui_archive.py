"""A folder or a selection of files as one archive, which other programs open, and which can be resumed."""

import io
import os
import shutil
import subprocess
import zipfile

import pytest

from conftest import wait_until
from ui_world import API

pytestmark = pytest.mark.xdist_group("openapi")  # what they called is counted in one process

FILES = {
    "trip/day 1/a.jpg": os.urandom(300_000),
    "trip/day 1/été 中.txt": b"text",
    "trip/day 2/empty": b"",
    "trip/b.bin": os.urandom(1_500_000),
    "tripod.txt": b"not in the folder trip",
    "other/b.bin": b"another b",
}


@pytest.fixture(scope="module")
def ui(module_suite):
    ui = module_suite.ui(name="archive")
    for name, data in FILES.items():
        path = ui.shared / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (ui.downloads / "got").mkdir()
    (ui.downloads / "got" / "one").write_bytes(b"1")
    wait_until(lambda: ui.api.json("/api/shared")["count"] == len(FILES), what="the files")
    wait_until(lambda: ui.api.json("/api/downloads")["count"] == 1, what="the download")
    return ui


def ask(ui, query, status=200, **headers):
    answer = API.check("GET", "/api/zip?" + query, ui.api.request("GET", "/api/zip?" + query, headers=headers))
    assert answer.status_code == status, answer.text
    return answer


def opened(data):
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    return {name: archive.read(name) for name in archive.namelist()}


def test_a_folder(ui, tmp_path):
    answer = ask(ui, "of=shared&path=trip")
    expected = {name: data for name, data in FILES.items() if name.startswith("trip/")}
    assert opened(answer.content) == expected
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert 'filename="trip.zip"' in answer.headers["Content-Disposition"]
    # The names begin with the last part of the path.
    assert set(opened(ask(ui, "of=shared&path=trip/day%201").content)) == {"day 1/a.jpg", "day 1/été 中.txt"}
    archive = tmp_path / "trip.zip"
    archive.write_bytes(answer.content)
    for reader, command in {
        "unzip": ["unzip", "-q", archive, "-d", tmp_path / "unzip"],
        "7z": ["7z", "x", "-y", f"-o{tmp_path / '7z'}", archive],
        "bsdtar": ["bsdtar", "-x", "-f", archive, "-C", tmp_path / "bsdtar"],
    }.items():
        if not shutil.which(reader):
            continue
        (tmp_path / reader).mkdir(exist_ok=True)
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
        assert done.returncode == 0, (reader, done.stdout, done.stderr)
        for name, data in expected.items():
            assert (tmp_path / reader / name).read_bytes() == data, (reader, name)
        assert abs((tmp_path / reader / "trip/b.bin").stat().st_mtime - (ui.shared / "trip/b.bin").stat().st_mtime) <= 2


def test_a_selection(ui):
    answer = ask(ui, "of=shared&path=trip/b.bin&path=other/b.bin&path=trip/day%202")
    assert opened(answer.content) == {
        "b.bin": FILES["trip/b.bin"],
        "b (1).bin": FILES["other/b.bin"],
        "day 2/empty": b"",
    }
    assert 'filename="files.zip"' in answer.headers["Content-Disposition"]
    assert opened(ask(ui, "of=downloads&path=got").content) == {"got/one": b"1"}


def test_it_can_be_resumed_at_any_byte(ui):
    whole = ask(ui, "of=shared&path=trip").content
    tag = ask(ui, "of=shared&path=trip").headers["ETag"]
    for first in (1, 29, 100_000, 305_000, len(whole) - 400, len(whole) - 1):
        answer = ask(ui, "of=shared&path=trip", 206, Range=f"bytes={first}-", **{"If-Range": tag})
        assert answer.content == whole[first:], first
    assert ask(ui, "of=shared&path=trip", 206, Range="bytes=10-19").content == whole[10:20]
    ask(ui, "of=shared&path=trip", 416, Range=f"bytes={len(whole)}-")
    assert ask(ui, "of=shared&path=trip", 304, **{"If-None-Match": tag}).content == b""


def test_a_changed_file_is_another_archive(ui):
    path = ui.shared / "other" / "b.bin"
    before = ask(ui, "of=shared&path=other")
    path.write_bytes(b"changed b")  # as long as before
    answer = ask(ui, "of=shared&path=other", 200, Range="bytes=5-", **{"If-Range": before.headers["ETag"]})
    assert answer.headers["ETag"] != before.headers["ETag"]
    assert opened(answer.content) == {"other/b.bin": b"changed b"}
    path.write_bytes(FILES["other/b.bin"])


@pytest.mark.parametrize(
    "query, status, code",
    [
        ("of=shared&path=nothing", 404, "not_found"),
        ("of=shared&path=tri", 404, "not_found"),
        ("of=shared&path=../secret", 400, "bad_name"),
        ("of=shared&path=.p2p", 400, "bad_name"),
        ("of=shared&path=", 400, "bad_name"),
        ("of=shared", 400, "missing_parameter"),
        ("of=keys&path=trip", 400, "bad_parameter"),
        ("path=trip", 400, "bad_parameter"),
        ("of=downloads&path=trip", 404, "not_found"),
    ],
)
def test_refused(ui, query, status, code):
    assert ask(ui, query, status).json()["code"] == code


def test_a_selection_too_long_for_an_address_is_named_first(ui):
    keep = lambda body: API.check("POST", "/api/zip", ui.api.request("POST", "/api/zip", json=body))  # noqa: E731
    folder = ui.shared / "many"
    folder.mkdir()
    names = [f"many/{i:03} {'long ' * 20}" .strip() + ".txt" for i in range(120)]
    for name in names:
        (ui.shared / name).write_bytes(name.encode())
    wait_until(lambda: ui.api.request("HEAD", "/api/zip?of=shared&path=" + names[-1]).status_code == 200, what="the files")
    answer = keep({"of": "shared", "paths": names})
    assert answer.status_code == 201, answer.text
    query = f"selection={answer.json()['selection']}"
    whole = ask(ui, query).content
    assert opened(whole) == {name.split("/")[1]: name.encode() for name in names}
    assert ask(ui, query, 206, Range="bytes=9000-").content == whole[9000:]
    for body, status in [({"of": "keys", "paths": ["trip"]}, 400), ({"of": "shared", "paths": []}, 422), ({"of": "shared", "paths": "trip"}, 422),
                         ({"of": "shared", "paths": ["trip", "../up"]}, 400), ({"of": "shared", "paths": ["trip", 7]}, 400), ({"of": "shared", "paths": ["x"] * 2001}, 422)]:  # fmt: skip
        assert keep(body).status_code == status, body
    assert ask(ui, "selection=" + "0" * 32, 404).json()["code"] == "not_found"
    assert ask(ui, "selection=", 404).json()["code"] == "not_found"
    shutil.rmtree(folder)


def test_links_are_left_out(ui):
    folder = ui.shared / "links"
    folder.mkdir()
    (folder / "good").write_bytes(b"x")
    (folder / "away").symlink_to("/etc/passwd")
    wait_until(lambda: ui.api.request("HEAD", "/api/zip?of=shared&path=links").status_code == 200, what="the folder")
    assert opened(ask(ui, "of=shared&path=links").content) == {"links/good": b"x"}
    shutil.rmtree(folder)


def test_readers_that_hang_up_give_their_place_back(ui):
    big = ui.shared / "large"
    big.mkdir()
    (big / "file").write_bytes(bytes(32 << 20))
    wait_until(lambda: ui.api.request("HEAD", "/api/zip?of=shared&path=large").status_code == 200, what="the file")
    held = [ui.api.request("GET", "/api/zip?of=shared&path=large", stream=True) for _ in range(8)]
    assert [answer.status_code for answer in held] == [200] * 8
    refused = ask(ui, "of=shared&path=trip", 503)
    assert refused.json()["code"] == "busy"
    for answer in held:
        answer.close()
    wait_until(
        lambda: ui.api.request("GET", "/api/zip?of=shared&path=other").status_code == 200, what="places are free again"
    )
    shutil.rmtree(big)
