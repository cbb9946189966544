"""Deleted files can be restored until arriving bytes need their space."""

import socket

from p2pwire.web import raw
from test_faults import small_disk

MIB = 1 << 20


def dashboard(suite):
    return suite.ui(name="one")


def announce(ui, length):
    """An upload of which only the beginning arrives: the immediate answer, or None."""
    head = [
        ("Host", "localhost"), *ui.owner, ("Content-Type", "multipart/form-data; boundary=b"), ("Content-Length", length),
    ]  # fmt: skip
    try:
        return raw(ui.port, "POST", "/api/upload", [(name, str(value)) for name, value in head], timeout=2)[0]
    except socket.timeout:
        return None  # it waits for the bytes; the connection is closed


def test_announcements_leave_the_trash_alone(suite):
    """More than the disk has even without the trash is refused; a smaller upload is accepted, and the trash is
    emptied when its bytes arrive.
    """
    with small_disk(suite.folder / "one" / "shared", "64m") as disk:
        ui = dashboard(suite)
        (disk / "kept.bin").write_bytes(bytes(30 * MIB))
        assert ui.api.request("DELETE", "/api/shared/kept.bin").status_code == 200
        assert announce(ui, 1 << 40) == 507
        assert announce(ui, 50 * MIB) is None
        assert ui.api.request("POST", "/api/shared/kept.bin/restore").status_code == 200
        assert (disk / "kept.bin").stat().st_size == 30 * MIB


def test_bytes_that_come_take_the_space_of_the_trash(suite):
    with small_disk(suite.folder / "one" / "shared", "64m") as disk:
        ui = dashboard(suite)
        for name in ("first.bin", "second.bin"):
            (disk / name).write_bytes(bytes(20 * MIB))
            assert ui.api.request("DELETE", f"/api/shared/{name}").status_code == 200
        answer = ui.api.request("POST", "/api/upload", files={"file": ("new.bin", bytes(35 * MIB))})
        assert answer.status_code == 200, answer.text
        assert (disk / "new.bin").stat().st_size == 35 * MIB
        # Removing one of them was enough.
        answers = [
            ui.api.request("POST", f"/api/shared/{name}/restore").status_code
            for name in ("first.bin", "second.bin")
        ]
        assert sorted(answers) == [200, 404]
