/*
 * liar - a peer of protocol 2 whose answers come from a fuzzer's input. Its handshake
 * and its encryption are right, so that a client accepts it. Each request takes the
 * next byte of the input, which chooses the answer; when the input is used up, it is
 * honest. One thread per connection; all liars share the input.
 */
#ifndef TESTS_FUZZ_LIAR_H
#define TESTS_FUZZ_LIAR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "p2p/chunk.h"
#include "p2p/crypto.h"
#include "p2p/download.h"

/* The file that all liars have. */
struct liar_file {
    const char *name;
    const uint8_t *data;
    struct p2p_chunks geometry;
    struct p2p_digest root, sha256, *layer;
};

struct liar_script {
    pthread_mutex_t lock;
    const uint8_t *at;
    size_t left;
};

struct liar {
    const struct p2p_rsa *key;
    struct p2p_id id;
    const struct liar_file *file;
    struct liar_script *script;
    int fd;
    uint16_t port;
    atomic_bool stop;
    atomic_int running;
    atomic_uint answers;
    pthread_t thread;
};

/* `key`, `file` and `script` are borrowed until liar_stop. */
void liar_start(struct liar *l, const struct p2p_rsa *key, const struct liar_file *file,
                struct liar_script *script);
void liar_stop(struct liar *l);
struct p2p_source_spec liar_spec(const struct liar *l);

#endif
