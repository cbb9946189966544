/*
 * forger - a client or a server that follows PROTOCOL.md only as far as a test wants.
 *
 * It is put together from the schedule and the transcript alone, so that it can seal
 * what the state machine never would: it knows every key of its own handshake, as an
 * attacker in the place of one side does.
 */
#ifndef TESTS_UNIT_FORGER_H
#define TESTS_UNIT_FORGER_H

#include "core/wire/schedule.h"
#include "core/wire/transcript.h"
#include "pair.h"

enum { FORGED_MAX = 900 };

/* Keys of tests/vectors/keys, between forger_init and forger_exit (a group teardown).
 */
extern struct p2p_rsa *client_key, *server_key, *stranger_key;
bool forger_init(void);
int forger_exit(void **state);

/* Honest sides with client_key and server_key. */
struct side real_client(void);
struct side real_server(void);
/* The side failed with this reason, gives nothing more out, and is freed. */
void assert_failed(struct side *side, enum p2p_err err, const char *reason);

struct forger {
    struct p2p_transcript said;
    struct p2p_secret x25519, k, dh;
    struct p2p_secret_pair keys;  /* of M3 and M4 */
    struct p2p_secret_pair first; /* S_c(1), S_s(1): forger_finish */
    const struct p2p_rsa *own;
    uint8_t plain[FORGED_MAX]; /* of the frame to seal next */
    size_t plain_len;
};

/* An honest hello in said.m1 or said.m2, which a test may change. */
void forger_hello(struct forger *f, enum p2p_role role, const struct p2p_rsa *own);
/* dh and the keys of M3 and M4, once both hellos are there. */
void forger_agree(struct forger *f, enum p2p_role role);

/* Runs the real side `to` up to the forger's M3 or M4, with honest hellos. */
void forger_meet_server(struct forger *f, const struct p2p_rsa *own,
                        struct side *server);
void forger_meet_client(struct forger *f, const struct p2p_rsa *own,
                        struct side *client);

/* Signs, encrypts and lays out an honest M3 or M4 in plain. */
void forger_m3(struct forger *f);
void forger_m4(struct forger *f);
/* Lays the parts of the transcript out again after a change. */
void forger_lay_out(struct forger *f, uint8_t type);

/* Seals plain as the frame of epoch 0 and lets `to` read it, then do its work. */
void forger_send(struct forger *f, struct side *to);

/* A record of this forger as a client, after an honest M3 and the server's M4. */
void forger_finish(struct forger *f, struct side *server);

#endif
