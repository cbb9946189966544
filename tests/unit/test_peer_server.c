// uses p2p-peer tests/unit/fake_registry.c
/* The serving side of p2p-peer with a client of the core in the same process: shared
 * files arrive; other files, and clients that are not allowed, are refused. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_registry.h"
#include "keys_fixture.h"
#include "p2p/conn.h"
#include "p2p/grants.h"
#include "p2p/log.h"
#include "p2p/shares.h"
#include "p2p/tender.h"
#include "p2p/tree.h"
#include "patience.h"
#include "peer/history/history.h"
#include "peer/options.h"
#include "peer/registration/announcer.h"
#include "peer/server/server.h"

#define TEXT "what is shared"

struct world {
    struct scratch scratch;
    struct keys *own, *other; /* of the server and of the client */
    struct p2p_shares *shares;
    struct p2p_tender *tender;
    struct history *history;
    struct access *access;
    struct links *links; /* NULL: none */
    struct server *server;
    uint16_t port;
};

/* The kernel lets this process choose TCP's congestion control. */
static bool chooses_congestion;

/* With options as on the command line of p2p-peer; "" for none. */
static void
serve(struct world *w, const char *option)
{
    char *argv[] = {(char[]){"p2p-peer"}, (char *)(uintptr_t)option, NULL};
    struct p2p_options_text *text = NULL;
    struct peer_options opt;
    int listener;

    assert_int_equal(peer_options_parse(option[0] != '\0' ? 2 : 1, argv, &opt, &text),
                     P2P_OK);
    const struct access_options access = {.identity = w->own->identity,
                                          .keys_dir = w->own->dir,
                                          .trusted_only = opt.trusted_only,
                                          .is_public = opt.is_public};
    assert_int_equal(access_open(&access, &w->access), P2P_OK);
    w->port = 0;
    assert_int_equal(server_listen("127.0.0.1", &w->port, &listener, 1), P2P_OK);
    /* Always there, and what accepted sockets begin with. */
    chooses_congestion =
        setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) == 0;
    const struct server_options options = {
        .listeners = &listener,
        .threads = 1,
        .max_connections = 8,
        .client_memory = opt.client_memory,
        .chunk_size = (uint32_t)opt.chunk_size,
        .protocol_1 = opt.protocol_1,
        .compress = opt.compress,
        .identity = w->own->identity,
        .shares = w->shares,
        .history = w->history,
        .access = w->access,
        .links = w->links,
        .keys_dir = w->own->dir,
        .admission = {.max = 8,
                      .per_source = 8,
                      .open_per_source = 8,
                      .rate_per_s = 1000,
                      .burst = 1000,
                      .work_rate_per_s = 1000,
                      .work_burst = 1000,
                      .total_rate_per_s = 1000,
                      .total_burst = 1000,
                      .sources_max = 16},
        .handshake_timeout_ms = opt.handshake_timeout_ms,
        .idle_timeout_ms = opt.idle_timeout_ms,
        .stall_timeout_ms = opt.stall_timeout_ms,
    };
    assert_int_equal(server_open(&options, &w->server), P2P_OK);
    p2p_options_free(text);
}

static enum p2p_err
dial(struct world *w, int protocol, const struct p2p_id *expected,
     struct p2p_conn **out)
{
    struct p2p_conn_options opt = {.identity = w->other->identity,
                                   .protocol = protocol,
                                   .expected = expected,
                                   .expected_by_user = expected != NULL,
                                   .timeout_ms = patience_ms()};

    assert_int_equal(p2p_addr_make("127.0.0.1", w->port, &opt.addr), P2P_OK);
    return p2p_conn_open(&opt, out);
}

static int
set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct p2p_share_options share = {.quiet_ms = 20};
    void *keys;

    assert_non_null(w);
    p2p_log_init("test_peer_server", P2P_LOG_ERROR);
    scratch_make(&w->scratch);
    scratch_folder(&w->scratch, "s");
    scratch_put(&w->scratch, "s/a", TEXT);
    scratch_put(&w->scratch, "s/b", "");
    keys_setup(&keys);
    w->own = keys;
    w->other = keys_new(0);
    struct p2p_shares_folders folders = {.count = 1};
    size_t failed;

    folders.at[0].path = scratch_path(&w->scratch, "s");
    assert_int_equal(p2p_shares_open(&folders, &share, &w->shares, &failed), P2P_OK);
    assert_int_equal(p2p_share_wait_idle(p2p_shares_at(w->shares, 0), patience_ms()),
                     P2P_OK);
    *state = w;
    return 0;
}

static int
tear_down(void **state)
{
    struct world *w = *state;
    void *own = w->own, *other = w->other;

    server_close(w->server, 0);
    access_close(w->access);
    history_free(w->history);
    p2p_tender_stop(w->tender);
    p2p_shares_close(w->shares);
    keys_teardown(&own);
    keys_teardown(&other);
    scratch_remove(&w->scratch);
    free(w);
    return 0;
}

static enum p2p_err
count_file(void *arg, const char *name, const struct p2p_list_entry *entry)
{
    unsigned *seen = arg;

    *seen += strcmp(name, "a") == 0 && entry->size == strlen(TEXT);
    *seen += strcmp(name, "b") == 0 && entry->size == 0;
    return P2P_OK;
}

static void
what_is_shared_is_described(void **state)
{
    struct world *w = *state;
    struct p2p_conn *conn;
    struct p2p_meta meta, again;
    struct p2p_digest sha256;
    unsigned seen = 0;
    const struct p2p_list_visitor visitor = {.file = count_file, .arg = &seen};
    uint64_t rtt_us;

    serve(w, "");
    assert_int_equal(dial(w, 2, p2p_identity_id(w->own->identity), &conn), P2P_OK);
    assert_int_equal(p2p_conn_list_all(conn, patience_end_ms(), &visitor), P2P_OK);
    assert_int_equal(seen, 2);
    assert_int_equal(p2p_conn_meta_by_name(conn, "a", &meta), P2P_OK);
    assert_int_equal(meta.geometry.size, strlen(TEXT));
    assert_int_equal(p2p_conn_meta_by_root(conn, &meta.root, &again), P2P_OK);
    assert_int_equal(p2p_conn_sha256(conn, &meta.root, &sha256), P2P_OK);
    assert_memory_equal(sha256.b, meta.sha256.b, sizeof(sha256.b));
    assert_int_equal(p2p_conn_ping(conn, &rtt_us), P2P_OK);
    p2p_conn_close(conn);
}

static void
what_is_not_shared_is_not_found(void **state)
{
    static const char *const names[] = {"c", "A", "d/a", ".p2p/index.db"};
    struct world *w = *state;
    const struct p2p_digest nothing = {{1}};
    struct p2p_conn *conn;
    struct p2p_meta meta;

    serve(w, "");
    assert_int_equal(dial(w, 2, NULL, &conn), P2P_OK);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_not_equal(p2p_conn_meta_by_name(conn, names[i], &meta), P2P_OK);
    assert_int_equal(p2p_conn_meta_by_root(conn, &nothing, &meta), P2P_ERR_NOT_FOUND);
    p2p_conn_close(conn);
}

/* Private for somebody else: the same answers as for what does not exist. */
static void
what_is_private_is_not_there(void **state)
{
    struct world *w = *state;
    struct p2p_id other = keys_peer(7);
    struct p2p_digest sha256;
    struct p2p_conn *conn;
    struct p2p_meta meta, found;
    unsigned seen = 0;
    const struct p2p_list_visitor visitor = {.file = count_file, .arg = &seen};

    serve(w, "");
    assert_int_equal(dial(w, 2, NULL, &conn), P2P_OK);
    assert_int_equal(p2p_conn_meta_by_name(conn, "a", &meta), P2P_OK);
    p2p_conn_close(conn);
    server_close(w->server, 0);
    access_close(w->access);
    assert_int_equal(p2p_grants_set_private(w->own->dir, "", &other, 1), P2P_OK);

    serve(w, "");
    assert_int_equal(dial(w, 2, NULL, &conn), P2P_OK);
    assert_int_equal(p2p_conn_meta_by_name(conn, "a", &found), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_conn_meta_by_root(conn, &meta.root, &found),
                     P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_conn_sha256(conn, &meta.root, &sha256), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_conn_list_all(conn, patience_end_ms(), &visitor), P2P_OK);
    assert_int_equal(seen, 0);
    p2p_conn_close(conn);
    assert_int_equal(dial(w, 1, NULL, &conn), P2P_OK);
    assert_int_equal(p2p_conn_meta_by_name(conn, "a", &found), P2P_ERR_NOT_FOUND);
    p2p_conn_close(conn);
}

/* A client that is connected gets its right, and loses it, without connecting again. */
static void
a_right_comes_and_goes(void **state)
{
    struct world *w = *state;
    struct p2p_conn *conn;
    struct p2p_meta meta;
    enum p2p_err err = P2P_OK;

    serve(w, "");
    assert_int_equal(dial(w, 2, NULL, &conn), P2P_OK);
    assert_int_equal(p2p_grants_set_private(w->own->dir, "", NULL, 0), P2P_OK);
    for (uint64_t end = patience_end_ms(); err == P2P_OK && p2p_now_ms() < end;)
        err = p2p_conn_meta_by_name(conn, "a", &meta);
    assert_int_equal(err, P2P_ERR_NOT_FOUND);
    assert_int_equal(
        p2p_grants_set_private(w->own->dir, "", p2p_identity_id(w->other->identity), 1),
        P2P_OK);
    for (uint64_t end = patience_end_ms(); err != P2P_OK && p2p_now_ms() < end;)
        err = p2p_conn_meta_by_name(conn, "a", &meta);
    assert_int_equal(err, P2P_OK);
    p2p_conn_close(conn);
}

/* ---- Old contents ---- */

static struct p2p_versions *
keep_history(struct world *w)
{
    struct p2p_share *share = p2p_shares_at(w->shares, 0);
    const struct p2p_tender_options opt = {
        .roots = {p2p_share_root(share)}, .shares = {share}, .count = 1};

    assert_int_equal(p2p_tender_start(&opt, &w->tender), P2P_OK);
    assert_int_equal(history_new(w->shares, w->tender, &w->history), P2P_OK);
    return p2p_tender_of(w->tender, p2p_share_root(share));
}

static void
replace_a(struct world *w, const char *text)
{
    const struct p2p_root *root = p2p_share_root(p2p_shares_at(w->shares, 0));
    char stored[P2P_NAME_MAX + 1];

    scratch_put(&w->scratch, "s/.p2p/part", text);
    assert_int_equal(p2p_root_publish(root, "part", "a", P2P_CONFLICT_VERSION, stored),
                     P2P_OK);
    assert_int_equal(p2p_share_wait_idle(p2p_shares_at(w->shares, 0), patience_ms()),
                     P2P_OK);
}

struct seen {
    struct p2p_history_entry at[8];
    size_t count;
};

static void
see(void *arg, const struct p2p_history_entry *entry)
{
    struct seen *seen = arg;

    assert_true(seen->count < 8);
    seen->at[seen->count++] = *entry;
}

static enum p2p_err
ask_history(struct p2p_conn *conn, const char *name, struct seen *out)
{
    uint32_t before = 0;

    *out = (struct seen){.count = 0};
    return p2p_conn_history(conn, name, &before, see, out);
}

/* Only when the owner says so; and then list, tree and bytes. */
static void
old_contents_are_for_readers_when_the_owner_says_so(void **state)
{
    struct world *w = *state;
    struct p2p_versions *v = keep_history(w);
    struct p2p_chunks geometry;
    struct p2p_digest *layer, sha256;
    struct p2p_conn *conn;
    struct p2p_meta meta;
    struct seen seen;

    replace_a(w, "the second");
    replace_a(w, "the third, which is current");
    serve(w, "");
    assert_int_equal(dial(w, 2, NULL, &conn), P2P_OK);
    assert_int_equal(ask_history(conn, "a", &seen), P2P_ERR_NOT_FOUND);

    assert_int_equal(p2p_versions_set(v, "history", "readers"), P2P_OK);
    assert_int_equal(ask_history(conn, "a", &seen), P2P_OK);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.at[0].flags, P2P_HISTORY_CURRENT | P2P_HISTORY_KEPT);
    assert_int_equal(seen.at[0].version, 3);
    assert_int_equal(seen.at[2].version, 1);
    assert_int_equal(seen.at[2].size, strlen(TEXT));
    assert_int_equal(seen.at[2].flags, P2P_HISTORY_KEPT);
    assert_int_equal(ask_history(conn, "b", &seen), P2P_OK);
    assert_int_equal(seen.count, 1);
    assert_int_equal(ask_history(conn, "none", &seen), P2P_ERR_NOT_FOUND);

    assert_int_equal(ask_history(conn, "a", &seen), P2P_OK);
    assert_int_equal(p2p_conn_meta_by_root(conn, &seen.at[2].root, &meta), P2P_OK);
    assert_string_equal(meta.name, "a");
    assert_int_equal(meta.geometry.size, strlen(TEXT));
    assert_int_equal(p2p_conn_layer(conn, &meta, &geometry, &layer), P2P_OK);
    free(layer);
    assert_int_equal(p2p_conn_sha256(conn, &meta.root, &sha256), P2P_ERR_NOT_FOUND);
    sha256 = seen.at[2].root;
    sha256.b[0] ^= 1; /* no content of ours */
    assert_int_equal(p2p_conn_meta_by_root(conn, &sha256, &meta), P2P_ERR_NOT_FOUND);
    p2p_conn_close(conn);
}

static bool
is_gone(struct p2p_conn *conn, const struct p2p_digest *root)
{
    struct p2p_meta meta;
    enum p2p_err err = P2P_OK;

    for (uint64_t end = patience_end_ms(); err == P2P_OK && p2p_now_ms() < end;
         usleep(50000))
        err = p2p_conn_meta_by_root(conn, root, &meta);
    return err == P2P_ERR_NOT_FOUND;
}

static bool
is_gone_by_name(struct p2p_conn *conn, const char *name)
{
    struct p2p_meta meta;
    enum p2p_err err = P2P_OK;

    for (uint64_t end = patience_end_ms(); err == P2P_OK && p2p_now_ms() < end;
         usleep(20000))
        err = p2p_conn_meta_by_name(conn, name, &meta);
    return err == P2P_ERR_NOT_FOUND;
}

/* What the owner removes, or hides, others cannot get any longer. */
static void
what_the_owner_removed_is_gone_for_others(void **state)
{
    struct world *w = *state;
    struct p2p_versions *v = keep_history(w);
    struct p2p_conn *conn;
    struct p2p_meta meta;
    struct seen seen, now;

    replace_a(w, "the second");
    replace_a(w, "the third");
    assert_int_equal(p2p_versions_set(v, "history", "readers"), P2P_OK);
    serve(w, "");
    assert_int_equal(dial(w, 2, NULL, &conn), P2P_OK);
    assert_int_equal(ask_history(conn, "a", &seen), P2P_OK);
    assert_int_equal(p2p_conn_meta_by_root(conn, &seen.at[1].root, &meta), P2P_OK);
    assert_int_equal(p2p_conn_meta_by_root(conn, &seen.at[2].root, &meta), P2P_OK);

    assert_int_equal(p2p_versions_purge(v, "a", seen.at[2].version), P2P_OK);
    assert_int_equal(ask_history(conn, "a", &now), P2P_OK);
    assert_int_equal(now.count, 2);
    assert_true(is_gone(conn, &seen.at[2].root));
    assert_int_equal(p2p_conn_meta_by_root(conn, &seen.at[1].root, &meta), P2P_OK);

    assert_int_equal(p2p_grants_set_private(w->own->dir, "", NULL, 0), P2P_OK);
    assert_true(is_gone(conn, &seen.at[1].root));
    assert_int_equal(ask_history(conn, "a", &now), P2P_ERR_NOT_FOUND);
    p2p_conn_close(conn);
}

/* ---- The list of changes ---- */

struct waiting {
    struct world *w;
    struct p2p_conn *conn;
    const char *folder;
    struct p2p_conn_place place;
    uint8_t flags;
    enum p2p_err err;
    char told[256]; /* "+" or "-" and a name for each change, in their order */
};

static enum p2p_err
tell(void *arg, const struct p2p_conn_change *change)
{
    struct waiting *q = arg;
    size_t len = strlen(q->told);

    snprintf(q->told + len, sizeof(q->told) - len, "%c%s ", change->is_gone ? '-' : '+',
             change->name);
    return P2P_OK;
}

static void
ask_changes(struct waiting *q, unsigned wait_s)
{
    q->told[0] = '\0';
    q->err =
        p2p_conn_changes(q->conn, q->folder, wait_s, &q->place, tell, q, &q->flags);
}

static void *
wait_for_news(void *arg)
{
    struct waiting *q = arg;

    do
        ask_changes(q, 60);
    while (q->err == P2P_OK && !p2p_conn_is_news(q->flags));
    return NULL;
}

static void
settle(struct world *w)
{
    assert_int_equal(p2p_share_wait_idle(p2p_shares_at(w->shares, 0), patience_ms()),
                     P2P_OK);
}

/* A file that is missing counts as deleted a little later. */
static const char *
next_changes(struct waiting *q)
{
    q->folder = "";
    for (int i = 0; i < 2000; i++) {
        ask_changes(q, 0);
        assert_int_equal(q->err, P2P_OK);
        if (p2p_conn_is_news(q->flags))
            break;
        usleep(10000);
    }
    assert_int_equal(q->flags & P2P_CHANGES_ANEW, 0);
    return q->told;
}

/* From the place that is known, without waiting. */
static const char *
changes_in(struct waiting *q, const char *folder)
{
    q->folder = folder;
    ask_changes(q, 0);
    assert_int_equal(q->err, P2P_OK);
    return (q->flags & P2P_CHANGES_ANEW) != 0 ? "anew" : q->told;
}

/* A client that waits hears of a change in its folder at once, and of no other. */
static void
a_change_wakes_who_waits_for_it(void **state)
{
    struct world *w = *state;
    struct waiting q = {.w = w, .folder = "sub"}, other;
    pthread_t thread;

    scratch_folder(&w->scratch, "s/sub");
    serve(w, "");
    assert_int_equal(dial(w, 2, NULL, &q.conn), P2P_OK);
    assert_string_equal(changes_in(&q, "sub"), "anew");
    assert_true(q.place.log != 0 && q.place.after != 0);
    assert_string_equal(changes_in(&q, "sub"), "");
    other = q;
    scratch_put(&w->scratch, "s/elsewhere", "x");
    settle(w);
    assert_string_equal(changes_in(&q, "sub"), "");
    assert_string_equal(changes_in(&other, ""), "+elsewhere ");
    ask_changes(&other, 0);
    assert_false(p2p_conn_is_news(other.flags));
    q.folder = "../x";
    ask_changes(&q, 0);
    assert_int_equal(q.err, P2P_ERR_NOT_FOUND);

    q.folder = "sub";
    assert_int_equal(pthread_create(&thread, NULL, wait_for_news, &q), 0);
    scratch_put(&w->scratch, "s/sub/new", "y");
    settle(w);
    server_files_changed(w->server);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(q.err, P2P_OK);
    assert_string_equal(q.told, "+sub/new ");

    /* With other rules the client reads the files, and the list goes on. */
    other = q;
    assert_int_equal(p2p_grants_set_private(w->own->dir, "", NULL, 0), P2P_OK);
    assert_true(is_gone_by_name(q.conn, "a"));
    assert_string_equal(changes_in(&q, "sub"), "anew");
    assert_true(q.place.log != other.place.log &&
                q.place.log >> 32 == other.place.log >> 32);
    scratch_put(&w->scratch, "s/sub/private", "z");
    settle(w);
    assert_string_equal(changes_in(&q, "sub"), ""); /* nobody may see it */
    p2p_conn_close(q.conn);
}

static void
drop(const struct world *w, const char *name)
{
    assert_int_equal(unlink(scratch_path(&w->scratch, name)), 0);
}

/* The peer ends, the file is removed, and the peer starts again. */
static void
restart_without(struct world *w, struct waiting *q, const char *name)
{
    const struct p2p_share_options share = {.quiet_ms = 20};
    struct p2p_shares_folders folders = {.count = 1};
    size_t failed;

    p2p_conn_close(q->conn);
    server_close(w->server, 0);
    w->server = NULL;
    access_close(w->access);
    w->access = NULL;
    p2p_shares_close(w->shares);
    w->shares = NULL;
    if (name != NULL)
        drop(w, name);
    folders.at[0].path = scratch_path(&w->scratch, "s");
    assert_int_equal(p2p_shares_open(&folders, &share, &w->shares, &failed), P2P_OK);
    settle(w);
    serve(w, "");
    assert_int_equal(dial(w, 2, NULL, &q->conn), P2P_OK);
}

/* What was deleted is told as deleted, also if nobody looked, or if it was before a
 * restart. A place that the list has not reached, as after a backup was restored, and
 * another list tell nothing. */
static void
the_list_of_changes_goes_on_after_a_restart(void **state)
{
    struct world *w = *state;
    struct waiting q = {.w = w};

    for (char name[] = "s/1"; name[2] <= '4'; name[2]++)
        scratch_put(&w->scratch, name, name);
    settle(w);
    serve(w, "");
    assert_int_equal(dial(w, 2, NULL, &q.conn), P2P_OK);
    assert_string_equal(changes_in(&q, ""), "anew");
    struct p2p_conn_place begin = q.place;
    drop(w, "s/1");
    settle(w);
    restart_without(w, &q, NULL);
    assert_string_equal(next_changes(&q), "-1 ");
    assert_true((q.flags & P2P_CHANGES_WHOLE) != 0 && q.place.log == begin.log);
    restart_without(w, &q, "s/2");
    assert_string_equal(next_changes(&q), "-2 ");
    scratch_put(&w->scratch, "s/2", "again");
    settle(w);
    q.place = begin;
    assert_string_equal(changes_in(&q, ""), "-1 +2 ");

    q.place.after += 1000000000;
    assert_string_equal(changes_in(&q, ""), "anew");
    assert_true(q.place.log == begin.log && q.place.after < begin.after + 1000000);
    assert_string_equal(changes_in(&q, ""), "");
    restart_without(w, &q, "s/.p2p/index.db");
    assert_string_equal(changes_in(&q, ""), "anew");
    assert_true(q.place.log >> 32 != begin.log >> 32);
    q.place.after = begin.after;
    drop(w, "s/3");
    settle(w);
    assert_string_equal(next_changes(&q), "-3 ");
    p2p_conn_close(q.conn);
}

static void
another_identity_than_expected_is_noticed(void **state)
{
    struct world *w = *state;
    struct p2p_id other = keys_peer(7);
    struct p2p_conn *conn = NULL;

    serve(w, "");
    assert_int_equal(dial(w, 2, &other, &conn), P2P_ERR_WRONG_PEER);
    assert_null(conn);
}

static void
only_the_trusted_may_when_so_asked(void **state)
{
    struct world *w = *state;
    struct p2p_conn *conn = NULL;
    struct p2p_meta meta;
    enum p2p_err err;

    serve(w, "--trusted-only");
    err = dial(w, 2, NULL, &conn);
    if (err == P2P_OK)
        err = p2p_conn_meta_by_name(conn, "a", &meta);
    p2p_conn_close(conn);
    assert_int_not_equal(err, P2P_OK);
    assert_true(access_needs_proof(w->access));
}

static void
protocol_1_is_served_unless_it_is_off(void **state)
{
    struct world *w = *state;
    struct p2p_conn *conn = NULL;
    struct p2p_meta meta;
    enum p2p_err err;

    serve(w, "--no-protocol-1");
    err = dial(w, 1, NULL, &conn);
    if (err == P2P_OK)
        err = p2p_conn_meta_by_name(conn, "a", &meta);
    p2p_conn_close(conn);
    assert_int_not_equal(err, P2P_OK);
    server_close(w->server, 0);
    access_close(w->access);
    serve(w, "");
    assert_int_equal(dial(w, 1, NULL, &conn), P2P_OK);
    assert_int_equal(p2p_conn_meta_by_name(conn, "a", &meta), P2P_OK);
    assert_int_equal(meta.geometry.size, strlen(TEXT));
    p2p_conn_close(conn);
}

static void
wrong_options_are_refused(void **state)
{
    static const char *const words[] = {"--port=70000",         "--max-connections=0",
                                        "--chunk-size=1",       "--no-such-option",
                                        "--heartbeat=0",        "--handshake-rate=x",
                                        "--idle-timeout=1.5.2", "extra"};

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        char *argv[] = {(char[]){"p2p-peer"}, (char *)(uintptr_t)words[i], NULL};
        struct p2p_options_text *text = NULL;
        struct peer_options opt;
        if (peer_options_parse(2, argv, &opt, &text) != P2P_ERR_USAGE)
            fail_msg("%s was taken", words[i]);
        p2p_options_free(text);
    }
}

static void
an_announcer_without_a_registry_ends(void **state)
{
    struct world *w = *state;
    const struct announcer_options opt = {.identity = w->own->identity,
                                          .shares = w->shares,
                                          .port = 9000,
                                          .heartbeat_ms = 1000};
    struct announcer *announcer;

    assert_int_equal(announcer_start(&opt, &announcer), P2P_OK);
    announcer_poke(announcer);
    announcer_stop(announcer);
    announcer_free(announcer);
}

static atomic_uint whole_lists, removals;

static char *
note_registration(struct fake_registry *fake, const struct fake_request *request,
                  int *status)
{
    (void)fake;
    *status = 200;
    if (strcmp(request->target, "/register/delta") == 0)
        removals += strstr(request->body, "\"remove\":[\"a\"]") != NULL;
    else if (strcmp(request->target, "/register") == 0)
        whole_lists++;
    return strdup("{\"message\": \"ok\"}");
}

static void
no_tick(void *arg)
{
    (void)arg;
}

static void
wait_for(const atomic_uint *count)
{
    AWAIT(*count > 0);
}

/* Nobody pokes the announcer here. */
static void
a_change_without_a_poke_is_told_with_the_next_heartbeat(void **state)
{
    struct world *w = *state;
    struct fake_registry fake;
    struct announcer_options opt = {.identity = w->own->identity,
                                    .shares = w->shares,
                                    .port = 9000,
                                    .heartbeat_ms = 500,
                                    .tick = no_tick};
    struct announcer *announcer;
    const char *url = fake.url;

    serve(w, "");
    opt.access = w->access;
    fake_start(&fake, note_registration, NULL);
    assert_int_equal(p2p_discovery_open(&url, 1, 5000, &opt.discovery), P2P_OK);
    assert_int_equal(announcer_start(&opt, &announcer), P2P_OK);
    wait_for(&whole_lists);
    assert_int_equal(unlink(scratch_path(&w->scratch, "s/a")), 0);
    wait_for(&removals);
    announcer_stop(announcer);
    announcer_free(announcer);
    p2p_discovery_close(opt.discovery);
    fake_stop(&fake);
    fake_clear(&fake);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* The server's end of the only connection, in this process. */
static int
accepted_socket(uint16_t port)
{
    struct sockaddr_in here, there;

    for (int fd = 3; fd < 1024; fd++) {
        socklen_t len = sizeof(here), their_len = sizeof(there);

        if (getsockname(fd, (struct sockaddr *)&here, &len) == 0 &&
            here.sin_family == AF_INET && ntohs(here.sin_port) == port &&
            getpeername(fd, (struct sockaddr *)&there, &their_len) == 0)
            return fd;
    }
    fail_msg("no connection of port %u", port);
    return -1;
}

static void
bbr_is_used_where_it_is_allowed(void **state)
{
    struct world *w = *state;
    struct p2p_conn *conn;
    char allowed[256] = "", used[16] = "";
    socklen_t len = sizeof(used);
    FILE *f = fopen("/proc/sys/net/ipv4/tcp_allowed_congestion_control", "r");

    assert_non_null(f);
    assert_non_null(fgets(allowed, sizeof(allowed), f));
    fclose(f);
    serve(w, "");
    if (!chooses_congestion)
        skip(); /* an emulator of one program does not pass this option on */
    assert_int_equal(dial(w, 2, NULL, &conn), P2P_OK);
    assert_int_equal(
        getsockopt(accepted_socket(w->port), IPPROTO_TCP, TCP_CONGESTION, used, &len),
        0);
    if (strstr(allowed, "bbr") != NULL || geteuid() != 0)
        assert_string_equal(used, strstr(allowed, "bbr") != NULL ? "bbr" : "reno");
    p2p_conn_close(conn);
}

/* ---- guests of links ---- */

static void
no_guest(void *arg, int fd, const struct p2p_id *link, const struct p2p_guest_id *guest)
{
    (void)arg, (void)fd, (void)link, (void)guest;
}

/* Reads one frame without a seal; returns its length, 0: the channel has ended. */
static size_t
read_plain(int fd, uint8_t *out, size_t cap)
{
    uint8_t head[4];
    size_t len;

    if (recv(fd, head, sizeof(head), MSG_WAITALL) != (ssize_t)sizeof(head))
        return 0;
    len = (size_t)head[2] << 8 | head[3];
    assert_true(head[0] == 0 && head[1] == 0 && len > 0 && len <= cap);
    return recv(fd, out, len, MSG_WAITALL) == (ssize_t)len ? len : 0;
}

static void
send_plain(int fd, const uint8_t *message, uint8_t len)
{
    const uint8_t head[4] = {0, 0, 0, len};

    assert_int_equal(send(fd, head, sizeof(head), MSG_NOSIGNAL), sizeof(head));
    assert_int_equal(send(fd, message, len, MSG_NOSIGNAL), len);
}

/* A guest of the link, as a channel brings it; reads its WELCOME. The own end is
 * returned. */
static int
let_in(struct world *w, const struct p2p_id *link)
{
    static struct p2p_guest_id guest;
    struct timeval limit = {.tv_sec = 30};
    uint8_t in[4096];
    int pair[2];

    guest.b[0]++;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(
        setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
    server_adopt_guest(w->server, pair[1], link, &guest);
    assert_true(read_plain(pair[0], in, sizeof(in)) > 20);
    assert_int_equal(in[0], 0x40);
    return pair[0];
}

/* A hostile page: each type and a body of any kind. Its channel may end; the list has
 * only the file of the link ("a"), and the next guest is served. */
static void
try_each_type(struct world *w, const struct p2p_id *link)
{
    static const uint8_t list[] = {0x17, 0, 0, 0, 7, 0, 0};
    static const uint8_t answers[] = {0x07, 0x11, 0x13, 0x15, 0x1c, 0x1e, 0x27};
    uint8_t in[4096], message[64];
    uint32_t chance = 1;

    for (unsigned type = 0; type <= 0xff; type += type < 0x44 ? 1u : 2u) {
        int fd = let_in(w, link);
        size_t len;

        for (size_t i = 0; i < sizeof(message); i++)
            message[i] = (uint8_t)((chance = chance * 1664525 + 1013904223) >> 24);
        message[0] = (uint8_t)type;
        send_plain(fd, message, (uint8_t)(1 + chance % sizeof(message)));
        (void)!send(fd, "\0\0\0\7", 4, MSG_NOSIGNAL);
        (void)!send(fd, list, sizeof(list), MSG_NOSIGNAL);
        while ((len = read_plain(fd, in, sizeof(in))) > 0 && in[0] != 0x18)
            assert_non_null(memchr(answers, in[0], sizeof(answers)));
        if (len > 0) {
            assert_int_equal(in[6], 1);
            assert_memory_equal(in + len - 3, "a", 1);
        }
        close(fd);
    }
}

/* Of two shared files it sees the one of its link; types that are not for guests are
 * refused, and a frame that is too long ends the channel. */
static void
a_guest_gets_its_link_and_nothing_else(void **state)
{
    static const char *const urls[] = {"http://127.0.0.1:9"};
    static const uint8_t refused[] = {0x05, 0x06, 0x19, 0x22, 0x24,
                                      0x28, 0x2a, 0x40, 0xff};
    static const uint8_t too_long[4] = {0, 1, 0, 0}, list[] = {0x17, 0, 0, 0, 7, 0, 0};
    const struct links_options links = {.on_guest = no_guest};
    const struct p2p_guest_id guest = {{1}};
    struct p2p_links_row row = {.expires_s = p2p_time_s() + 3600,
                                .uses_left = P2P_LINKS_NO_LIMIT,
                                .bytes_left = P2P_LINKS_NO_LIMIT,
                                .keys = {.guest = {{9}}}};
    struct world *w = *state;
    struct p2p_discovery *discovery;
    uint8_t in[4096], message[8] = {0};
    int pair[2];
    size_t len;

    assert_int_equal(p2p_links_name(&row, "a"), P2P_OK);
    assert_int_equal(p2p_links_add(w->own->dir, &row), P2P_OK);
    assert_int_equal(p2p_discovery_open(urls, 1, 1000, &discovery), P2P_OK);
    assert_int_equal(links_new(&links, &w->links), P2P_OK);
    links_begin(w->links, discovery);
    (void)links_follow(w->links, w->own->dir);
    serve(w, "");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
    server_adopt_guest(w->server, pair[1], &row.keys.guest, &guest);
    assert_true(read_plain(pair[0], in, sizeof(in)) > 20);
    assert_int_equal(in[0], 0x40);
    for (size_t i = 0; i < sizeof(refused); i++) {
        message[0] = refused[i];
        send_plain(pair[0], message, sizeof(message));
        assert_true(read_plain(pair[0], in, sizeof(in)) > 7);
        assert_int_equal(in[0], 0x1e);
        assert_int_equal(in[6], 2);
    }
    send_plain(pair[0], list, sizeof(list));
    len = read_plain(pair[0], in, sizeof(in));
    assert_int_equal(in[0], 0x18);
    assert_int_equal(in[6], 1);
    assert_memory_equal(in + len - 3, "a", 1);
    assert_int_equal(send(pair[0], too_long, sizeof(too_long), MSG_NOSIGNAL), 4);
    assert_int_equal(read_plain(pair[0], in, sizeof(in)), 0);
    close(pair[0]);
    try_each_type(w, &row.keys.guest);
    server_close(w->server, 0);
    w->server = NULL;
    links_halt(w->links);
    links_free(w->links);
    w->links = NULL;
    p2p_discovery_close(discovery);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(what_is_shared_is_described),
        IN_WORLD(what_is_not_shared_is_not_found),
        IN_WORLD(what_is_private_is_not_there),
        IN_WORLD(a_right_comes_and_goes),
        IN_WORLD(another_identity_than_expected_is_noticed),
        IN_WORLD(only_the_trusted_may_when_so_asked),
        IN_WORLD(protocol_1_is_served_unless_it_is_off),
        IN_WORLD(bbr_is_used_where_it_is_allowed),
        IN_WORLD(a_guest_gets_its_link_and_nothing_else),
        IN_WORLD(old_contents_are_for_readers_when_the_owner_says_so),
        IN_WORLD(what_the_owner_removed_is_gone_for_others),
        IN_WORLD(a_change_wakes_who_waits_for_it),
        IN_WORLD(the_list_of_changes_goes_on_after_a_restart),
        cmocka_unit_test(wrong_options_are_refused),
        IN_WORLD(an_announcer_without_a_registry_ends),
        IN_WORLD(a_change_without_a_poke_is_told_with_the_next_heartbeat),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
