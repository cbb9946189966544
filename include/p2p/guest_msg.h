/*
 * guest_msg - the messages by which a guest of a link puts files into a folder
 * (PROTOCOL.md, "Links that take files"): encode beside decode. What else both sides
 * say are messages of protocol 2 (msg.h). Decoders check every length; names and
 * numbers are the caller's to judge. Decoded names borrow the buffer. No allocation.
 */
#ifndef P2P_GUEST_MSG_H
#define P2P_GUEST_MSG_H

#include "p2p/msg.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

enum {
    P2P_MSG_HAVE = 0x41,
    P2P_MSG_STORED = 0x42,
    P2P_MSG_PROOF = 0x43,
};

/* HAVE: a file that the guest would like to give. */
struct p2p_have {
    uint32_t file; /* a number that the guest chose */
    uint64_t size, mtime_s;
    struct p2p_text name; /* may have slashes */
};

/* STORED: what became of it. */
enum p2p_stored_result {
    P2P_STORED_OK = 0,
    P2P_STORED_NAME = 1,  /* the name cannot be used */
    P2P_STORED_ROOM = 2,  /* the link takes no more bytes, or the disk is full */
    P2P_STORED_COUNT = 3, /* there are too many files */
    P2P_STORED_HASH =
        4, /* the bytes that arrived differ from those that the guest has read */
    P2P_STORED_DISK = 5,      /* it cannot be written */
    P2P_STORED_CANCELLED = 6, /* by the guest */
};
struct p2p_stored {
    uint32_t file;
    uint8_t result;
    struct p2p_text name; /* with P2P_STORED_OK: the name that it got */
};

/* PROOF: all bytes were sent; this is their SHA-256. */
struct p2p_proof {
    uint32_t file;
    struct p2p_digest sha256;
};

/* Writes the type and the body; the name has at most UINT16_MAX bytes. */
void p2p_have_put(struct p2p_wr *wr, const struct p2p_have *have);
/* As p2p_have_put. */
void p2p_stored_put(struct p2p_wr *wr, const struct p2p_stored *stored);
/* As p2p_have_put. */
void p2p_proof_put(struct p2p_wr *wr, const struct p2p_proof *proof);
/* Reads one message, with its type. MALFORMED. */
P2P_MUST_CHECK enum p2p_err p2p_have_parse(const void *plain, size_t len,
                                           struct p2p_have *out);
/* As p2p_have_parse; the result may be one that is not known yet. */
P2P_MUST_CHECK enum p2p_err p2p_stored_parse(const void *plain, size_t len,
                                             struct p2p_stored *out);
/* As p2p_have_parse. */
P2P_MUST_CHECK enum p2p_err p2p_proof_parse(const void *plain, size_t len,
                                            struct p2p_proof *out);

/* The root in a GET to a guest: the number of the file. */
void p2p_guest_root(uint32_t file, struct p2p_digest *out);
/* The number in it; false: it is a root of another kind. */
bool p2p_guest_file_of(const struct p2p_digest *root, uint32_t *file);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
