/*
 * share_fixture - a shared folder in a scratch directory, which a test opens and
 * closes.
 */
#ifndef P2P_SHARE_FIXTURE_H
#define P2P_SHARE_FIXTURE_H

#include "p2p/log.h"
#include "p2p/share.h"
#include "p2p/tree.h"
#include "patience.h"
#include "scratch.h"

/* Hashing runs at idle priority: it gets only the time that other programs leave. */
#define IDLE_MS patience_ms()
#ifndef QUIET_MS
#define QUIET_MS 50
#endif

struct shared {
    struct scratch scratch; /* the folder is "s" in this directory */
    struct p2p_share *share;
};

static UNUSED_OK void
shared_open(struct shared *f, uint32_t chunk_size)
{
    struct p2p_share_options opt = {
        .directory = scratch_path(&f->scratch, "s"),
        .chunk_size = chunk_size,
        .threads = 2,
        .quiet_ms = QUIET_MS,
    };

    assert_int_equal(p2p_share_open(&opt, &f->share), P2P_OK);
}

static UNUSED_OK void
shared_close(struct shared *f)
{
    p2p_share_close(f->share);
    f->share = NULL;
}

static UNUSED_OK void
shared_settle(struct shared *f)
{
    assert_int_equal(p2p_share_wait_idle(f->share, IDLE_MS), P2P_OK);
}

static UNUSED_OK int
shared_setup(void **state)
{
    struct shared *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    p2p_log_init("test_share", P2P_LOG_ERROR);
    scratch_make(&f->scratch);
    scratch_folder(&f->scratch, "s");
    *state = f;
    return 0;
}

static UNUSED_OK int
shared_teardown(void **state)
{
    struct shared *f = *state;

    shared_close(f);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

/* Bytes that depend on their position and on the seed. */
static UNUSED_OK uint8_t *
shared_bytes(size_t len, uint32_t seed)
{
    uint8_t *bytes = malloc(len + 1);

    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
    }
    return bytes;
}

static UNUSED_OK struct p2p_share_entry
shared_entry(struct shared *f, const char *name)
{
    struct p2p_share_entry entry;
    enum p2p_err err = p2p_share_find_name(f->share, name, &entry);

    if (err)
        fail_msg("%s: %s", name, p2p_err_name(err));
    return entry;
}

static UNUSED_OK enum p2p_err
shared_find(struct shared *f, const char *name)
{
    struct p2p_share_entry entry;

    return p2p_share_find_name(f->share, name, &entry);
}

static UNUSED_OK size_t
shared_count(struct shared *f)
{
    struct p2p_share_totals totals;

    p2p_share_totals(f->share, &totals);
    return totals.files;
}

static UNUSED_OK uint64_t
shared_hashed(struct shared *f)
{
    struct p2p_share_totals totals;

    p2p_share_totals(f->share, &totals);
    return totals.hashed_bytes;
}

/* The entry describes exactly these bytes: root, layer and SHA-256. */
static UNUSED_OK void
shared_check(struct shared *f, const char *name, const uint8_t *data, size_t len)
{
    struct p2p_share_entry entry = shared_entry(f, name);
    const struct p2p_chunks *g = &entry.geometry;
    struct p2p_digest *layer = calloc(g->count + 1, sizeof(*layer)), digest;

    assert_int_equal(g->size, len);
    for (uint64_t i = 0; i < g->count; i++)
        assert_int_equal(p2p_tree_chunk(g, data + p2p_chunk_offset(g, i),
                                        p2p_chunk_length(g, i), &layer[i]),
                         P2P_OK);
    assert_int_equal(p2p_tree_root(g, layer, &digest), P2P_OK);
    assert_memory_equal(entry.root.b, digest.b, sizeof(digest.b));
    for (uint64_t i = 0; i < g->count; i++) {
        assert_int_equal(p2p_share_layer(f->share, &entry.root, i, 1, &digest), P2P_OK);
        assert_memory_equal(digest.b, layer[i].b, sizeof(digest.b));
    }
    assert_int_equal(p2p_sha256(data, len, &digest), P2P_OK);
    assert_true(entry.sha256_known);
    assert_memory_equal(entry.sha256.b, digest.b, sizeof(digest.b));
    free(layer);
}

#endif
