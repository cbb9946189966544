// uses tests/unit/fake_peer.c
/* reading a download before it is complete: verified bytes only, wanted ones first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dl_fixture.h"

#define PART (8 * CHUNK)

/* Slow enough for the reader to be first. */
static void
limit_peers(struct fixture *f, unsigned count, uint64_t bytes_per_s)
{
    for (unsigned i = 0; i < count; i++)
        f->peers[i].manners.bytes_per_s = bytes_per_s;
    start_peers(f, count);
}

/* The reader stands there; nothing has arrived yet. */
static void
stand(struct fixture *f, unsigned reader, uint64_t offset)
{
    struct p2p_download_bytes got;
    uint8_t byte;

    assert_int_equal(p2p_download_read(f->dl, reader, offset, &byte, 1, &got),
                     P2P_ERR_BUSY);
}

/* Reads `len` bytes as they arrive and compares them. */
static void
read_part(struct fixture *f, unsigned reader, uint64_t offset, size_t len)
{
    uint64_t end_ms = patience_end_ms();
    uint8_t buf[CHUNK];

    while (len > 0) {
        struct p2p_download_bytes got;
        size_t max = len < sizeof(buf) ? len : sizeof(buf);
        enum p2p_err err = p2p_download_read(f->dl, reader, offset, buf, max, &got);

        if (err == P2P_ERR_BUSY) {
            assert_true(p2p_now_ms() < end_ms);
            usleep(1000);
            continue;
        }
        assert_int_equal(err, P2P_OK);
        assert_true(got.count > 0 && got.count <= max);
        assert_int_equal(got.size, f->size);
        assert_memory_equal(buf, f->data + offset, got.count);
        offset += got.count;
        len -= got.count;
    }
}

/* The source sends a quarter of the file and is silent then: in the order of the file,
 * what the reader needs would never come. */
static void
a_seek_comes_before_the_rest(void **state)
{
    struct fixture *f = *state;
    struct fake_manners *manners = &f->peers[0].manners;

    manners->stall_after = f->size / 4;
    f->opt.connections = 1;
    start_peers(f, 1);
    begin(f);
    stand(f, 3, f->size - PART);
    read_part(f, 3, f->size - PART, PART);
    for (uint64_t at = 4; at > 2; at--) {
        p2p_download_pause(f->dl);
        wait_for_state(f, P2P_DL_PAUSED);
        stand(f, 3, at * f->size / 6);
        manners->stall_after = f->peers[0].sent + f->size / 4;
        p2p_download_resume(f->dl);
        read_part(f, 3, at * f->size / 6, PART);
    }
    p2p_download_pause(f->dl);
    wait_for_state(f, P2P_DL_PAUSED);
    manners->stall_after = 0;
    p2p_download_resume(f->dl);
    end(f, P2P_OK);
    assert_complete(f);
}

/* Nothing that waits in a queue at the source is in the way. */
static void
a_seek_cancels_what_can_wait(void **state)
{
    struct fixture *f = *state;

    limit_peers(f, 2, 64 * P2P_KIB);
    begin(f);
    /* Once, all connections are open and have requests in the queue. */
    for (uint64_t at = 11; f->peers[0].cancels + f->peers[1].cancels == 0; at--) {
        assert_true(at > 0);
        read_part(f, 31, at * f->size / 12, CHUNK);
    }
    p2p_download_stop_reading(f->dl, 31);
    p2p_download_cancel(f->dl, false);
    end(f, P2P_ERR_CANCELLED);
}

static void
a_liar_is_never_read(void **state)
{
    struct fixture *f = *state;

    f->size = P2P_MIB;
    limit_peers(f, 2, P2P_MIB);
    f->peers[0].manners.wrong_bytes = true;
    begin(f);
    read_part(f, 0, f->size / 2, PART);
    read_part(f, 0, 0, PART);
    end(f, P2P_OK);
    assert_complete(f);
}

static void
what_cannot_be_read_is_said(void **state)
{
    struct fixture *f = *state;
    struct p2p_download_bytes got;
    uint8_t byte;

    f->peers[0].manners.stall_after = f->size / 2;
    start_peers(f, 1);
    begin(f);
    read_part(f, 0, 0, 1);
    assert_int_equal(p2p_download_read(f->dl, 0, f->size, &byte, 1, &got),
                     P2P_ERR_RANGE);
    assert_int_equal(p2p_download_read(f->dl, 0, UINT64_MAX, &byte, 1, &got),
                     P2P_ERR_RANGE);
    assert_int_equal(
        p2p_download_read(f->dl, P2P_DOWNLOAD_READERS_MAX, 0, &byte, 1, &got),
        P2P_ERR_USAGE);
    p2p_download_stop_reading(f->dl, P2P_DOWNLOAD_READERS_MAX);
    p2p_download_cancel(f->dl, false);
    end(f, P2P_ERR_CANCELLED);
}

static void
pieces_say_who_sent_them(void **state)
{
    struct fixture *f = *state;
    struct p2p_download_pieces *p = malloc(sizeof(*p));
    uint64_t sum = 0;

    assert_non_null(p);
    f->size = P2P_MIB;
    limit_peers(f, 2, 2 * P2P_MIB);
    begin(f);
    assert_int_equal(p2p_download_wait(f->dl), P2P_OK);
    p2p_download_pieces(f->dl, p);
    assert_int_equal(p->count, (f->size + CHUNK - 1) / CHUNK);
    assert_int_equal(p->size, CHUNK);
    assert_int_equal(p->cell_count, p->count);
    assert_in_range(p->sender_count, 1,
                    2); /* one may have been faster than the other came */
    for (unsigned i = 0; i < p->sender_count; i++) {
        assert_true(p2p_id_equal(&p->senders[i].id, &f->peers[0].id) ||
                    p2p_id_equal(&p->senders[i].id, &f->peers[1].id));
        sum += p->senders[i].pieces;
    }
    assert_int_equal(sum, p->count);
    for (unsigned i = 0; i < p->cell_count; i++) {
        assert_int_equal(p->cells[i].done, 100);
        assert_in_range(p->cells[i].sender, 0, p->sender_count - 1);
    }
    free(p);
    end(f, P2P_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_seek_comes_before_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(a_liar_is_never_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_seek_cancels_what_can_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(pieces_say_who_sent_them, setup, teardown),
    };

    p2p_log_init("test_reading", P2P_LOG_ERROR);
    if (p2p_crypto_init() != P2P_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
