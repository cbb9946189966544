/*
 * forger - a client or a server that follows PROTOCOL.md only as far as a test wants.
 * It uses only the key schedule and the transcript, so it can seal messages that the
 * state machine never would: it knows all keys of its own handshake, like an attacker
 * in the place of one side.
 */
#ifndef TESTS_UNIT_FORGER_H
#define TESTS_UNIT_FORGER_H

#include "core/wire/schedule.h"
#include "core/wire/transcript.h"
#include "pair.h"

enum { FORGED_MAX = 900 };

/* Keys of tests/vectors/keys; valid between forger_init and forger_exit (a group
 * teardown). */
extern struct p2p_rsa *client_key, *server_key, *stranger_key;
bool forger_init(void);
int forger_exit(void **state);

/* Honest sides with client_key and server_key. */
struct side real_client(void);
struct side real_server(void);
/* Asserts that the side failed with this reason and gives out nothing more; frees it.
 */
void assert_failed(struct side *side, enum p2p_err err, const char *reason);

struct forger {
    struct p2p_transcript said;
    struct p2p_secret x25519, k, dh;
    struct p2p_secret_pair keys;  /* of M3 and M4 */
    struct p2p_secret_pair first; /* S_c(1), S_s(1): forger_finish */
    const struct p2p_rsa *own;
    uint8_t plain[FORGED_MAX]; /* sequence number of the next frame to seal */
    size_t plain_len;
};

/* Writes an honest hello to said.m1 or said.m2; a test may change it afterwards. */
void forger_hello(struct forger *f, enum p2p_role role, const struct p2p_rsa *own);
/* Computes dh and the keys of M3 and M4 when both hellos are there. */
void forger_agree(struct forger *f, enum p2p_role role);

/* Runs the real side `to` with honest hellos, until the forger has to send M3 or M4. */
void forger_meet_server(struct forger *f, const struct p2p_rsa *own,
                        struct side *server);
void forger_meet_client(struct forger *f, const struct p2p_rsa *own,
                        struct side *client);

/* Signs, encrypts and writes an honest M3 or M4 to `plain`. */
void forger_m3(struct forger *f);
void forger_m4(struct forger *f);
/* Writes the parts of the transcript again after a change. */
void forger_lay_out(struct forger *f, uint8_t type);

/* Seals plain as the frame of epoch 0 and lets `to` read it, then do its work. */
void forger_send(struct forger *f, struct side *to);

/* Makes a record of this forger as a client, after an honest M3 and the server's M4. */
void forger_finish(struct forger *f, struct side *server);

#endif
