"""RSA identities. PSS and OAEP are written out here, so that salt and seed can be chosen."""

import base64
import hashlib
import hmac
import os
import textwrap

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SPKI_PREFIX = bytes.fromhex("30820122300d06092a864886f70d01010105000382010f003082010a0282010100")
SPKI_SUFFIX = bytes.fromhex("0203010001")
SPKI_LEN = 294
HASH_LEN = 32


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def spki_of_modulus(n):
    return SPKI_PREFIX + n.to_bytes(256, "big") + SPKI_SUFFIX


def pem_of_spki(spki):
    lines = textwrap.wrap(base64.b64encode(spki).decode(), 64)
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]).encode()


def peer_id_of_pem(pem):
    return hashlib.sha256(pem).hexdigest()


def peer_id_of_spki(spki):
    return peer_id_of_pem(pem_of_spki(spki))


def modulus_of_spki(spki):
    """The modulus of a canonical RSA-2048 SPKI with e = 65537; ValueError for anything else."""
    n = spki[len(SPKI_PREFIX) : -len(SPKI_SUFFIX)]
    if len(spki) != SPKI_LEN or spki != SPKI_PREFIX + n + SPKI_SUFFIX:
        raise ValueError("not the canonical form of an RSA-2048 key")
    if not n[0] & 0x80 or not n[-1] & 1:
        raise ValueError("modulus is not an odd number of 2048 bits")
    return int.from_bytes(n, "big")


def mgf1(seed, length):
    blocks = (sha256(seed, i.to_bytes(4, "big")) for i in range(-(-length // HASH_LEN)))
    return b"".join(blocks)[:length]


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def pss_encode(message, salt, modulus_bits=2048):
    """RFC 8017, 9.1.1, with SHA-256 and MGF1-SHA-256."""
    em_bits = modulus_bits - 1
    em_len = (em_bits + 7) // 8
    digest = sha256(bytes(8), sha256(message), salt)
    block = bytes(em_len - len(salt) - HASH_LEN - 2) + b"\x01" + salt
    masked = bytearray(xor(block, mgf1(digest, len(block))))
    masked[0] &= 0xFF >> (8 * em_len - em_bits)
    return bytes(masked) + digest + b"\xbc"


def oaep_encode(message, label, seed, length=256):
    """RFC 8017, 7.1.1, with SHA-256 and MGF1-SHA-256."""
    padding_zeros = bytes(length - len(message) - 2 * HASH_LEN - 2)
    block = sha256(label) + padding_zeros + b"\x01" + message
    masked = xor(block, mgf1(seed, len(block)))
    return b"\x00" + xor(seed, mgf1(masked, HASH_LEN)) + masked


def oaep_decode(encoded, label):
    seed = xor(encoded[1:33], mgf1(encoded[33:], HASH_LEN))
    block = xor(encoded[33:], mgf1(seed, len(encoded) - 33))
    zeros, one, message = block[HASH_LEN:].partition(b"\x01")
    label_fits = hmac.compare_digest(block[:HASH_LEN], sha256(label))
    if encoded[0] or not label_fits or not one or any(zeros):
        raise ValueError("OAEP does not decode")
    return message


def oaep_encrypt(spki, message, label=b"", seed=None):
    block = oaep_encode(message, label, seed or os.urandom(HASH_LEN))
    return pow(int.from_bytes(block, "big"), 65537, modulus_of_spki(spki)).to_bytes(256, "big")


def pss_verify(spki, message, signature):
    """True or false, according to the library and not to the code above."""
    key = rsa.RSAPublicNumbers(65537, modulus_of_spki(spki)).public_key()
    try:
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
        key.verify(signature, message, pss, hashes.SHA256())
    except Exception:
        return False
    return True


class Identity:
    """An RSA-2048 key pair."""

    def __init__(self, private_key=None):
        self.key = private_key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.numbers = self.key.private_numbers()
        self.spki = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.pem = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.peer_id = peer_id_of_pem(self.pem)

    @classmethod
    def load(cls, path):
        with open(path, "rb") as file:
            return cls(serialization.load_pem_private_key(file.read(), password=None))

    def private_pem(self):
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def raw(self, block):
        """The RSA private operation, by the Chinese remainder theorem."""
        c, keys = int.from_bytes(block, "big"), self.numbers
        m_p = pow(c, keys.dmp1, keys.p)
        m_q = pow(c, keys.dmq1, keys.q)
        return (m_q + keys.q * (keys.iqmp * (m_p - m_q) % keys.p)).to_bytes(len(block), "big")

    def sign(self, message, salt=None):
        return self.raw(pss_encode(message, salt or os.urandom(32)))

    def oaep_decrypt(self, ciphertext, label=b""):
        return oaep_decode(self.raw(ciphertext), label)
