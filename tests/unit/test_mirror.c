// uses tests/unit/fake_peer.c
/*
 * mirror: the decision for each name over its whole input space; the brake; jobs; and
 * rounds with a peer that changes, loses and lies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/mirror/mirror_internal.h"
#include "core/mirror/round.h"
#include "dl_fixture.h"
#include "p2p/versions.h"

/* ---- A file system that does not tell upper from lower case ---- */

static bool folds;

static const char *
folded(const char *name, char out[P2P_NAME_MAX + 1])
{
    if (!folds)
        return name;
    snprintf(out, P2P_NAME_MAX + 1, "%s", name);
    for (char *p = out; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    return out;
}

int
openat(int dir, const char *name, int flags, ...)
{
    char lower[P2P_NAME_MAX + 1];
    unsigned mode = 0;
    va_list args;

    va_start(args, flags);
    if ((flags & O_CREAT) != 0)
        mode = va_arg(args, unsigned);
    va_end(args);
    return (int)syscall(SYS_openat, dir, folded(name, lower), flags, mode);
}

int
mkdirat(int dir, const char *name, mode_t mode)
{
    char lower[P2P_NAME_MAX + 1];

    return (int)syscall(SYS_mkdirat, dir, folded(name, lower), mode);
}

/* ---- Decisions ---- */

/* The rules once more, in words: nothing that somebody else has put here is removed,
 * and what is missing at the source is only removed if that was asked for. */
static enum p2p_mirror_act
expected(int s, int l, int a, bool follows)
{
    if (s != 0)
        return l == 0             ? P2P_MIRROR_FETCH
               : l == s && a == s ? P2P_MIRROR_NOTHING
               : l == s           ? P2P_MIRROR_RECORD
                                  : P2P_MIRROR_REPLACE;
    if (l == 0)
        return P2P_MIRROR_FORGET;
    return follows && a == l ? P2P_MIRROR_REMOVE : P2P_MIRROR_KEEP;
}

static void
every_case_is_decided(void **state)
{
    struct p2p_digest content[4] = {{{0}}};

    (void)state;
    for (uint8_t i = 0; i < 4; i++)
        content[i].b[0] = i;
    for (int s = 0; s < 4; s++)
        for (int l = 0; l < 4; l++)
            for (int a = 0; a < 4; a++)
                for (int follows = 0; follows < 2; follows++) {
                    struct p2p_mirror_name n = {
                        .source = s > 0 ? &content[s] : NULL,
                        .here = l > 0 ? &content[l] : NULL,
                        .put = a > 0 ? &content[a] : NULL,
                        .follows = follows != 0,
                    };
                    assert_int_equal(p2p_mirror_decide(&n),
                                     expected(s, l, a, follows != 0));
                    n.here = NULL; /* it is there, but nobody knows what it is */
                    n.is_unread = true;
                    assert_int_equal(p2p_mirror_decide(&n), P2P_MIRROR_LATER);
                }
}

static void
the_brake(void **state)
{
    (void)state;
    assert_false(p2p_mirror_brakes(0, 0, 0));
    assert_false(p2p_mirror_brakes(0, 0, 10));
    assert_true(p2p_mirror_brakes(0, 0, 11));
    assert_false(p2p_mirror_brakes(40, 0, 10));
    assert_false(p2p_mirror_brakes(100, 0, 25));
    assert_true(p2p_mirror_brakes(100, 0, 26));
    assert_false(p2p_mirror_brakes(100, 15, 10));
    assert_true(p2p_mirror_brakes(100, 16, 10));
    assert_false(p2p_mirror_brakes(100, 26, 0)); /* nothing is wanted */
    assert_true(p2p_mirror_brakes(100, 26, 1));
    assert_true(p2p_mirror_brakes(100, UINT64_MAX, UINT64_MAX));
    assert_true(p2p_mirror_brakes(100, 1, UINT64_MAX));
}

static void
folders_that_would_be_empty(void **state)
{
    static const char *const names[] = {"a", "b/c/x", "b/d", "bb/y"};

    (void)state;
    assert_true(p2p_mirror_empties(NULL, 0, "a"));
    assert_true(p2p_mirror_empties(names, 4, "c/x"));
    assert_true(p2p_mirror_empties(names, 4, "b/e/x"));
    assert_false(p2p_mirror_empties(names, 4, "b/x"));
    assert_false(p2p_mirror_empties(names, 4, "b/c/z"));
    assert_false(p2p_mirror_empties(names, 4, "z"));
    assert_false(p2p_mirror_empties(names, 1, "z"));
    assert_true(p2p_mirror_empties(names, 1, "b/x"));
}

static void
what_is_held(void **state)
{
    static const char *const names[] = {"dir/a", "dir/b"};
    struct p2p_mirror_change changes[20];
    const struct p2p_mirror_change removal = {.name = "dir/c", .is_removal = true};

    (void)state;
    for (size_t i = 0; i < 20; i++)
        changes[i] = removal;
    changes[1].name = "other/c"; /* would leave `other` empty */
    changes[2].name = "other/d";
    changes[2].is_moved = true;
    changes[3].name = "other/e";
    changes[3].is_accepted = true;
    changes[4].is_removal = false;
    assert_false(p2p_mirror_hold(changes, 5, names, 2, 0, 0));
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(changes[i].is_held, i == 1);
    /* Those that wait anyway do not count for the brake. */
    assert_false(p2p_mirror_hold(changes, 5, names, 2, 0, 8));
    assert_true(p2p_mirror_hold(changes, 5, names, 2, 0, 9));
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(changes[i].is_held, i != 2 && i != 3);
    assert_true(p2p_mirror_hold(changes, 20, names, 2, 40, 0));
    assert_false(p2p_mirror_hold(changes, 20, names, 2, 80, 0));
}

/* ---- Jobs ---- */

static struct p2p_mirror
make_job(const struct fixture *f, const char *prefix)
{
    struct p2p_mirror job = {.folder = "dir"};

    snprintf(job.base, sizeof(job.base), "%s", scratch_path(&f->scratch, "root"));
    snprintf(job.prefix, sizeof(job.prefix), "%s", prefix);
    return job;
}

static void
jobs_are_stored(void **state)
{
    struct fixture *f = *state;
    char *keys = strdup(scratch_path(&f->scratch, "."));
    struct p2p_mirror job = make_job(f, "x/y"), other, *all;
    size_t count;
    bool is_paused;

    assert_int_equal(p2p_mirrors_list(keys, &all, &count), P2P_OK);
    assert_int_equal(count, 0);
    assert_int_equal(p2p_mirrors_remove(keys, "12345678"), P2P_ERR_NOT_FOUND);
    job.deletes = true;
    job.quota = 77;
    assert_int_equal(p2p_mirrors_add(keys, &job), P2P_OK);
    other = make_job(f, "x"); /* one above, in and beside it */
    assert_int_equal(p2p_mirrors_add(keys, &other), P2P_ERR_EXISTS);
    other = make_job(f, "x/y/z");
    assert_int_equal(p2p_mirrors_add(keys, &other), P2P_ERR_EXISTS);
    other = make_job(f, "");
    assert_int_equal(p2p_mirrors_add(keys, &other), P2P_ERR_EXISTS);
    other = make_job(f, "x/yy");
    assert_int_equal(p2p_mirrors_add(keys, &other), P2P_OK);
    assert_int_equal(p2p_mirrors_list(keys, &all, &count), P2P_OK);
    assert_int_equal(count, 2);
    free(all);
    uint64_t wishes = p2p_mirrors_wishes(keys, job.id, &is_paused);
    assert_true(wishes > 0 && !is_paused);
    assert_int_equal(p2p_mirrors_pause(keys, job.id, true), P2P_OK);
    assert_true(p2p_mirrors_wishes(keys, job.id, &is_paused) > wishes && is_paused);
    job.state = P2P_MIRROR_WAITING;
    job.error = P2P_ERR_DISK_FULL;
    snprintf(job.message, sizeof(job.message), "why");
    job.files = 9;
    job.held_removals = 3;
    assert_int_equal(p2p_mirrors_store(keys, &job), P2P_OK);
    assert_int_equal(p2p_mirrors_find(keys, job.id, &other), P2P_OK);
    assert_true(other.is_paused && other.deletes && other.quota == 77);
    assert_true(other.state == P2P_MIRROR_WAITING && other.error == P2P_ERR_DISK_FULL);
    assert_string_equal(other.message, "why");
    assert_string_equal(other.prefix, "x/y");
    assert_true(other.files == 9 && other.held_removals == 3);
    assert_int_equal(p2p_mirrors_accept(keys, job.id), P2P_OK);
    assert_int_equal(p2p_mirrors_remove(keys, job.id), P2P_OK);
    assert_int_equal(p2p_mirrors_find(keys, job.id, &other), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_mirrors_wishes(keys, job.id, &is_paused), 0);
    free(keys);
}

static void
states_have_names(void **state)
{
    (void)state;
    assert_string_equal(p2p_mirror_state_name(P2P_MIRROR_IN_STEP), "in_step");
    assert_string_equal(p2p_mirror_state_name((enum p2p_mirror_state)99), "failed");
}

/* ---- Rounds ---- */

static bool
never(void *arg)
{
    (void)arg;
    return false;
}

#define FILES 60
static char texts[FILES][16];

/* A source with these files: `kept` of them, the first `changed` with another text. */
static void
serve(struct fixture *f, unsigned kept, unsigned changed)
{
    struct fake_peer *p = &f->peers[0];
    char name[32];

    if (f->peer_count > 0)
        stop_peers(f);
    *p = (struct fake_peer){.port = 0};
    fake_peer_start(p);
    f->peer_count = 1;
    for (unsigned i = 0; i < kept; i++) {
        snprintf(name, sizeof(name), "dir/%u/%02u", i % 3, i);
        snprintf(texts[i], sizeof(texts[i]), "%s %u", i < changed ? "new" : "old", i);
        fake_peer_add(p, name, (const uint8_t *)texts[i], strlen(texts[i]), CHUNK);
    }
    fake_peer_add(p, "dirty", (const uint8_t *)"no", 2, CHUNK);
    f->specs[0] = fake_peer_spec(p);
}

static void
run_round(struct fixture *f, struct p2p_mirror *job)
{
    struct p2p_keeper_options opt = {.keys_dir = "keys", .identity = f->keys->identity};

    job->peer = f->peers[0].id;
    snprintf(job->address, sizeof(job->address), "127.0.0.1:%u", f->peers[0].port);
    p2p_mirror_round(&opt, job, never, NULL);
}

static struct p2p_mirror
start_mirror(struct fixture *f)
{
    struct p2p_mirror job = make_job(f, "copy");
    char *keys = strdup(scratch_path(&f->scratch, "."));

    job.deletes = true;
    assert_int_equal(p2p_mirrors_add(keys, &job), P2P_OK);
    free(keys);
    serve(f, FILES, 0);
    run_round(f, &job);
    if (job.state != P2P_MIRROR_IN_STEP)
        fail_msg("%s: %s", p2p_mirror_state_name(job.state), job.message);
    return job;
}

static bool
holds(const struct fixture *f, unsigned i, const char *text)
{
    char path[64], whole[32];

    snprintf(path, sizeof(path), "root/copy/%u/%02u", i % 3, i);
    snprintf(whole, sizeof(whole), "%s %u", text, i);
    return scratch_holds(&f->scratch, path, whole);
}

static unsigned
count_holding(const struct fixture *f, const char *text)
{
    unsigned n = 0;

    for (unsigned i = 0; i < FILES; i++)
        n += holds(f, i, text);
    return n;
}

static void
accept_held(const struct fixture *f, const struct p2p_mirror *job)
{
    char *keys = strdup(scratch_path(&f->scratch, "."));

    assert_int_equal(p2p_mirrors_accept(keys, job->id), P2P_OK);
    free(keys);
}

static void
count_held(void *arg, const char *name, bool is_removal)
{
    unsigned *n = arg;

    assert_true(strchr(name, '/') != NULL && !is_removal);
    ++*n;
}

static void
changes_and_deletions_follow(void **state)
{
    struct fixture *f = *state;
    struct p2p_mirror job = start_mirror(f);

    assert_int_equal(job.files, FILES);
    assert_int_equal(count_holding(f, "old"), FILES);
    assert_false(scratch_has(&f->scratch, "root/copy/ty"));
    serve(f, FILES - 4, 5);
    run_round(f, &job); /* what is missing once may be back */
    assert_int_equal(count_holding(f, "new"), 5);
    assert_int_equal(count_holding(f, "old"), FILES - 5);
    assert_int_equal(job.todo, 4);
    run_round(f, &job);
    assert_int_equal(job.state, P2P_MIRROR_IN_STEP);
    assert_int_equal(count_holding(f, "old"), FILES - 9);
    run_round(f, &job);
    assert_int_equal(job.state, P2P_MIRROR_IN_STEP);
    /* 9 of 15 for today; these are too many, but new ones come */
    serve(f, FILES, 13);
    run_round(f, &job);
    assert_int_equal(job.state, P2P_MIRROR_WAITING);
    assert_int_equal(job.held_changes, 8);
    unsigned held = 0;
    assert_int_equal(p2p_mirror_held(&job, 3, count_held, &held), P2P_OK);
    assert_int_equal(held, 3);
    held = 0;
    assert_int_equal(p2p_mirror_held(&job, 10, count_held, &held), P2P_OK);
    assert_int_equal(held, 8);
    assert_int_equal(count_holding(f, "new"), 5);
    assert_true(holds(f, FILES - 1, "old"));
    accept_held(f, &job);
    serve(f, FILES, 14); /* one more than was accepted: it fits into the day */
    run_round(f, &job);
    assert_int_equal(job.state, P2P_MIRROR_IN_STEP);
    assert_int_equal(count_holding(f, "new"), 14);
    stop_peers(f);
}

static void
an_empty_source_deletes_nothing(void **state)
{
    struct fixture *f = *state;
    struct p2p_mirror job = start_mirror(f);

    serve(f, 0, 0);
    for (int i = 0; i < 3; i++)
        run_round(f, &job);
    assert_int_equal(job.state, P2P_MIRROR_WAITING);
    assert_int_equal(job.held_removals, FILES);
    assert_int_equal(count_holding(f, "old"), FILES);
    serve(f, 2, 0); /* one of three folders is away, and too many files */
    run_round(f, &job);
    run_round(f, &job);
    assert_int_equal(job.held_removals, FILES - 2);
    serve(f, FILES, 0);
    run_round(f, &job);
    assert_int_equal(job.state, P2P_MIRROR_IN_STEP);
    serve(f, 0, 0); /* accepted: then they go, and can be restored */
    run_round(f, &job);
    run_round(f, &job);
    accept_held(f, &job);
    run_round(f, &job);
    assert_int_equal(job.state, P2P_MIRROR_IN_STEP);
    assert_int_equal(count_holding(f, "old"), 0);
    stop_peers(f);
}

/* ---- A source that tells what it changed ---- */

#define LOG (7ull << 32)

/* The files of `serve`, and a list of changes up to this place. `gone` (NULL: none)
 * ends with NULL. */
static void
serve_told(struct fixture *f, unsigned kept, uint64_t log, uint64_t upto,
           const char *const *gone)
{
    struct fake_manners *m = &f->peers[0].manners;

    serve(f, kept, 0);
    m->log = log;
    m->upto = upto;
    m->gone = gone;
    while (gone != NULL && gone[m->gone_count] != NULL)
        m->gone_count++;
}

static struct p2p_mirror
start_told(struct fixture *f)
{
    struct p2p_mirror job = start_mirror(f);

    serve_told(f, FILES, LOG, 100, NULL);
    run_round(f, &job);
    assert_int_equal(job.state, P2P_MIRROR_IN_STEP);
    assert_true(f->peers[0].lists > 0);
    return job;
}

static void
expect_round(struct fixture *f, struct p2p_mirror *job, enum p2p_mirror_state state,
             unsigned here, bool with_list)
{
    uint64_t lists = f->peers[0].lists;

    run_round(f, job);
    if (job->state != state)
        fail_msg("%s: %s", p2p_mirror_state_name(job->state), job->message);
    assert_int_equal(count_holding(f, "old"), here);
    assert_int_equal(f->peers[0].lists > lists, with_list);
}

/* Without changes, a round reads no list; it heals what was deleted here all the same.
 * What the source deleted goes at once, and new files come. */
static void
only_the_changes_are_read(void **state)
{
    static const char *const gone[] = {"dir/2/59", "dir/1/58", "dir/0/00", NULL};
    struct fixture *f = *state;
    struct p2p_mirror job = start_told(f);

    expect_round(f, &job, P2P_MIRROR_IN_STEP, FILES, false);
    assert_int_equal(job.files, FILES);
    assert_int_equal(unlink(scratch_path(&f->scratch, "root/copy/0/03")), 0);
    expect_round(f, &job, P2P_MIRROR_IN_STEP, FILES, false);
    /* The source started again, without two files; one was deleted and made again. */
    serve_told(f, FILES - 2, LOG, 200, gone);
    f->peers[0].manners.here_count = 1;
    expect_round(f, &job, P2P_MIRROR_IN_STEP, FILES - 2, false);
    assert_int_equal(job.files, FILES - 2);
    expect_round(f, &job, P2P_MIRROR_IN_STEP, FILES - 2, false);
    /* Other rules there: the list is read, and its changes are known. */
    serve_told(f, FILES - 2, LOG + 5, 201, gone);
    expect_round(f, &job, P2P_MIRROR_IN_STEP, FILES - 2, true);
    expect_round(f, &job, P2P_MIRROR_IN_STEP, FILES - 2, false);
    job.wants_list = true;
    expect_round(f, &job, P2P_MIRROR_IN_STEP, FILES - 2, true);
    stop_peers(f);
}

/* The files are missing, and no list says that they were deleted: a disk is away, the
 * index is new, or older than the mirror knows it, or the deletions are forgotten. */
static void
only_what_is_said_to_be_deleted_is(void **state)
{
    static const char *const gone[] = {"dir/2/59", "dir/1/58", NULL};
    static const struct {
        uint64_t log, upto, cut;
    } now[] = {{LOG, 100, 0},
               {LOG + 9, 100, 0},
               {9ull << 32, 500, 0},
               {LOG, 60, 0},
               {LOG, 500, 300}};
    struct fixture *f = *state;
    struct p2p_mirror job = start_told(f);

    for (size_t i = 0; i < sizeof(now) / sizeof(now[0]); i++) {
        serve_told(f, FILES - 2, now[i].log, now[i].upto, gone);
        f->peers[0].manners.cut = now[i].cut;
        job.wants_list = true;
        run_round(f, &job);
        expect_round(f, &job, P2P_MIRROR_WAITING, FILES, true);
        assert_int_equal(job.held_removals, 2);
        assert_non_null(strstr(job.message, "does not say"));
        serve_told(f, FILES, LOG, 100, NULL); /* they are back */
        job.wants_list = false;
        run_round(f, &job);
        expect_round(f, &job, P2P_MIRROR_IN_STEP, FILES, false);
    }
    serve_told(f, FILES - 2, 9ull << 32, 500, NULL);
    run_round(f, &job);
    expect_round(f, &job, P2P_MIRROR_WAITING, FILES, true);
    accept_held(f, &job);
    expect_round(f, &job, P2P_MIRROR_IN_STEP, FILES - 2, true);
    stop_peers(f);
}

/* Deletions that the brake holds are known in later rounds, too. */
static void
held_deletions_are_remembered(void **state)
{
    static const char *names[31];
    static char text[30][16];
    struct fixture *f = *state;
    struct p2p_mirror job = start_told(f);

    for (unsigned i = 0; i < 30; i++) {
        snprintf(text[i], sizeof(text[i]), "dir/%u/%02u", (30 + i) % 3, 30 + i);
        names[i] = text[i];
    }
    serve_told(f, 30, LOG, 101, names);
    for (int i = 0; i < 3; i++) {
        expect_round(f, &job, P2P_MIRROR_WAITING, FILES, i > 0);
        assert_int_equal(job.held_removals, 30);
        assert_non_null(strstr(job.message, "at once"));
    }
    accept_held(f, &job);
    expect_round(f, &job, P2P_MIRROR_IN_STEP, 30, true);
    expect_round(f, &job, P2P_MIRROR_IN_STEP, 30, false);
    stop_peers(f);
}

static void
nothing_goes_that_history_cannot_keep(void **state)
{
    struct fixture *f = *state;
    struct p2p_mirror job = start_mirror(f);
    struct p2p_versions *v;

    assert_int_equal(p2p_versions_open(f->root, &v), P2P_OK);
    for (int off = 0; off < 2; off++) {
        assert_int_equal(off ? p2p_versions_set(v, "on", "no")
                             : p2p_versions_set(v, "space", "1"),
                         P2P_OK);
        serve(f, FILES, FILES); /* 60 of 60 changed, and accepted */
        run_round(f, &job);
        accept_held(f, &job);
        run_round(f, &job);
        assert_int_equal(job.state, P2P_MIRROR_WAITING);
        assert_int_equal(job.error, P2P_ERR_DISK_FULL);
        assert_int_equal(job.held_changes, FILES);
        serve(f, 0, 0); /* 60 of 60 deleted, and accepted */
        run_round(f, &job);
        run_round(f, &job);
        accept_held(f, &job);
        run_round(f, &job);
        assert_int_equal(job.state, P2P_MIRROR_WAITING);
        assert_int_equal(job.held_removals, FILES);
        assert_int_equal(count_holding(f, "old"), FILES);
        assert_int_equal(p2p_versions_set(v, "space", "10%"), P2P_OK);
    }
    assert_int_equal(p2p_versions_set(v, "on", "yes"), P2P_OK);
    run_round(f, &job);
    assert_int_equal(count_holding(f, "old"), 0);
    p2p_versions_close(v);
    stop_peers(f);
}

static void
an_empty_folder_here_is_not_the_mirror(void **state)
{
    struct fixture *f = *state;
    struct p2p_mirror job = start_mirror(f);

    char *root = strdup(scratch_path(&f->scratch, "root"));
    char *away = strdup(scratch_path(&f->scratch, "away"));
    assert_int_equal(rename(root, away), 0);
    run_round(f, &job);
    assert_int_equal(job.state, P2P_MIRROR_AWAY);
    assert_int_equal(mkdir(root, 0700), 0);
    run_round(f, &job);
    assert_int_equal(job.state, P2P_MIRROR_AWAY);
    assert_int_equal(rmdir(root), 0);
    assert_int_equal(rename(away, root), 0);
    run_round(f, &job);
    assert_int_equal(job.state, P2P_MIRROR_IN_STEP);
    stop_peers(f);
    run_round(f, &job);
    assert_int_equal(job.state, P2P_MIRROR_AWAY);
    assert_int_equal(count_holding(f, "old"), FILES);
    job.quota = 5;
    serve(f, FILES, 0);
    run_round(f, &job);
    assert_int_equal(job.error, P2P_ERR_QUOTA);
    stop_peers(f);
    free(root);
    free(away);
}

static void
names_that_are_one_file(void **state)
{
    struct fixture *f = *state;
    struct p2p_mirror_file file;
    struct p2p_applied_file put;
    const struct p2p_round_step steps[] = {
        {.name = "B"},
        {.name = "Dir/x", .source = &file},
        {.name = "a", .source = &file, .known = &put},
        {.name = "A", .source = &file},
        {.name = "b", .source = &file},
        {.name = "dir/X", .source = &file, .known = &put},
        {.name = "dir/y", .source = &file},
        {.name = "\xc3\xa9", .source = &file},
    };
    enum { COUNT = sizeof(steps) / sizeof(steps[0]) };
    const size_t none = (size_t)-1;
    const size_t right[COUNT] = {4, 5, none, 2, none, none, none, none};
    size_t same[COUNT];
    int dir = p2p_root_fd(f->root);

    scratch_put(&f->scratch, "root/a", "text");
    assert_int_equal(mkdirat(dir, ".p2p-names", 0700), 0); /* by a killed program */
    close(openat(dir, ".p2p-names/b", O_CREAT | O_WRONLY, 0600));
    assert_int_equal(p2p_round_same_names(dir, steps, COUNT, same), P2P_OK);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(same[i], none);
    folds = true;
    assert_int_equal(p2p_round_same_names(dir, steps, COUNT, same), P2P_OK);
    folds = false;
    assert_memory_equal(same, right, sizeof(same));
    assert_false(scratch_has(&f->scratch, "root/.p2p-names"));
    assert_true(scratch_holds(&f->scratch, "root/a", "text"));
}

/* The second of two such names is left out, and said. */
static void
upper_and_lower_case(void **state)
{
    struct fixture *f = *state;
    struct p2p_mirror job = start_mirror(f);

    folds = true;
    fake_peer_add(&f->peers[0], "dir/README", (const uint8_t *)"1", 1, CHUNK);
    fake_peer_add(&f->peers[0], "dir/readme", (const uint8_t *)"2", 1, CHUNK);
    run_round(f, &job);
    folds = false;
    assert_int_equal(job.state, P2P_MIRROR_WAITING);
    assert_int_equal(job.error, P2P_ERR_TARGET_NAME);
    assert_int_equal(job.todo, 1);
    assert_true(scratch_holds(&f->scratch, "root/copy/README", "1"));
    assert_false(scratch_has(&f->scratch, "root/copy/readme"));
    stop_peers(f);
}

/* ---- The keeper ---- */

static void
a_keeper_runs_the_jobs(void **state)
{
    struct fixture *f = *state;
    char *keys = strdup(scratch_path(&f->scratch, "."));
    struct p2p_mirror job = make_job(f, "copy"), now = {.state = P2P_MIRROR_NEW};
    const struct p2p_keeper_options opt = {.keys_dir = keys,
                                           .identity = f->keys->identity};
    struct p2p_keeper *keeper, *second;

    serve(f, FILES, 0);
    job.once = true;
    job.peer = f->peers[0].id;
    snprintf(job.address, sizeof(job.address), "127.0.0.1:%u", f->peers[0].port);
    assert_int_equal(p2p_mirrors_add(keys, &job), P2P_OK);
    assert_int_equal(p2p_keeper_start(&opt, &keeper), P2P_OK);
    assert_int_equal(p2p_keeper_start(&opt, &second), P2P_OK); /* waits */
    AWAIT(p2p_mirrors_find(keys, job.id, &now) == P2P_OK && now.is_paused);
    assert_int_equal(now.state, P2P_MIRROR_IN_STEP);
    assert_int_equal(count_holding(f, "old"), FILES);
    p2p_keeper_stop(second);
    p2p_keeper_stop(keeper);
    p2p_keeper_stop(NULL);
    stop_peers(f);
    free(keys);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_decided),
        cmocka_unit_test(the_brake),
        cmocka_unit_test(folders_that_would_be_empty),
        cmocka_unit_test(what_is_held),
        cmocka_unit_test(states_have_names),
        cmocka_unit_test_setup_teardown(jobs_are_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_and_deletions_follow, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_source_deletes_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(only_the_changes_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(only_what_is_said_to_be_deleted_is, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(held_deletions_are_remembered, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_goes_that_history_cannot_keep, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_empty_folder_here_is_not_the_mirror, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(names_that_are_one_file, setup, teardown),
        cmocka_unit_test_setup_teardown(upper_and_lower_case, setup, teardown),
        cmocka_unit_test_setup_teardown(a_keeper_runs_the_jobs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
