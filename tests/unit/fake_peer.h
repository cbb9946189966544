/*
 * fake_peer - a small server of protocol 2 for tests of the client: it serves files
 * from memory, well or badly. Built on the same handshake, session and messages as the
 * real one; one thread a connection.
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

/* How it misbehaves; all zero: it does not. */
struct fake_manners {
    bool wrong_bytes;  /* the first byte of each request is flipped */
    uint64_t honest;   /* not in the first so many bytes of a connection */
    bool wrong_layer;  /* a hash of the layer is */
    bool wrong_sha256; /* META states another one */
    bool hide_sha256;  /* META states none */
    int64_t size_lie;  /* added to the size in META */
    bool unasked;      /* DATA of a request nobody made, before the first answer */
    bool twice;        /* the last DATA of each request again */
    bool after_cancel; /* DATA of a cancelled request after the PONG */
    bool zstd;         /* DATA as zstd frames */
    bool zstd_bomb;    /* frames that state more than there is room for */
    uint64_t
        die_after; /* bytes in all, then connections are reset and new ones refused */
    uint64_t drop_every;   /* bytes of a connection, then it is closed */
    uint64_t stall_after;  /* bytes in all, then silence */
    uint64_t change_after; /* bytes in all, then ERROR 6 */
    uint64_t bytes_per_s;  /* of each connection; 0: as fast as it goes */
    unsigned nap_ms; /* each connection is silent for so long after its first DATA */
    unsigned hello_delay_ms; /* before the handshake: others are first */
    bool not_found;
    const char *name; /* what INFO says; NULL: it does not know INFO? */
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
    atomic_ullong sent, connections, gets, cancels;
    atomic_bool stop;
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
