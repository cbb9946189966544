/* Guests of a link who put files into a folder: a guest here is one end of a pair of
 * sockets, and says what it wants. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "p2p/clock.h"
#include "p2p/frame.h"
#include "p2p/guest_msg.h"
#include "p2p/intake.h"
#include "p2p/net.h"
#include "scratch.h"

enum { LIMIT_MS = 30000, PIECE = 64 * 1024 };

static const struct p2p_guest_id one = {{1}}, two = {{2}};

struct fixture {
    struct scratch scratch;
    struct p2p_root *root;
    struct p2p_intake *intake;
    struct p2p_intake_options options;
    _Atomic unsigned events[3];
};

/* A guest, and the thread that talks with it. */
struct guest {
    struct p2p_intake *intake;
    struct p2p_guest_id id;
    pthread_t thread;
    int fd, served;
    uint8_t frame[P2P_RECORD_PLAIN_MAX];
    size_t len;
};

static void
on_event(void *arg, enum p2p_intake_event event, const char *name, uint64_t size)
{
    struct fixture *f = arg;

    (void)size;
    assert_true((event == P2P_INTAKE_STORED) == (name != NULL));
    f->events[event]++;
}

static int
set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    scratch_make(&f->scratch);
    assert_int_equal(
        p2p_root_open(scratch_path(&f->scratch, "in"), true, 0755, &f->root), P2P_OK);
    f->options = (struct p2p_intake_options){
        .root = f->root,
        .title = "for us",
        .name = "laptop",
        .expires_s = p2p_time_s() + 3600,
        .uses = 2,
        .bytes = 1000000,
        .on_event = on_event,
        .arg = f,
    };
    *state = f;
    return 0;
}

static void
open_intake(struct fixture *f)
{
    assert_int_equal(p2p_intake_new(&f->options, &f->intake), P2P_OK);
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;

    p2p_intake_free(f->intake);
    p2p_root_close(f->root);
    scratch_remove(&f->scratch);
    free(f);
    return 0;
}

static struct p2p_intake_status
status_of(struct fixture *f)
{
    struct p2p_intake_status status;

    p2p_intake_status(f->intake, &status);
    return status;
}

/* ---- a guest ---- */

static void *
serve(void *arg)
{
    struct guest *g = arg;

    p2p_intake_serve(g->intake, g->served, &g->id);
    return NULL;
}

static void
send_plain(struct guest *g, const void *plain, size_t len)
{
    uint8_t head[P2P_FRAME_HEAD];
    uint64_t until_ms = p2p_now_ms() + LIMIT_MS;

    p2p_store_u32(head, (uint32_t)len);
    assert_int_equal(p2p_net_write(g->fd, head, sizeof(head), until_ms), P2P_OK);
    assert_int_equal(p2p_net_write(g->fd, plain, len, until_ms), P2P_OK);
}

/* The type of the next message; 0: the other side has closed. */
static uint8_t
next(struct guest *g)
{
    uint8_t head[P2P_FRAME_HEAD];
    uint64_t until_ms = p2p_now_ms() + LIMIT_MS;

    if (p2p_net_read(g->fd, head, sizeof(head), until_ms) != P2P_OK)
        return 0;
    g->len = p2p_load_u32(head);
    assert_in_range(g->len, 1, sizeof(g->frame));
    assert_int_equal(p2p_net_read(g->fd, g->frame, g->len, until_ms), P2P_OK);
    return g->frame[0];
}

static void
come(struct fixture *f, struct guest *g, const struct p2p_guest_id *id)
{
    int fds[2];

    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    *g = (struct guest){.intake = f->intake, .id = *id, .fd = fds[0], .served = fds[1]};
    assert_int_equal(pthread_create(&g->thread, NULL, serve, g), 0);
    assert_int_equal(next(g), P2P_MSG_WELCOME);
}

/* Without a word, as when a connection is lost. */
static void
leave(struct guest *g)
{
    close(g->fd);
    pthread_join(g->thread, NULL);
}

static void
say_bare(struct guest *g, uint8_t type)
{
    send_plain(g, &type, 1);
}

static void
finish(struct guest *g)
{
    say_bare(g, P2P_MSG_CLOSE);
    assert_int_equal(next(g), P2P_MSG_CLOSE);
    assert_int_equal(next(g), 0);
    leave(g);
}

static void
offer_bytes(struct guest *g, uint32_t file, const char *name, size_t len, uint64_t size)
{
    const struct p2p_have have = {
        .file = file, .size = size, .mtime_s = 1000000000, .name = {name, len}};
    uint8_t plain[70000];
    struct p2p_wr wr;
    size_t used;

    p2p_wr_init(&wr, plain, sizeof(plain));
    p2p_have_put(&wr, &have);
    assert_int_equal(p2p_wr_end(&wr, &used), P2P_OK);
    send_plain(g, plain, used);
}

static void
offer(struct guest *g, uint32_t file, const char *name, uint64_t size)
{
    offer_bytes(g, file, name, strlen(name), size);
}

static void
say_data(struct guest *g, uint32_t req, uint32_t offset, const uint8_t *bytes,
         size_t len)
{
    uint8_t plain[P2P_DATA_HEADER + PIECE];

    assert_in_range(len, 0, PIECE);
    p2p_msg_put_data_header(plain, req, 0, offset);
    memcpy(plain + P2P_DATA_HEADER, bytes, len);
    send_plain(g, plain, P2P_DATA_HEADER + len);
}

static void
prove(struct guest *g, uint32_t file, const uint8_t *bytes, size_t len)
{
    struct p2p_proof proof = {.file = file};
    uint8_t plain[64];
    struct p2p_wr wr;
    size_t used;

    assert_int_equal(p2p_sha256(bytes, len, &proof.sha256), P2P_OK);
    p2p_wr_init(&wr, plain, sizeof(plain));
    p2p_proof_put(&wr, &proof);
    assert_int_equal(p2p_wr_end(&wr, &used), P2P_OK);
    send_plain(g, plain, used);
}

static struct p2p_msg_get
next_get(struct guest *g, uint32_t file, uint32_t *req)
{
    struct p2p_msg msg;
    uint32_t number;

    assert_int_equal(next(g), P2P_MSG_GET);
    assert_int_equal(p2p_msg_parse(g->frame, g->len, &msg), P2P_OK);
    assert_true(p2p_guest_file_of(&msg.get.root, &number));
    assert_int_equal(number, file);
    *req = msg.req;
    return msg.get;
}

/* Answers until `until` bytes were sent; returns how many the other side had. */
static uint64_t
feed(struct guest *g, uint32_t file, const uint8_t *bytes, size_t size, size_t until)
{
    uint64_t first = 0;
    bool is_first = true;

    for (;;) {
        uint32_t req;
        struct p2p_msg_get get = next_get(g, file, &req);
        if (is_first)
            first = get.offset;
        is_first = false;
        for (uint32_t at = 0; at < get.length; at += PIECE) {
            size_t len = get.length - at < PIECE ? get.length - at : PIECE;
            say_data(g, req, at, bytes + get.offset + at, len);
            if (get.offset + at + len >= until && until < size)
                return first;
        }
        if (get.offset + get.length == size)
            return first;
    }
}

static uint8_t
result_of(struct guest *g, uint32_t file, const char *name)
{
    struct p2p_stored stored;

    assert_int_equal(next(g), P2P_MSG_STORED);
    assert_int_equal(p2p_stored_parse(g->frame, g->len, &stored), P2P_OK);
    assert_int_equal(stored.file, file);
    if (stored.result == P2P_STORED_OK && name != NULL) {
        assert_int_equal(stored.name.len, strlen(name));
        assert_memory_equal(stored.name.at, name, stored.name.len);
    }
    return stored.result;
}

static uint8_t *
make_bytes(size_t size, uint8_t seed)
{
    uint8_t *bytes = malloc(size + 1);

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 997 + seed);
    return bytes;
}

static void
give(struct guest *g, uint32_t file, const char *name, const char *stored,
     const uint8_t *bytes, size_t size)
{
    offer(g, file, name, size);
    assert_int_equal(feed(g, file, bytes, size, size), 0);
    prove(g, file, bytes, size);
    assert_int_equal(result_of(g, file, stored), P2P_STORED_OK);
}

static void
assert_file(struct fixture *f, const char *name, const uint8_t *bytes, size_t size)
{
    uint8_t *found = malloc(size + 1);
    struct stat st;
    int fd;

    assert_int_equal(p2p_root_open_file(f->root, name, &fd, &st), P2P_OK);
    assert_int_equal(st.st_size, size);
    assert_int_equal(read(fd, found, size + 1), size);
    assert_memory_equal(found, bytes, size);
    assert_int_equal(st.st_mtime, 1000000000);
    close(fd);
    free(found);
}

static enum p2p_err
count_one(void *arg, const char *name, const struct stat *st)
{
    (void)name, (void)st;
    ++*(unsigned *)arg;
    return P2P_OK;
}

static unsigned
count_files(struct fixture *f)
{
    unsigned count = 0;

    assert_int_equal(p2p_root_walk(f->root, count_one, &count, NULL), P2P_OK);
    return count;
}

/* ---- files arrive ---- */

static void
files_arrive(void **state)
{
    struct fixture *f = *state;
    uint8_t *small = make_bytes(5, 1), *large = make_bytes(900000, 2);
    struct guest g;

    open_intake(f);
    come(f, &g, &one);
    give(&g, 1, "a.txt", "a.txt", small, 5);
    give(&g, 2, "photos/b.jpg", "photos/b.jpg", large, 900000);
    give(&g, 3, "empty", "empty", small, 0);
    finish(&g);
    assert_file(f, "a.txt", small, 5);
    assert_file(f, "photos/b.jpg", large, 900000);
    assert_file(f, "empty", small, 0);
    assert_int_equal(f->events[P2P_INTAKE_GUEST], 1);
    assert_int_equal(f->events[P2P_INTAKE_STORED], 3);
    assert_int_equal(f->events[P2P_INTAKE_DONE], 1);
    assert_int_equal(status_of(f).done, 1);
    assert_int_equal(status_of(f).bytes_left, 1000000 - 900005);
    free(small);
    free(large);
}

static void
nothing_is_replaced(void **state)
{
    struct fixture *f = *state;
    uint8_t *first = make_bytes(5, 1), *second = make_bytes(5, 2);
    struct guest a, b;

    open_intake(f);
    come(f, &a, &one);
    come(f, &b, &two);
    give(&a, 1, "a.txt", "a.txt", first, 5);
    give(&b, 1, "a.txt", "a (1).txt", second, 5);
    finish(&a);
    finish(&b);
    assert_file(f, "a.txt", first, 5);
    assert_file(f, "a (1).txt", second, 5);
    free(first);
    free(second);
}

/* While one guest's file comes, another guest's comes, too. */
static void
two_guests_at_once(void **state)
{
    struct fixture *f = *state;
    uint8_t *first = make_bytes(300000, 1), *second = make_bytes(300000, 2);
    struct guest a, b;

    open_intake(f);
    come(f, &a, &one);
    come(f, &b, &two);
    offer(&a, 7, "same", 300000);
    offer(&b, 7, "same", 300000);
    feed(&a, 7, first, 300000, 300000);
    feed(&b, 7, second, 300000, 300000);
    assert_int_equal(count_files(f), 0); /* what is incomplete is not shown */
    prove(&b, 7, second, 300000);
    assert_int_equal(result_of(&b, 7, "same"), P2P_STORED_OK);
    prove(&a, 7, first, 300000);
    assert_int_equal(result_of(&a, 7, "same (1)"), P2P_STORED_OK);
    finish(&a);
    finish(&b);
    free(first);
    free(second);
}

/* ---- a lost connection ---- */

static void
a_guest_continues(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = make_bytes(900000, 3);
    struct guest g;
    uint64_t had;

    open_intake(f);
    come(f, &g, &one);
    offer(&g, 1, "large", 900000);
    feed(&g, 1, bytes, 900000, 400000);
    leave(&g);
    assert_int_equal(status_of(f).parts, 1);
    come(f, &g, &one);
    offer(&g, 5, "large", 900000);
    had = feed(&g, 5, bytes, 900000, 900000);
    assert_in_range(had, 400000, 500000);
    prove(&g, 5, bytes, 900000);
    assert_int_equal(result_of(&g, 5, "large"), P2P_STORED_OK);
    leave(&g);
    assert_file(f, "large", bytes, 900000);
    /* The answer was lost: it is not stored again. */
    come(f, &g, &one);
    offer(&g, 6, "large", 900000);
    assert_int_equal(result_of(&g, 6, "large"), P2P_STORED_OK);
    finish(&g);
    assert_int_equal(count_files(f), 1);
    assert_int_equal(status_of(f).uses, 1);
    free(bytes);
}

/* Only the guest that began it continues a file. */
static void
another_guest_begins_anew(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = make_bytes(900000, 3);
    struct guest g;

    f->options.bytes = P2P_INTAKE_NO_LIMIT;
    open_intake(f);
    come(f, &g, &one);
    offer(&g, 1, "large", 900000);
    feed(&g, 1, bytes, 900000, 400000);
    leave(&g);
    come(f, &g, &two);
    offer(&g, 1, "large", 900000);
    assert_int_equal(feed(&g, 1, bytes, 900000, 900000), 0);
    finish(&g);
    assert_int_equal(status_of(f).parts, 1);
    free(bytes);
}

/* The old connection of a guest may seem to be open still. */
static void
a_new_connection_ends_the_old_one(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = make_bytes(200000, 3);
    struct guest old, new;

    open_intake(f);
    come(f, &old, &one);
    offer(&old, 1, "large", 200000);
    feed(&old, 1, bytes, 200000, 100000);
    come(f, &new, &one);
    assert_int_equal(status_of(f).guests, 1);
    offer(&new, 1, "large", 200000);
    assert_true(feed(&new, 1, bytes, 200000, 200000) > 0);
    finish(&new);
    leave(&old);
    free(bytes);
}

/* ---- refusals ---- */

static void
a_wrong_hash_is_not_stored(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = make_bytes(1000, 1), *other = make_bytes(1000, 2);
    struct guest g;

    open_intake(f);
    come(f, &g, &one);
    offer(&g, 1, "a", 1000);
    feed(&g, 1, bytes, 1000, 1000);
    prove(&g, 1, other, 1000);
    assert_int_equal(result_of(&g, 1, NULL), P2P_STORED_HASH);
    assert_int_equal(count_files(f), 0);
    assert_int_equal(status_of(f).parts, 0);
    assert_int_equal(status_of(f).bytes_left, 1000000);
    give(&g, 2, "a", "a", bytes, 1000); /* it may try again */
    finish(&g);
    free(bytes);
    free(other);
}

static void
names_stay_in_the_folder(void **state)
{
    static const struct {
        const char *name, *stored;
    } cleaned[] = {
        {"../x", "x"},           {"/etc/passwd", "etc/passwd"},
        {"a/../../y", "a/y"},    {".hidden", "hidden"},
        {"con.txt", "con_.txt"}, {"10:30 news", "10-30 news"},
        {"tail. ", "tail"},      {".p2p/z", "p2p/z"},
    };
    struct fixture *f = *state;
    uint8_t *bytes = make_bytes(3, 1);
    char longer[P2P_NAME_MAX + 2];
    struct guest g;

    open_intake(f);
    come(f, &g, &one);
    for (uint32_t i = 0; i < sizeof(cleaned) / sizeof(cleaned[0]); i++)
        give(&g, i + 1, cleaned[i].name, cleaned[i].stored, bytes, 3);
    memset(longer, 'a', sizeof(longer));
    offer_bytes(&g, 100, longer, sizeof(longer), 3);
    assert_int_equal(result_of(&g, 100, NULL), P2P_STORED_NAME);
    give(&g, 101, "", "unnamed", bytes, 3);
    give(&g, 102, "..", "unnamed (1)", bytes, 2);
    finish(&g);
    assert_int_equal(count_files(f), 2 + sizeof(cleaned) / sizeof(cleaned[0]));
    free(bytes);
}

static void
odd_names(void **state)
{
    static const char nul[] = "a\0b.txt", broken[] = "\xff\xfe/\x01";
    struct fixture *f = *state;
    char longer[300], cut[256];
    uint8_t none[1] = {0};
    struct guest g;
    uint32_t req;

    open_intake(f);
    come(f, &g, &one);
    offer_bytes(&g, 1, nul, sizeof(nul) - 1, 0);
    next_get(&g, 1, &req);
    prove(&g, 1, none, 0);
    assert_int_equal(result_of(&g, 1, "ab.txt"), P2P_STORED_OK);
    memset(longer, 'b', sizeof(longer));
    memset(cut, 'b', sizeof(cut) - 1);
    cut[sizeof(cut) - 1] = '\0';
    offer_bytes(&g, 2, longer, sizeof(longer), 0);
    next_get(&g, 2, &req);
    prove(&g, 2, none, 0);
    assert_int_equal(result_of(&g, 2, cut), P2P_STORED_OK);
    offer_bytes(&g, 3, broken, sizeof(broken) - 1, 0);
    next_get(&g, 3, &req);
    prove(&g, 3, none, 0);
    assert_int_equal(result_of(&g, 3, "__"), P2P_STORED_OK);
    finish(&g);
    assert_int_equal(count_files(f), 3);
}

static void
a_link_takes_so_many_bytes(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = make_bytes(999999, 1);
    struct guest g;

    open_intake(f);
    come(f, &g, &one);
    offer(&g, 1, "a", 1000001);
    assert_int_equal(result_of(&g, 1, NULL), P2P_STORED_ROOM);
    give(&g, 2, "b", "b", bytes, 999999);
    offer(&g, 3, "c", 2);
    assert_int_equal(result_of(&g, 3, NULL), P2P_STORED_ROOM);
    offer(&g, 4, "d", UINT64_MAX);
    assert_int_equal(result_of(&g, 4, NULL), P2P_STORED_ROOM);
    finish(&g);
    free(bytes);
}

static void
a_link_takes_so_many_guests(void **state)
{
    const struct p2p_guest_id three = {{3}};
    struct fixture *f = *state;
    uint8_t *bytes = make_bytes(9, 1);
    struct guest g;
    struct p2p_msg msg;

    open_intake(f);
    come(f, &g, &one);
    give(&g, 1, "a", "a", bytes, 9);
    finish(&g);
    come(f, &g, &two);
    give(&g, 1, "b", "b", bytes, 9);
    leave(&g);
    come(f, &g, &three);
    offer(&g, 1, "c", 9);
    assert_int_equal(next(&g), P2P_MSG_ERROR);
    assert_int_equal(p2p_msg_parse(g.frame, g.len, &msg), P2P_OK);
    assert_int_equal(msg.error.code, 4);
    leave(&g);
    come(f, &g, &two); /* the same one may come again */
    give(&g, 1, "c", "c", bytes, 9);
    finish(&g);
    assert_int_equal(status_of(f).uses, 2);
    assert_int_equal(status_of(f).done, 2);
    free(bytes);
}

static void
incomplete_files_are_few(void **state)
{
    struct fixture *f = *state;
    struct guest g;
    char name[16];
    uint32_t req;

    open_intake(f);
    for (uint32_t i = 0; i <= P2P_INTAKE_PARTS_MAX; i++) {
        come(f, &g, &one);
        snprintf(name, sizeof(name), "f%u", i);
        offer(&g, i, name, 10);
        if (i < P2P_INTAKE_PARTS_MAX)
            next_get(&g, i, &req);
        else
            assert_int_equal(result_of(&g, i, NULL), P2P_STORED_COUNT);
        leave(&g);
    }
    come(f, &g, &one);
    finish(&g); /* nothing of them stays */
    assert_int_equal(status_of(f).parts, 0);
    assert_int_equal(status_of(f).bytes_left, 1000000);
}

/* The messages of a guest that downloads, and unknown ones, are refused. */
static void
other_messages_are_refused(void **state)
{
    struct fixture *f = *state;
    struct guest g;
    unsigned refused = 0;

    open_intake(f);
    for (unsigned type = 0; type < 256; type++) {
        uint8_t plain[64] = {(uint8_t)type};
        struct p2p_msg msg;
        if (type == P2P_MSG_CLOSE || type == P2P_MSG_PING ||
            type == P2P_MSG_TICKET_GET || type == P2P_MSG_HAVE ||
            type == P2P_MSG_DATA || type == P2P_MSG_PROOF || type == P2P_MSG_CANCEL)
            continue;
        if (refused % 16 == 0) {
            if (refused > 0)
                leave(&g);
            come(f, &g, &one);
        }
        refused++;
        send_plain(&g, plain, sizeof(plain));
        assert_int_equal(next(&g), P2P_MSG_ERROR);
        assert_int_equal(p2p_msg_parse(g.frame, g.len, &msg), P2P_OK);
        assert_int_equal(msg.error.code, 2);
    }
    leave(&g);
    come(f, &g, &one);
    for (int i = 0; i < 16; i++) {
        say_bare(&g, P2P_MSG_LIST_GET);
        assert_int_equal(next(&g), P2P_MSG_ERROR);
    }
    say_bare(&g, P2P_MSG_LIST_GET); /* that is enough */
    assert_int_equal(next(&g), 0);
    leave(&g);
}

/* Each ends the connection: what comes is not what was asked for. */
static void
bytes_that_were_not_asked_for(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = make_bytes(PIECE, 1);
    struct guest g;
    uint32_t req;

    open_intake(f);
    for (int kind = 0; kind < 8; kind++) {
        come(f, &g, &one);
        if (kind != 0) {
            offer(&g, 1, "a", kind == 7 ? 20 : 1000);
            next_get(&g, 1, &req);
        }
        if (kind == 0)
            say_data(&g, 1, 0, bytes, 10); /* no file */
        else if (kind == 1)
            say_data(&g, req + 1, 0, bytes, 10);
        else if (kind == 2)
            say_data(&g, req, 10, bytes, 10); /* a gap */
        else if (kind == 3)
            say_data(&g, req, 0, bytes, 1001); /* too much */
        else if (kind == 4)
            say_data(&g, req, 0, bytes, 0);
        else if (kind == 5)
            prove(&g, 1, bytes, 1000); /* too early */
        else if (kind == 6)
            say_bare(&g, P2P_MSG_DATA);
        else {
            say_data(&g, req, 0, bytes, 20);
            prove(&g, 2, bytes, 20); /* of another file */
        }
        assert_int_equal(next(&g), 0);
        leave(&g);
    }
    assert_int_equal(count_files(f), 0);
    free(bytes);
}

static void
endless_offers(void **state)
{
    struct fixture *f = *state;
    struct guest g;
    uint32_t req;

    open_intake(f);
    come(f, &g, &one);
    offer(&g, 0, "first", 10);
    next_get(&g, 0, &req);
    for (uint32_t i = 1; i <= 33; i++)
        offer(&g, i, "more", 10);
    assert_int_equal(next(&g), 0);
    leave(&g);
}

static void
a_long_frame_is_refused(void **state)
{
    static const uint8_t huge[] = {0, 2, 0, 0}, none[] = {0, 0, 0, 0};
    struct fixture *f = *state;
    struct guest g;

    open_intake(f);
    for (int i = 0; i < 2; i++) {
        come(f, &g, &one);
        assert_int_equal(write(g.fd, i == 0 ? huge : none, 4), 4);
        assert_int_equal(next(&g), 0);
        leave(&g);
    }
}

static void
say_ticket(struct guest *g, const struct p2p_link_pin *pin)
{
    uint8_t plain[1 + 4 + sizeof(pin->b)] = {P2P_MSG_TICKET_GET, 0, 0, 0, 9};

    memcpy(plain + 5, pin->b, sizeof(pin->b));
    send_plain(g, plain, sizeof(plain));
}

static void
a_pin_comes_first(void **state)
{
    const struct p2p_link_pin right = {{7}}, wrong = {{8}};
    struct fixture *f = *state;
    uint8_t *bytes = make_bytes(9, 1);
    struct guest g;

    f->options.has_pin = true;
    f->options.pin = right;
    open_intake(f);
    come(f, &g, &one);
    offer(&g, 1, "a", 9);
    assert_int_equal(next(&g), P2P_MSG_ERROR);
    say_ticket(&g, &wrong);
    assert_int_equal(next(&g), P2P_MSG_ERROR);
    say_ticket(&g, &right);
    assert_int_equal(next(&g), P2P_MSG_TICKET);
    give(&g, 1, "a", "a", bytes, 9);
    finish(&g);
    come(f, &g, &two);
    for (int i = 0; i < P2P_INTAKE_WRONG_MAX; i++) {
        say_ticket(&g, &wrong);
        assert_int_equal(next(&g), P2P_MSG_ERROR);
    }
    say_ticket(&g, &right); /* locked */
    assert_int_equal(next(&g), P2P_MSG_ERROR);
    leave(&g);
    free(bytes);
}

/* ---- the end ---- */

static void
it_stops_in_the_middle(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = make_bytes(300000, 1);
    struct guest g;

    open_intake(f);
    come(f, &g, &one);
    offer(&g, 1, "a", 300000);
    feed(&g, 1, bytes, 300000, 100000);
    p2p_intake_stop(f->intake);
    leave(&g);
    p2p_intake_free(f->intake);
    f->intake = NULL;
    assert_int_equal(count_files(f), 0);
    free(bytes);
}

static void
it_expires(void **state)
{
    struct fixture *f = *state;
    struct guest g;

    f->options.expires_s = p2p_time_s();
    open_intake(f);
    come(f, &g, &one);
    assert_int_equal(next(&g), P2P_MSG_CLOSE);
    assert_int_equal(next(&g), 0);
    leave(&g);
}

static void
a_guest_gives_up(void **state)
{
    const uint8_t cancel[] = {P2P_MSG_CANCEL, 0, 0, 0, 1};
    struct fixture *f = *state;
    uint8_t *bytes = make_bytes(9, 1);
    struct guest g;
    uint32_t req;

    open_intake(f);
    come(f, &g, &one);
    offer(&g, 1, "a", 10);
    next_get(&g, 1, &req);
    send_plain(&g, cancel, sizeof(cancel));
    assert_int_equal(result_of(&g, 1, NULL), P2P_STORED_CANCELLED);
    assert_int_equal(status_of(f).parts, 0);
    give(&g, 2, "b", "b", bytes, 9);
    finish(&g);
    free(bytes);
}

/* ---- messages ---- */

/* Every prefix and every single bit flip, in blocks of the exact size. */
static void
messages_are_read(void **state)
{
    const struct p2p_have have = {1, 2, 3, {"name", 4}};
    const struct p2p_stored stored = {1, P2P_STORED_OK, {"name", 4}};
    const struct p2p_proof proof = {1, {{9}}};
    uint8_t plain[3][64];
    size_t len[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct p2p_wr wr;
        p2p_wr_init(&wr, plain[i], sizeof(plain[i]));
        if (i == 0)
            p2p_have_put(&wr, &have);
        else if (i == 1)
            p2p_stored_put(&wr, &stored);
        else
            p2p_proof_put(&wr, &proof);
        assert_int_equal(p2p_wr_end(&wr, &len[i]), P2P_OK);
    }
    for (int i = 0; i < 3; i++)
        for (size_t n = 0; n <= len[i]; n++)
            for (size_t bit = 0; bit < (n == len[i] ? 8 * n : 1); bit++) {
                uint8_t *block = malloc(n + 1);
                struct p2p_have have_read;
                struct p2p_stored stored_read;
                struct p2p_proof proof_read;
                memcpy(block, plain[i], n);
                if (n == len[i])
                    block[bit / 8] ^= (uint8_t)(1 << bit % 8);
                enum p2p_err errs[] = {p2p_have_parse(block, n, &have_read),
                                       p2p_stored_parse(block, n, &stored_read),
                                       p2p_proof_parse(block, n, &proof_read)};
                for (int k = 0; k < 3; k++)
                    assert_true(errs[k] == P2P_ERR_MALFORMED ||
                                (n == len[i] && (k == i || bit < 8)));
                free(block);
            }
}

int
main(void)
{
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(files_arrive),
        WITH_FOLDER(nothing_is_replaced),
        WITH_FOLDER(two_guests_at_once),
        WITH_FOLDER(a_guest_continues),
        WITH_FOLDER(another_guest_begins_anew),
        WITH_FOLDER(a_new_connection_ends_the_old_one),
        WITH_FOLDER(a_wrong_hash_is_not_stored),
        WITH_FOLDER(names_stay_in_the_folder),
        WITH_FOLDER(odd_names),
        WITH_FOLDER(a_link_takes_so_many_bytes),
        WITH_FOLDER(a_link_takes_so_many_guests),
        WITH_FOLDER(incomplete_files_are_few),
        WITH_FOLDER(other_messages_are_refused),
        WITH_FOLDER(bytes_that_were_not_asked_for),
        WITH_FOLDER(endless_offers),
        WITH_FOLDER(a_long_frame_is_refused),
        WITH_FOLDER(a_pin_comes_first),
        WITH_FOLDER(it_stops_in_the_middle),
        WITH_FOLDER(it_expires),
        WITH_FOLDER(a_guest_gives_up),
        cmocka_unit_test(messages_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
