/*
 * fake_peer - a small server of protocol 2 for tests of the client. It serves files
 * from memory, correctly or incorrectly. It uses the same handshake, session and
 * messages as the real server, with one thread per connection.
 */
#ifndef TESTS_UNIT_FAKE_PEER_H
#define TESTS_UNIT_FAKE_PEER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "p2p/chunk.h"
#include "p2p/crypto.h"
#include "p2p/download.h"

struct fake_file {
    char name[64];
    const uint8_t *data; /* borrowed */
    struct p2p_chunks geometry;
    struct p2p_digest root, sha256, *layer;
};

/* The ways in which it misbehaves; all zero: it does not. */
struct fake_manners {
    bool wrong_bytes;  /* the first byte of each request is flipped */
    uint64_t honest;   /* but not in this many first bytes of a connection */
    bool wrong_layer;  /* a hash of the layer is wrong */
    bool wrong_sha256; /* META states a different root */
    bool hide_sha256;  /* META states none */
    int64_t size_lie;  /* added to the size in META */
    bool unasked;      /* sends DATA that was not requested before the first answer */
    bool twice;        /* sends the last DATA of each request twice */
    bool after_cancel; /* sends DATA of a cancelled request after the PONG */
    bool zstd;         /* sends DATA as zstd frames */
    bool zstd_bomb;    /* the frames state more bytes than a record may hold */
    uint64_t
        die_after; /* bytes in total; then it resets connections and refuses new ones */
    uint64_t drop_every;   /* bytes of one connection; then it closes this connection */
    uint64_t stall_after;  /* bytes in total; then it is silent */
    uint64_t change_after; /* bytes in total; then it sends ERROR 6 */
    uint64_t bytes_per_s;  /* speed of each connection; 0: no limit */
    unsigned nap_ms; /* each connection is silent for this long after its first DATA */
    /* The handshake waits until this peer was asked for bytes, or was left; and then as
     * long as that. So the other peer is first on a machine of any speed. */
    const struct fake_peer *hello_after;
    unsigned hello_delay_ms;
    /* No DATA leaves before each of these peers was asked for bytes, or was left. So
     * all of them take part on a machine of any speed. */
    const struct fake_peer *together;
    unsigned together_count;
    /* After each page of the list but the last, before the next request is read. */
    void (*on_page)(void *arg);
    void *page_arg;
    bool not_found;
    const char *name;   /* the name in INFO; NULL: the peer does not know INFO? */
    uint64_t log;       /* of its list of changes; 0: the peer does not know CHANGES? */
    uint64_t upto, cut; /* how far it goes, and from where on */
    const char *const *gone;       /* what it deleted, in the last change; borrowed */
    size_t gone_count;             /* at most 256 */
    size_t here_first, here_count; /* of its files: those of the last change */
    bool leaves;                   /* it knows LEAVES?, and then */
    bool wrong_leaves;             /* the hashes are wrong */
    bool equal_sums;               /* all sums are zero */
    unsigned leaves_refused;       /* answers with this error */
};

#define FAKE_FILES_MAX 4096
struct fake_peer {
    struct p2p_rsa *key;
    struct p2p_id id;
    struct fake_manners manners;
    struct fake_file *files;
    size_t file_count;
    int fd;
    uint16_t port;
    atomic_ullong sent, connections, gets, cancels, lists, leaves_gets;
    atomic_bool stop, was_tried;
    atomic_int running;
    pthread_t thread;
};

/* Starts serving at a free port of 127.0.0.1. */
void fake_peer_start(struct fake_peer *p);
/* `data` is borrowed. Before the first connection. */
struct fake_file *fake_peer_add(struct fake_peer *p, const char *name,
                                const uint8_t *data, uint64_t size,
                                uint32_t chunk_size);
void fake_peer_stop(struct fake_peer *p);
struct p2p_source_spec fake_peer_spec(const struct fake_peer *p);

#endif
