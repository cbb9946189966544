/*
 * link - the secret of a link, by which anybody with a browser gets files (PROTOCOL.md,
 * "Links"), what is derived from it, and what a guest and the peer tell each other
 * through boxes at a registry to open a channel. The secret is 16 bytes that only the
 * link itself holds, behind its '#'. Both messages carry a MAC under it: so neither the
 * registry nor the network can stand between guest and peer. Trust boundary:
 * p2p_guest_call_parse, p2p_guest_answer_parse. No sockets, no clock. Thread-safe.
 */
#ifndef P2P_LINK_H
#define P2P_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/call.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_link_secret {
    uint8_t b[16];
};
#define P2P_LINK_TEXT 23 /* the secret as text, with its NUL */
#define P2P_LINK_URL  (P2P_LINK_TEXT + 310)

/* What the peer keeps of a link: enough to answer its guests, and to be one. */
struct p2p_link_keys {
    struct p2p_box_number box; /* where the peer waits for guests */
    struct p2p_secret mac;     /* of calls and answers */
    struct p2p_id guest;       /* the id under which guests of this link are served */
};

/* A new secret. CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_link_make(struct p2p_link_secret *out);
/* Derives the keys. CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_link_derive(const struct p2p_link_secret *secret,
                                            struct p2p_link_keys *out);
/* The 22 characters of a secret, and back (USAGE: it is none). Returns out. */
const char *p2p_link_format(const struct p2p_link_secret *secret,
                            char out[P2P_LINK_TEXT]);
/* See p2p_link_format. */
P2P_MUST_CHECK enum p2p_err p2p_link_parse(const char *text,
                                           struct p2p_link_secret *out);
/* Writes the link as a browser opens it: the registry's URL, "/l#" and the secret. */
P2P_MUST_CHECK enum p2p_err p2p_link_url(const char *registry,
                                         const struct p2p_link_secret *secret,
                                         char out[P2P_LINK_URL]);

/* Reads a link as people paste it: the registry (a URL, or a host as behind a code),
 * "/l#" and the secret. `registry` gets the URL. USAGE: it is none. */
P2P_MUST_CHECK enum p2p_err p2p_link_parse_url(const char *text, char *registry,
                                               size_t cap, struct p2p_link_secret *out);
/* True if the text may be meant as a link: it has "/l#". */
bool p2p_link_is_meant(const char *text);

/* What a guest shows to prove that it knows the PIN of the link, too. CRYPTO. */
struct p2p_link_pin {
    uint8_t b[16];
};
P2P_MUST_CHECK enum p2p_err p2p_link_pin_of(const struct p2p_link_keys *keys,
                                            const char *pin, struct p2p_link_pin *out);

/* One guest, over several connections: a number that it chose. */
struct p2p_guest_id {
    uint8_t b[16];
};

/* The number of this device as a guest of this link: the same each time, so a device
 * that resumes does not use the link again. CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_guest_id_of(const struct p2p_link_keys *keys,
                                            const struct p2p_id *device,
                                            struct p2p_guest_id *out);

struct p2p_guest_call {
    struct p2p_session_id session;
    struct p2p_guest_id guest;
    struct p2p_box_number box;   /* of the link */
    struct p2p_box_number reply; /* where the guest waits for the answer */
    uint64_t expires_s;
    struct p2p_call_channel channel;
};

/* Reads a call. TOO_LARGE, MALFORMED; AUTH: its MAC is not of this link; TIMEOUT: it
 * has expired at `now_s`, or is valid for too long. */
P2P_MUST_CHECK enum p2p_err p2p_guest_call_parse(const char *text, size_t len,
                                                 const struct p2p_link_keys *keys,
                                                 uint64_t now_s,
                                                 struct p2p_guest_call *out);
/* The call as JSON, with its MAC. *Returns owned*, free(). NULL: out of memory. */
char *p2p_guest_call_format(const struct p2p_guest_call *call,
                            const struct p2p_link_keys *keys);

/* The answer to this call: JSON with the channel of the peer, signed with its `key`
 * (NULL: not signed, and its id is a claim). *Returns owned*, free(). NULL: out of
 * memory, CRYPTO. */
char *p2p_guest_answer_format(const struct p2p_guest_call *call,
                              const struct p2p_link_keys *keys,
                              const struct p2p_rsa *key, const struct p2p_id *peer,
                              const struct p2p_call_channel *channel);
/* Reads the answer to this call. TOO_LARGE, MALFORMED; AUTH: its MAC is not of this
 * link and this call, or it has a signature that is not of this peer. */
P2P_MUST_CHECK enum p2p_err p2p_guest_answer_parse(const char *text, size_t len,
                                                   const struct p2p_guest_call *call,
                                                   const struct p2p_link_keys *keys,
                                                   struct p2p_id *peer,
                                                   struct p2p_call_channel *channel);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
