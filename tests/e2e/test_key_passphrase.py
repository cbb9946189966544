"""The passphrase of the private key: its sources, and that no command loses it."""

import json
import os
import pty
import select
import signal
import subprocess
import time

import pytest

from conftest import BIN, environment

PHRASE = "correct horse"
ENCRYPTED, CLEAR = b"BEGIN ENCRYPTED PRIVATE KEY", b"BEGIN PRIVATE KEY"
EXIT_IDENTITY = 7


class Keys:
    """A keys directory, and `p2p` with the passphrase from one of its sources."""

    def __init__(self, folder):
        self.folder, self.dir = folder, folder / "keys"
        self.file = folder / "phrase"
        self.file.write_text(PHRASE + "\n")
        (folder / "credentials").mkdir()

    def run(self, *words, source=None, phrase=PHRASE):
        """Returns (exit status, stdout, stderr or the text on the terminal)."""
        argv = [BIN / "p2p", words[0], *words[1:], "--keys-dir", self.dir]
        return getattr(self, f"from_{source or 'nothing'}")([str(a) for a in argv], phrase)

    def from_nothing(self, argv, _phrase, env=None, fds=()):
        done = subprocess.run(
            argv, env={**environment(self.folder), **(env or {})}, pass_fds=fds, capture_output=True,
            text=True, stdin=subprocess.DEVNULL, start_new_session=True, timeout=60,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def from_file(self, argv, phrase):
        self.file.write_text(phrase + "\n")
        return self.from_nothing(argv, None, {"P2P_PASSPHRASE_FILE": str(self.file)})

    def from_descriptor(self, argv, phrase):
        """A pipe: the passphrase can be read once."""
        ours, theirs = os.pipe()
        os.write(theirs, phrase.encode() + b"\n")
        os.close(theirs)
        try:
            return self.from_nothing(argv, None, {"P2P_PASSPHRASE_FD": str(ours)}, (ours,))
        finally:
            os.close(ours)

    def from_credential(self, argv, phrase):
        (self.folder / "credentials" / "key-passphrase").write_text(phrase)
        return self.from_nothing(argv, None, {"CREDENTIALS_DIRECTORY": str(self.folder / "credentials")})

    def from_terminal(self, argv, phrase):
        """Types `phrase` at every prompt; a command that does not ask gets nothing."""
        ours, theirs = os.pipe()
        pid, terminal = pty.fork()
        if pid == 0:
            os.dup2(theirs, 1)
            os.execve(argv[0], argv, environment(self.folder))
        os.close(theirs)
        shown, typed, end = "", 0, time.monotonic() + 60
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    part = os.read(terminal, 4096).decode()
                except OSError:  # the terminal has no program any longer
                    break
                if not part:
                    break
                shown += part
            prompts = shown.count("assphrase of ") + shown.count("New passphrase: ") + shown.count("Repeat it: ")
            if prompts > typed:
                typed = prompts
                os.write(terminal, phrase.encode() + b"\n")
        else:
            os.kill(pid, signal.SIGKILL)
        with os.fdopen(ours) as out:
            text = out.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(terminal)
        assert PHRASE not in shown, "the terminal does not show what is typed"
        return status, text, shown

    def private(self):
        return (self.dir / "private_key.pem").read_bytes()

    def id(self, source=None):
        status, out, err = self.run("id", "--json", source=source)
        assert status == 0, err
        return json.loads(out)["peer_id"]


SOURCES = ["terminal", "file", "descriptor", "credential"]


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path)


@pytest.fixture
def protected(keys):
    keys.id()
    status, _, err = keys.run("key", "protect", source="file")
    assert status == 0 and ENCRYPTED in keys.private(), err
    return keys


@pytest.mark.parametrize("source", SOURCES)
def test_rotate_keeps_the_passphrase(protected, source):
    before = protected.id("file")
    status, out, err = protected.run("key", "rotate", source=source)
    assert status == 0, err
    assert ENCRYPTED in protected.private() and CLEAR not in protected.private()
    assert out.strip() == protected.id(source) != before
    kept = [p for p in protected.dir.glob("private_key.*.pem")]
    assert len(kept) == 1 and ENCRYPTED in kept[0].read_bytes(), "the old key stays as it was"


@pytest.mark.parametrize("source", SOURCES)
def test_protect_and_unprotect(keys, source):
    first = keys.id()
    status, _, err = keys.run("key", "protect", source=source)
    assert status == 0 and ENCRYPTED in keys.private(), err
    assert keys.id(source) == first
    status, _, err = keys.run("key", "unprotect", source=source)
    assert status == 0 and CLEAR in keys.private(), err
    assert keys.id() == first


@pytest.mark.parametrize("source", SOURCES)
def test_only_an_option_makes_the_new_key_clear(protected, source):
    status, out, err = protected.run("key", "rotate", "--no-passphrase", source=source)
    assert status == 0 and CLEAR in protected.private(), err
    assert out.strip() == protected.id()


@pytest.mark.parametrize("source", [None, *SOURCES])
@pytest.mark.parametrize("action", ["rotate", "unprotect", "protect", "show"])
def test_nothing_changes_without_the_passphrase(protected, source, action):
    before = protected.private()
    status, out, err = protected.run("key", action, source=source, phrase="wrong")
    assert status == EXIT_IDENTITY, (out, err)
    assert "passphrase" in err and out == ""
    assert protected.private() == before
    assert not list(protected.dir.glob("private_key.*.pem"))


def test_a_source_that_cannot_be_read_is_named(protected):
    protected.file.unlink()
    status, _, err = protected.from_nothing(
        [str(BIN / "p2p"), "key", "rotate", "--keys-dir", str(protected.dir)], None,
        {"P2P_PASSPHRASE_FILE": str(protected.file)},
    )  # fmt: skip
    assert status == EXIT_IDENTITY and str(protected.file) in err, err
    assert ENCRYPTED in protected.private()


@pytest.mark.parametrize("source", ["file", "descriptor", "credential"])
def test_the_first_key_gets_the_passphrase_that_is_set(keys, source):
    first = keys.id(source)
    assert ENCRYPTED in keys.private()
    assert keys.id("file") == first


def test_nobody_is_asked_for_the_first_key(keys):
    status, out, err = keys.run("id", source="terminal")
    assert status == 0 and CLEAR in keys.private(), err
    assert "assphrase" not in err


def test_a_passphrase_that_is_set_protects_what_rotate_makes(keys):
    keys.id()
    status, out, err = keys.run("key", "rotate", source="descriptor")
    assert status == 0 and ENCRYPTED in keys.private(), err
    assert out.strip() == keys.id("file")


def test_an_imported_key_keeps_its_passphrase(keys):
    """A key that openssl made and encrypted in its own way."""
    keys.dir.mkdir(mode=0o700)
    private = keys.dir / "private_key.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-aes-256-cbc",
         "-pass", f"file:{keys.file}", "-out", private],
        check=True, capture_output=True,
    )  # fmt: skip
    private.chmod(0o600)
    before = keys.id("file")
    status, out, err = keys.run("key", "rotate", source="descriptor")
    assert status == 0 and ENCRYPTED in keys.private(), err
    assert out.strip() == keys.id("file") != before


def test_two_different_new_passphrases_change_nothing(keys):
    keys.id()
    answers = iter(["one", "another"])

    class Differing(str):
        def encode(self, *_):
            return next(answers).encode()

    status, _, err = keys.run("key", "protect", source="terminal", phrase=Differing())
    assert status == EXIT_IDENTITY and "passphrases differ" in err, err
    assert CLEAR in keys.private()


@pytest.mark.parametrize("action", ["protect", "unprotect", "show"])
def test_the_option_belongs_to_rotate(keys, action):
    status, _, err = keys.run("key", action, "--no-passphrase")
    assert status == 2 and "rotate" in err, err
