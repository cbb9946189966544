"""The test library itself, checked against other implementations, so that it can be used to check the C programs."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from p2pwire import handshake, keys, record, schedule, tree

VECTORS = Path(__file__).resolve().parents[1] / "vectors"


@pytest.fixture(scope="module")
def identity():
    return keys.Identity.load(VECTORS / "keys" / "client.pem")


def test_vectors_on_disk_are_current():
    run = subprocess.run(
        [sys.executable, VECTORS / "make_vectors.py", "--check"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


def test_oaep_is_what_the_library_decrypts(identity):
    label = b"p2p/2 session key\x00" + bytes(32)
    sealed = keys.oaep_encrypt(identity.spki, b"k" * 32, label)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label)
    assert identity.key.decrypt(sealed, oaep) == b"k" * 32
    assert identity.oaep_decrypt(identity.key.public_key().encrypt(b"x" * 32, oaep), label) == b"x" * 32
    with pytest.raises(ValueError):
        identity.oaep_decrypt(sealed, label + b"x")


def test_pss_is_what_the_library_verifies(identity):
    assert keys.pss_verify(identity.spki, b"text", identity.sign(b"text"))
    assert not keys.pss_verify(identity.spki, b"texts", identity.sign(b"text"))


def test_hkdf_is_rfc_5869():
    salt, ikm, info = b"s" * 32, b"i" * 64, b"info"
    expected = HKDF(hashes.SHA256(), 32, salt, info).derive(ikm)
    assert schedule.hkdf_expand(schedule.hkdf_extract(salt, ikm), info) == expected


def test_spki_and_pem_are_canonical(identity):
    assert len(identity.spki) == 294 and len(identity.pem) == 451
    assert keys.spki_of_modulus(keys.modulus_of_spki(identity.spki)) == identity.spki
    assert keys.pem_of_spki(identity.spki) == identity.pem


@pytest.mark.parametrize("size", [1, 16384, 16385, 70000, 300001, 1 << 20])
def test_roots_are_those_of_libtorrent(tmp_path, size):
    libtorrent = pytest.importorskip("libtorrent")
    data = bytes(i * 7 % 251 for i in range(size))
    (tmp_path / "f").write_bytes(data)
    storage = libtorrent.file_storage()
    libtorrent.add_files(storage, str(tmp_path / "f"))
    torrent = libtorrent.create_torrent(storage, piece_size=16384, flags=libtorrent.create_torrent.v2_only)
    libtorrent.set_piece_hashes(torrent, str(tmp_path))
    leaf = torrent.generate()[b"info"][b"file tree"][b"f"][b""]
    assert leaf[b"pieces root"] == tree.root_of(data)


def test_layers_fold_to_the_root_and_to_no_other_size():
    data = bytes(5 * 65536 + 3)
    layer = tree.layer_of(data, 65536)
    assert tree.root_of_layer(layer, len(data), 65536) == tree.root_of(data)
    with pytest.raises(ValueError):
        tree.root_of_layer(layer, len(data) + 65536, 65536)


def test_handshake_between_the_two_roles(identity):
    server = handshake.ServerHandshake(keys.Identity.load(VECTORS / "keys" / "server.pem"))
    client = handshake.ClientHandshake(identity, server.identity.peer_id)
    server.read_m1(client.make_m1())
    client.read_m2(server.make_m2())
    m3 = client.make_m3()
    server.read_m3(m3[4:])
    m4 = server.make_m4()
    client.read_m4(m4[4:])
    m5 = client.make_m5()
    server.read_m5(m5[4:])
    assert [len(m) for m in (client.m1, client.m2, m3, m4, m5)] == [75, 75, 583, 839, 33]
    for text in (b"\x1bhello", bytes([record.REKEY]), b"\x1bagain"):
        assert server.c2s.open(client.c2s.seal(text)[4:]) == text
