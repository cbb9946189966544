/*
 * pair - a client and a server that run a handshake with each other in memory. A test
 * can change the messages between the calls.
 */
#ifndef TESTS_UNIT_PAIR_H
#define TESTS_UNIT_PAIR_H

#include "p2p/handshake.h"

struct side {
    struct p2p_handshake *hs;
    enum p2p_err err; /* error of the call that failed */
    uint8_t written;  /* messages */
};

struct wire {
    uint8_t bytes[P2P_M4_SIZE];
    size_t len;
};

/* Randomness that is always the same for the same tag. */
struct p2p_handshake_random fixed_random(uint8_t tag);

/* A new handshake in its first step. End it with side_end. */
struct side side_new(enum p2p_role role, const struct p2p_rsa *own, uint8_t tag);
void side_end(struct side *side);

/* Runs TRUST (with `verdict`) and WORK steps until another step is next. */
void side_work(struct side *side, enum p2p_err verdict);
/* WRITE, after side_work. Asserts nothing and leaves out->len 0 if it fails. */
void side_write(struct side *side, struct wire *out);
/* READ from a heap block of exactly in->len bytes. */
void side_read(struct side *side, const struct wire *in);

/* All five messages, unchanged, into m[0..4]; asserts that both are done. */
void pair_run(struct side *client, struct side *server, struct wire m[5]);

/* The same, run by both sides; *returns* the four directions through the pointers. */
struct session_pair {
    struct p2p_direction client_send, client_receive, server_send, server_receive;
};
void pair_take(struct side *client, struct side *server, uint64_t now_s,
               struct session_pair *out);

#endif
