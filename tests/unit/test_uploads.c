// uses p2p-peer
/* How p2p-peer counts uploads, with a clock that the test sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "p2p/log.h"
#include "peer/uploads/uploads_file.h"
#include "scratch.h"

/* Far ahead of the real clock, so that the thread of the uploads ends none of them. */
#define START_MS (UINT64_C(1) << 50)

struct world {
    struct scratch scratch;
    struct uploads *uploads;
};

static int
setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    scratch_make(&w->scratch);
    p2p_log_init("test", P2P_LOG_ERROR);
    assert_int_equal(uploads_open(w->scratch.dir, &w->uploads), P2P_OK);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;

    uploads_close(w->uploads);
    scratch_remove(&w->scratch);
    free(w);
    return 0;
}

static void
reopen(struct world *w)
{
    uploads_close(w->uploads);
    assert_int_equal(uploads_open(w->scratch.dir, &w->uploads), P2P_OK);
}

static void
add_of(struct world *w, uint32_t peer, const char *claim, uint32_t file, uint64_t bytes,
       uint64_t at_ms)
{
    struct p2p_id id = {{0}};
    struct p2p_digest root = {{0}};
    const struct upload_piece piece = {
        .peer = &id,
        .is_proven = true,
        .claim = claim,
        .root = &root,
        .name = "name",
        .size = 1000,
        .bytes = bytes,
    };

    for (unsigned i = 0; i < sizeof(peer); i++) {
        id.b[i] = (uint8_t)(peer >> 8 * i);
        root.b[i] = (uint8_t)(file >> 8 * i);
    }
    uploads_add(w->uploads, &piece, START_MS + at_ms);
}

static void
add(struct world *w, uint32_t peer, uint32_t file, uint64_t bytes, uint64_t at_ms)
{
    add_of(w, peer, "", file, bytes, at_ms);
}

static struct uploads_sum
sum(struct world *w, uint64_t at_ms)
{
    struct uploads_sum out;

    uploads_sum(w->uploads, &out, START_MS + at_ms);
    return out;
}

static void
pieces_of_one_content_to_one_peer_are_one_upload(void **state)
{
    struct world *w = *state;
    struct upload list[8];

    add(w, 1, 1, 100, 0);
    add(w, 1, 1, 100, 10);
    add(w, 1, 2, 100, 20);
    add(w, 2, 1, 100, 30);
    assert_int_equal(uploads_list(w->uploads, list, 8, START_MS + 30), 3);
    assert_int_equal(list[0].sent, 200);
    assert_int_equal(list[0].id, 1);
    assert_int_equal(list[2].id, 3);
    assert_int_equal(sum(w, 30).bytes, 400);
    assert_int_equal(uploads_list(w->uploads, list, 2, START_MS + 30), 2);
}

/* A client may tell its name only after it has begun to download, or over only one of
 * its connections. */
static void
the_last_name_that_the_peer_says_counts(void **state)
{
    struct world *w = *state;
    struct upload list[8];
    struct upload_peer peers[8];

    add_of(w, 1, "", 1, 100, 0);
    add_of(w, 1, "Old", 1, 100, 10);
    add_of(w, 1, "Laptop", 1, 100, 20);
    add_of(w, 1, "", 1, 700, 30);
    assert_int_equal(uploads_list(w->uploads, list, 8, START_MS + 30), 1);
    assert_string_equal(list[0].claim, "Laptop");
    uploads_end_paused(w->uploads, START_MS + UPLOADS_PAUSE_MS + 30);
    assert_int_equal(uploads_list(w->uploads, list, 8, START_MS + 30), 1);
    assert_string_equal(list[0].claim, "Laptop");
    add_of(w, 1, "", 2, 1000, UPLOADS_PAUSE_MS + 40);
    uploads_end_paused(w->uploads, START_MS + 2 * UPLOADS_PAUSE_MS + 40);
    assert_int_equal(uploads_peers(w->uploads, peers, 8), 1);
    assert_string_equal(peers[0].claim, "Laptop");
    assert_int_equal(peers[0].bytes, 2000);
}

static void
a_pause_ends_it_and_what_is_complete_ends_sooner(void **state)
{
    struct world *w = *state;
    struct upload list[8];

    add(w, 1, 1, 1000, 0);
    add(w, 1, 2, 999, 0);
    uploads_end_paused(w->uploads, START_MS + UPLOADS_DONE_PAUSE_MS - 1);
    assert_int_equal(sum(w, 0).running, 2);
    uploads_end_paused(w->uploads, START_MS + UPLOADS_DONE_PAUSE_MS);
    assert_int_equal(sum(w, 0).running, 1);
    uploads_end_paused(w->uploads, START_MS + UPLOADS_PAUSE_MS - 1);
    assert_int_equal(sum(w, 0).running, 1);
    uploads_end_paused(w->uploads, START_MS + UPLOADS_PAUSE_MS);
    assert_int_equal(sum(w, 0).running, 0);
    assert_int_equal(sum(w, 0).uploads, 2);
    assert_int_equal(sum(w, 0).bytes, 1999);
    assert_int_equal(uploads_list(w->uploads, list, 8, START_MS), 2);
    assert_int_equal(list[0].sent, 999); /* the latest one first */
    assert_true(list[0].ended_s > 0);
}

static void
the_speed_is_of_the_last_second(void **state)
{
    struct world *w = *state;

    add(w, 1, 1, 0, 0);
    for (uint64_t ms = 100; ms <= 1000; ms += 100)
        add(w, 1, 1, 50, ms);
    assert_int_equal(sum(w, 1000).speed, 500);
    assert_int_equal(sum(w, 1900).speed, 500);
    assert_int_equal(sum(w, 5000).speed, 0);
}

static void
running_ones_are_bounded_and_the_quiet_one_goes(void **state)
{
    struct world *w = *state;
    struct upload *list = calloc(UPLOADS_RUNNING_MAX + 1, sizeof(*list));

    for (uint32_t i = 0; i < UPLOADS_RUNNING_MAX; i++)
        add(w, 1, i, 1, i);
    add(w, 1, 0, 1, UPLOADS_RUNNING_MAX); /* the first one is the active one now */
    add(w, 2, 0, 1, UPLOADS_RUNNING_MAX + 1);
    assert_int_equal(sum(w, 0).running, UPLOADS_RUNNING_MAX);
    assert_int_equal(uploads_list(w->uploads, list, UPLOADS_RUNNING_MAX + 1, START_MS),
                     UPLOADS_RUNNING_MAX + 1);
    assert_int_equal(list[0].id, 1);
    assert_int_equal(list[1].id, 3);
    assert_int_equal(list[UPLOADS_RUNNING_MAX].id, 2); /* it has ended */
    free(list);
}

static void
strangers_do_not_push_out_who_downloads_much(void **state)
{
    struct world *w = *state;
    struct upload_peer best[2];

    add(w, 7, 1, 1000000, 0);
    for (uint32_t i = 100; i < 100 + 2 * UPLOADS_PEERS_MAX; i++)
        add(w, i, 1, 10, 1);
    uploads_end_paused(w->uploads, START_MS + 10 * UPLOADS_PAUSE_MS);
    assert_int_equal(sum(w, 0).peers, UPLOADS_PEERS_MAX);
    assert_int_equal(sum(w, 0).bytes, 1000000 + 20 * UPLOADS_PEERS_MAX);
    assert_int_equal(uploads_peers(w->uploads, best, 2), 2);
    assert_int_equal(best[0].id.b[0], 7);
    assert_int_equal(best[0].bytes, 1000000);
    reopen(w);
    assert_int_equal(sum(w, 0).peers, UPLOADS_PEERS_MAX);
    assert_int_equal(sum(w, 0).bytes, 1000000 + 20 * UPLOADS_PEERS_MAX);
    assert_int_equal(uploads_peers(w->uploads, best, 1), 1);
    assert_int_equal(best[0].bytes, 1000000);
}

static void
a_peer_that_proved_itself_once_stays_proven(void **state)
{
    struct world *w = *state;
    struct upload_peer peer;

    add(w, 1, 1, 1000, 0);
    reopen(w);
    assert_int_equal(uploads_peers(w->uploads, &peer, 1), 1);
    assert_true(peer.is_proven);
    assert_int_equal(peer.uploads, 1);
    assert_true(peer.last_s > 0);
}

static void
the_largest_numbers_are_stored(void **state)
{
    struct world *w = *state;
    struct uploads_totals *totals = calloc(2, sizeof(*totals));

    totals->since_s = totals->uploads = totals->bytes = UINT64_MAX;
    totals->count = UPLOADS_PEERS_MAX;
    for (size_t i = 0; i < totals->count; i++)
        totals->peers[i] = (struct upload_peer){.is_proven = true,
                                                .uploads = UINT64_MAX,
                                                .bytes = UINT64_MAX,
                                                .last_s = UINT64_MAX};
    assert_int_equal(uploads_store(w->scratch.dir, totals), P2P_OK);
    assert_int_equal(uploads_load(w->scratch.dir, &totals[1]), P2P_OK);
    assert_memory_equal(&totals[0], &totals[1], sizeof(*totals));
    free(totals);
}

static void
every_cut_and_every_flipped_byte_is_read_without_harm(void **state)
{
    struct world *w = *state;
    struct uploads_totals *totals = calloc(1, sizeof(*totals));
    const char *path = scratch_path(&w->scratch, "uploads");
    char text[512];
    size_t len;

    totals->since_s = 1;
    totals->count = 2;
    assert_int_equal(uploads_store(w->scratch.dir, totals), P2P_OK);
    FILE *file = fopen(path, "re");
    len = fread(text, 1, sizeof(text), file);
    fclose(file);
    assert_in_range(len, 100, sizeof(text) - 1);
    for (size_t i = 0; i < 2 * len; i++) {
        char copy[sizeof(text)];
        memcpy(copy, text, len);
        if (i >= len)
            copy[i - len] = (char)(copy[i - len] ^ 1);
        file = fopen(path, "we");
        fwrite(copy, 1, i < len ? i : len, file);
        fclose(file);
        enum p2p_err err = uploads_load(w->scratch.dir, totals);
        assert_true(err == P2P_OK || err == P2P_ERR_CORRUPT);
        assert_in_range(totals->count, 0, 2);
    }
    free(totals);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(pieces_of_one_content_to_one_peer_are_one_upload),
        T(the_last_name_that_the_peer_says_counts),
        T(a_pause_ends_it_and_what_is_complete_ends_sooner),
        T(the_speed_is_of_the_last_second),
        T(running_ones_are_bounded_and_the_quiet_one_goes),
        T(strangers_do_not_push_out_who_downloads_much),
        T(a_peer_that_proved_itself_once_stays_proven),
        T(the_largest_numbers_are_stored),
        T(every_cut_and_every_flipped_byte_is_read_without_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
