"""Frames and the records of protocol 2."""

import os
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .schedule import epoch_key, next_epoch

OVERHEAD = 28  # nonce and tag
MAX_PLAINTEXT = 65600
READY, REKEY, CLOSE = 5, 6, 7


def aad(sender, epoch, seq):
    return sender + struct.pack(">IQ", epoch, seq)


def seal(key, plaintext, aad_bytes=None, nonce=None):
    """A whole frame: length, nonce, ciphertext, tag."""
    nonce = nonce or os.urandom(12)
    sealed = AESGCM(key).encrypt(nonce, plaintext, aad_bytes)
    return struct.pack(">I", 12 + len(sealed)) + nonce + sealed


def open_frame(key, body, aad_bytes=None):
    """The plaintext of a frame's body (what follows the length)."""
    return AESGCM(key).decrypt(body[:12], body[12:], aad_bytes)


class Direction:
    """One direction of a session: secret, epoch and sequence number."""

    def __init__(self, sender, secret):
        self.sender, self.secret = sender, secret
        self.epoch, self.seq = 1, 1

    def next_aad(self):
        result = aad(self.sender, self.epoch, self.seq)
        self.seq += 1
        return result

    def seal(self, plaintext, nonce=None):
        frame = seal(epoch_key(self.secret), plaintext, self.next_aad(), nonce)
        if plaintext[0] == REKEY:
            self.rekey()
        return frame

    def open(self, body):
        plaintext = open_frame(epoch_key(self.secret), body, self.next_aad())
        if plaintext[0] == REKEY:
            if len(plaintext) != 1:
                raise ValueError("REKEY carries bytes")
            self.rekey()
        return plaintext

    def rekey(self):
        self.epoch += 1
        self.secret = next_epoch(self.secret)
