#include "ui/folders/listing.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/array.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "ui/folders/folders.h"
#include "ui/folders/place.h"
#include "ui/state/watch.h"

#define FRESH_MS   1000
#define SHARE_PAGE 64
/* A file that was changed this recently waits until it is quiet. */
#define QUIET_S 2
/* The share keeps times as nanoseconds since 1970 in 64 bits. */
#define TIME_MAX_S 9223372036
#define UNREADABLE "it cannot be read"

static const char *const state_names[UI_FILE_STATES] = {
    "unseen", "waiting", "hashing", "ready", "unreadable", "not_shared"};

const char *
ui_file_state_name(enum ui_file_state state)
{
    return state_names[state];
}

P2P_MUTEX_KIND(ui_listing_lock);
struct ui_listings {
    struct {
        /* Held while a new listing is made, so that only one thread walks the folder.
         */
        struct ui_listing_lock lock;
        struct ui_listing *now P2P_GUARDED_BY(ui_listing_lock);
        uint64_t made_ms P2P_GUARDED_BY(ui_listing_lock);
    } of[UI_FOLDERS];
    _Atomic bool is_expired[UI_FOLDERS];
    /* In a listing that somebody may have read. */
    _Atomic uint32_t was_away[UI_FOLDERS];
    ui_known_sha256 *known_sha256;
    void *known_arg;
};

struct ui_listings *
ui_listings_new(ui_known_sha256 *known_sha256, void *arg)
{
    struct ui_listings *ls = calloc(1, sizeof(*ls));

    if (ls == NULL)
        return NULL;
    ls->known_sha256 = known_sha256;
    ls->known_arg = arg;
    for (int i = 0; i < UI_FOLDERS; i++)
        p2p_mutex_init(&ls->of[i].lock);
    return ls;
}

static void
release(struct ui_listing *l)
{
    if (l == NULL || atomic_fetch_sub(&l->refs, 1) > 1)
        return;
    for (size_t i = 0; i < l->count; i++) {
        free(l->files[i].name);
        free(l->files[i].reason);
    }
    for (size_t i = 0; i < l->problem_count; i++) {
        free(l->problems[i].name);
        free(l->problems[i].reason);
    }
    free(l->problems);
    free(l->files);
    free(l);
}

void
ui_listing_release(const struct ui_listing *l)
{
    /* The cast is safe: only the count of holders is written. */
    release((struct ui_listing *)(uintptr_t)l);
}

void
ui_listings_free(struct ui_listings *ls)
{
    if (ls == NULL)
        return;
    for (int i = 0; i < UI_FOLDERS; i++) {
        p2p_mutex_unshared(&ls->of[i].lock);
        release(ls->of[i].now);
        p2p_mutex_clear(&ls->of[i].lock);
    }
    free(ls);
}

/* ---- making one ---- */

struct maker {
    struct ui_folders *folders;
    struct ui_listing *l;
    size_t cap, problem_cap;
    uint64_t now_s;
    bool is_shared;
    size_t at; /* position of the shared folder that is visited */
    char head[P2P_SHARES_NAME_MAX + 2]; /* before its names: "Name/" or "" */
};

/* The whole name; false if it gets too long. */
static bool
put_head(const struct maker *m, const char *name, char out[P2P_NAME_MAX + 1])
{
    return snprintf(out, P2P_NAME_MAX + 1, "%s%s", m->head, name) <= P2P_NAME_MAX;
}

/* A folder of the bare one can be hidden by a shared folder of its name. */
static bool
is_hidden(const struct maker *m, const char *name)
{
    const char *inner;

    return m->is_shared && m->head[0] == '\0' &&
           p2p_shares_of(m->folders->shares, name, &inner) !=
               p2p_shares_at(m->folders->shares, m->at);
}

/* Copies. If memory runs out, the entry is only counted. */
static void
keep_problem(struct maker *m, const char *name, const char *reason)
{
    char shown[P2P_SHARES_NAME_MAX + 2 + 8 * P2P_NAME_MAX + 16];
    struct ui_listing *l = m->l;
    struct ui_problem *p;

    snprintf(shown, sizeof(shown), "%s%s", m->head, name);
    l->problem_total++;
    l->of[m->at].problems++;
    if (l->problem_count == UI_PROBLEMS_MAX)
        return;
    struct ui_problem *more =
        p2p_array_room(l->problems, l->problem_count, &m->problem_cap, sizeof(*more));
    if (more == NULL)
        return;
    l->problems = more;
    p = &l->problems[l->problem_count];
    p->name = strdup(shown);
    p->reason = strdup(reason);
    if (p->name != NULL && p->reason != NULL) {
        l->problem_count++;
        return;
    }
    free(p->name);
    free(p->reason);
}

static enum p2p_err
add_file(void *arg, const char *name, const struct stat *st)
{
    struct maker *m = arg;
    struct ui_listing *l = m->l;
    char whole[P2P_NAME_MAX + 1], *copy;

    if (is_hidden(m, name))
        return P2P_OK;
    if (!put_head(m, name, whole)) {
        keep_problem(m, name, "its name is too long with that of its folder");
        return P2P_OK;
    }
    struct ui_file *files = p2p_array_room(l->files, l->count, &m->cap, sizeof(*files));
    if (files == NULL)
        return P2P_ERR_NOMEM;
    l->files = files;
    if ((copy = strdup(whole)) == NULL)
        return P2P_ERR_NOMEM;
    l->files[l->count++] = (struct ui_file){
        .name = copy,
        .size = (uint64_t)st->st_size,
        .mtime_s = st->st_mtime,
        .is_fresh = (uint64_t)st->st_ctime + QUIET_S > m->now_s,
    };
    l->total_size += (uint64_t)st->st_size;
    l->of[m->at].files++;
    l->of[m->at].bytes += (uint64_t)st->st_size;
    return P2P_OK;
}

/* The walk finds these at once; the share reports them after its next scan. */
static void
add_left_out(void *arg, const char *folder, const char *leaf, const char *reason)
{
    char name[2 * P2P_NAME_MAX + 2], shown[4 * sizeof(name)];
    int len = snprintf(name, sizeof(name), "%s%s%s", folder,
                       folder[0] != '\0' ? "/" : "", leaf);

    if (len < 0 || (size_t)len >= sizeof(name))
        return;
    p2p_log_escape(name, (size_t)len, shown, sizeof(shown));
    keep_problem(arg, shown, reason);
}

static void
set_folder(struct maker *m, const struct p2p_shares_folders *all, size_t i)
{
    const char *name = all->at[i].name;

    snprintf(m->head, sizeof(m->head), "%s%s", name, name[0] != '\0' ? "/" : "");
    m->at = i;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct ui_file *)a)->name, ((const struct ui_file *)b)->name);
}

static int
problems_by_name(const void *a, const void *b)
{
    return strcmp(((const struct ui_problem *)a)->name,
                  ((const struct ui_problem *)b)->name);
}

static struct ui_file *
find(const struct ui_listing *l, const char *name)
{
    struct ui_file key = {.name = (char *)(uintptr_t)name};

    /* An empty list may have no memory, which bsearch does not take. */
    return l->count > 0 ? bsearch(&key, l->files, l->count, sizeof(key), by_name)
                        : NULL;
}

/* In the share's form. */
static uint64_t
shared_time(const struct ui_file *f)
{
    if (f->mtime_s <= 0)
        return 0;
    return f->mtime_s < TIME_MAX_S ? (uint64_t)f->mtime_s : TIME_MAX_S;
}

static void
note_hash(struct ui_listing *l, const struct p2p_share_entry *e)
{
    struct ui_file *f = find(l, e->name);

    /* With another size or time the file has changed since it was hashed. */
    if (f == NULL || f->size != e->geometry.size || shared_time(f) != e->mtime_s)
        return;
    f->state = UI_FILE_READY;
    f->root = e->root;
    f->version = e->version;
    f->sha256 = e->sha256;
    f->sha256_known = e->sha256_known;
    l->ready_count++;
}

static enum p2p_err
note_hashes(struct ui_folders *folders, struct ui_listing *l)
{
    struct p2p_share_entry *page = calloc(SHARE_PAGE, sizeof(*page));
    char after[P2P_NAME_MAX + 1] = "";
    enum p2p_err err = page != NULL ? P2P_OK : P2P_ERR_NOMEM;
    size_t count = SHARE_PAGE;

    while (err == P2P_OK && count == SHARE_PAGE) {
        err = p2p_shares_list(folders->shares, after, page, SHARE_PAGE, &count);
        if (err != P2P_OK || count == 0)
            break;
        for (size_t i = 0; i < count; i++)
            note_hash(l, &page[i]);
        memcpy(after, page[count - 1].name, sizeof(after));
    }
    free(page);
    return err;
}

/* Files that the share could not read. The walk has found the other ones that it
 * reports. */
static void
note_problem(void *arg, const char *name, const char *reason)
{
    struct maker *m = arg;
    char whole[P2P_NAME_MAX + 1];
    struct ui_file *f = put_head(m, name, whole) ? find(m->l, whole) : NULL;

    if (f == NULL || f->state == UI_FILE_READY)
        return;
    f->state = strncmp(reason, UNREADABLE, strlen(UNREADABLE)) == 0
                   ? UI_FILE_UNREADABLE
                   : UI_FILE_NOT_SHARED;
    free(f->reason);
    f->reason = strdup(reason);
    keep_problem(m, name, reason);
}

/* Files that are neither shared nor refused. The share tells how many it still has to
 * read, for a tree or for a SHA-256. */
static void
note_rest(struct ui_folders *folders, struct ui_listing *l)
{
    struct p2p_share_totals totals;
    uint64_t flats = 0;

    p2p_shares_totals(folders->shares, &totals);
    for (size_t i = 0; i < l->count; i++)
        flats += l->files[i].state == UI_FILE_READY && !l->files[i].sha256_known;
    for (size_t i = 0; i < l->count; i++) {
        struct ui_file *f = &l->files[i];
        if (f->state != UI_FILE_UNSEEN)
            continue;
        if (f->is_fresh)
            f->state = UI_FILE_WAITING;
        else if (totals.hashing_files > flats)
            f->state = UI_FILE_HASHING;
    }
}

static enum p2p_err
note_shares(struct maker *m)
{
    const struct p2p_shares_folders *all = p2p_shares_folders(m->folders->shares);
    enum p2p_err err = note_hashes(m->folders, m->l);

    if (err != P2P_OK)
        return err;
    for (size_t i = 0; i < all->count; i++) {
        set_folder(m, all, i);
        /* Without an index, there is nothing to report yet. */
        if ((m->l->away & 1u << i) == 0)
            (void)!p2p_share_problems(p2p_shares_at(m->folders->shares, i),
                                      note_problem, m);
    }
    note_rest(m->folders, m->l);
    if (m->l->problem_count > 0)
        qsort(m->l->problems, m->l->problem_count, sizeof(*m->l->problems),
              problems_by_name);
    return P2P_OK;
}

static void
note_known_hashes(const struct ui_listings *ls, struct ui_listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        l->files[i].sha256_known =
            ls->known_sha256(ls->known_arg, l->files[i].name, &l->files[i].sha256);
}

/* Adds the content of the shared folders that are not away. */
static enum p2p_err
walk_shares(struct maker *m, const struct p2p_walk *how)
{
    const struct p2p_shares_folders *all = p2p_shares_folders(m->folders->shares);
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < all->count && err == P2P_OK; i++) {
        const struct p2p_share *share = p2p_shares_at(m->folders->shares, i);
        size_t skipped;
        set_folder(m, all, i);
        if ((m->l->away & 1u << i) == 0)
            err = p2p_root_walk_folder(p2p_share_root(share), "", how, &skipped);
    }
    return err;
}

static enum p2p_err
fill(struct maker *m, enum ui_folder folder)
{
    const struct p2p_walk how = {.file = add_file, .left_out = add_left_out, .arg = m};
    struct ui_listing *l = m->l;
    enum p2p_err err = P2P_OK;
    size_t skipped;

    if (folder == UI_SHARED)
        err = walk_shares(m, &how);
    else if (l->away == 0)
        err = p2p_root_walk_folder(m->folders->downloads, "", &how, &skipped);
    if (err == P2P_OK && l->count > 0)
        qsort(l->files, l->count, sizeof(*l->files), by_name);
    if (err == P2P_OK && folder == UI_SHARED)
        err = note_shares(m);
    else if (err == P2P_OK)
        note_known_hashes(m->folders->listings, l);
    return err;
}

static enum p2p_err
make(struct ui_folders *folders, enum ui_folder folder, struct ui_listing **out)
{
    struct maker m = {.folders = folders,
                      .l = calloc(1, sizeof(*m.l)),
                      .now_s = p2p_time_s(),
                      .is_shared = folder == UI_SHARED};
    enum p2p_err err;

    *out = NULL;
    if (m.l == NULL)
        return P2P_ERR_NOMEM;
    m.l->refs = 1;
    m.l->away = ui_folder_away(folders, folder);
    atomic_fetch_or(&folders->listings->was_away[folder], m.l->away);
    if ((err = fill(&m, folder)) == P2P_OK)
        *out = m.l;
    else
        release(m.l);
    return err;
}

/* ---- keeping it ---- */

void
ui_listing_changed(struct ui_folders *folders, enum ui_folder folder)
{
    atomic_store(&folders->listings->is_expired[folder], true);
    ui_watch_report(folders->watch,
                    folder == UI_SHARED ? UI_NEWS_SHARED : UI_NEWS_DOWNLOADS);
}

bool
ui_listing_take_back(struct ui_folders *folders, enum ui_folder folder, uint32_t away)
{
    uint32_t was_away = atomic_fetch_and(&folders->listings->was_away[folder], away);

    return (was_away & ~away) != 0;
}

/* No event reports that a folder went away or came back. */
static bool
is_stale(struct ui_folders *folders, enum ui_folder folder, const struct ui_listing *l,
         uint64_t made_ms)
{
    return l == NULL || p2p_now_ms() - made_ms > FRESH_MS ||
           l->away != ui_folder_away(folders, folder);
}

enum p2p_err
ui_listing_get(struct ui_folders *folders, enum ui_folder folder,
               const struct ui_listing **out)
{
    struct ui_listings *ls = folders->listings;
    enum p2p_err err = P2P_OK;
    struct ui_listing *fresh;

    *out = NULL;
    p2p_lock(&ls->of[folder].lock);
    /* Cleared before the walk, so that the next get sees a change that happens during
     * it. */
    if (atomic_exchange(&ls->is_expired[folder], false) ||
        is_stale(folders, folder, ls->of[folder].now, ls->of[folder].made_ms)) {
        if ((err = make(folders, folder, &fresh)) == P2P_OK) {
            release(ls->of[folder].now);
            ls->of[folder].now = fresh;
            ls->of[folder].made_ms = p2p_now_ms();
        }
    }
    if (err == P2P_OK) {
        atomic_fetch_add(&ls->of[folder].now->refs, 1);
        *out = ls->of[folder].now;
    }
    p2p_unlock(&ls->of[folder].lock);
    return err;
}
