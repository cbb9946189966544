"""An independent implementation of both wire protocols, written from docs/PROTOCOL.md.

It shares no code with the C programs. The end-to-end tests use it as a client and as a
server against the real programs, and tests/vectors/make_vectors.py uses it to write the
known answers which the C unit tests check.

    keys          RSA identities: SPKI, PEM, peer id, PSS and OAEP with chosen randomness
    schedule      protocol 2: transcript hashes and keys
    handshake     protocol 2: M1 to M5, both roles, no sockets
    record        protocol 2: sealed records after the handshake, rekeying
    msg           protocol 2: every message, encode beside decode
    tree          BEP 52 Merkle trees
    registration  the bytes a peer signs for the registry
    stream        sockets: exact reads with deadlines
    client, server    protocol 2 over a socket; the server can be told to lie
    protocol1     protocol 1, both roles
"""
