/*
 * taker - a process of its own that talks with the guests of a link and writes what
 * they bring: it may write the one folder and nothing else (p2p/sandbox.h). It can open
 * neither the keys folder nor shared files; it has the key of this device in memory, to
 * sign its answers, as p2p-peer has. What it tells is JSON, a
 * message each: {"event":"failed","error":TEXT} before anything else and then nothing
 * more; "ready"; "guest"; "stored" with name and size; "guest_done"; and "status" at
 * least once a second. Single-threaded.
 */
#ifndef CLI_TAKER_H
#define CLI_TAKER_H

#include <sys/types.h>

#include "p2p/crypto.h"
#include "p2p/link.h"

struct cJSON;

struct taker_options {
    const char *folder, *url;  /* of the registry */
    struct p2p_id peer;        /* told to guests, as the title and the name */
    const struct p2p_rsa *key; /* the peer's own, signs the answers to guests */
    const char *title, *name;
    struct p2p_link_keys keys;
    uint64_t expires_s, uses, bytes, timeout_ms;
    bool has_pin;
    struct p2p_link_pin pin;
};

struct taker {
    pid_t pid; /* 0: none runs */
    int fd;    /* readable: there is a message */
};

/* Starts it; before this program has other threads. SYS. */
P2P_MUST_CHECK enum p2p_err taker_start(struct taker *t,
                                        const struct taker_options *opt);
/* The next message; *returns owned*. NULL: it has ended. */
struct cJSON *taker_read(const struct taker *t);
/* Ends it: all its guests, too. One that was never started is fine. */
void taker_stop(struct taker *t);

#endif
