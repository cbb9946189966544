#include "ui/folders/listing.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/log.h"
#include "p2p/net.h"
#include "ui/app.h"

#define FRESH_MS   1000
#define SHARE_PAGE 64

struct ui_listings {
    struct {
        pthread_mutex_t lock; /* held while a new one is made: one walk at a time */
        struct ui_listing *now;
        uint64_t made_ms;
    } of[UI_FOLDERS];
    _Atomic bool is_expired[UI_FOLDERS];
};

struct ui_listings *
ui_listings_new(struct ui_app *app)
{
    struct ui_listings *ls = calloc(1, sizeof(*ls));

    (void)app;
    for (int i = 0; i < UI_FOLDERS && ls != NULL; i++)
        pthread_mutex_init(&ls->of[i].lock, NULL);
    return ls;
}

static void
release(struct ui_listing *l)
{
    if (l == NULL || atomic_fetch_sub(&l->refs, 1) > 1)
        return;
    for (size_t i = 0; i < l->count; i++)
        free(l->files[i].name);
    for (size_t i = 0; i < l->problem_count; i++)
        free(l->problems[i].name);
    free(l->files);
    free(l);
}

void
ui_listing_release(const struct ui_listing *l)
{
    /* Only the count behind the reader's back is written. */
    release((struct ui_listing *)(uintptr_t)l);
}

void
ui_listings_free(struct ui_listings *ls)
{
    if (ls == NULL)
        return;
    for (int i = 0; i < UI_FOLDERS; i++) {
        release(ls->of[i].now);
        pthread_mutex_destroy(&ls->of[i].lock);
    }
    free(ls);
}

/* ---- making one ---- */

struct maker {
    struct ui_listing *l;
    size_t cap;
};

static enum p2p_err
add_file(void *arg, const char *name, const struct stat *st)
{
    struct maker *m = arg;
    struct ui_listing *l = m->l;
    char *copy;

    if (l->count == m->cap) {
        size_t cap = m->cap > 0 ? m->cap * 2 : 64;
        struct ui_file *files = realloc(l->files, cap * sizeof(*files));
        if (files == NULL)
            return P2P_ERR_NOMEM;
        l->files = files;
        m->cap = cap;
    }
    if ((copy = strdup(name)) == NULL)
        return P2P_ERR_NOMEM;
    l->files[l->count++] = (struct ui_file){
        .name = copy, .size = (uint64_t)st->st_size, .mtime_s = (uint64_t)st->st_mtime};
    l->total_size += (uint64_t)st->st_size;
    return P2P_OK;
}

static void
add_problem(void *arg, const char *folder, const char *leaf, const char *problem)
{
    struct ui_listing *l = ((struct maker *)arg)->l;
    char name[2 * P2P_NAME_MAX + 2], shown[8 * P2P_NAME_PART_MAX];
    int len = snprintf(name, sizeof(name), "%s%s%s", folder,
                       folder[0] != '\0' ? "/" : "", leaf);
    char *copy;

    if (l->problem_count == UI_NAME_PROBLEMS_MAX || len < 0 ||
        (size_t)len >= sizeof(name))
        return;
    p2p_log_escape(name, (size_t)len, shown, sizeof(shown));
    if ((copy = strdup(shown)) != NULL)
        l->problems[l->problem_count++] =
            (struct ui_name_problem){.name = copy, .problem = problem};
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct ui_file *)a)->name, ((const struct ui_file *)b)->name);
}

static void
note_hash(struct ui_listing *l, const struct p2p_share_entry *e)
{
    struct ui_file key = {.name = (char *)(uintptr_t)e->name};
    struct ui_file *f = bsearch(&key, l->files, l->count, sizeof(key), by_name);

    /* Of another size or time: it changed since it was hashed. */
    if (f == NULL || f->size != e->geometry.size || f->mtime_s != e->mtime_s)
        return;
    f->is_ready = true;
    f->root = e->root;
    f->version = e->version;
    f->sha256 = e->sha256;
    f->sha256_known = e->sha256_known;
}

static enum p2p_err
note_hashes(struct ui_app *app, struct ui_listing *l)
{
    struct p2p_share_entry *page = calloc(SHARE_PAGE, sizeof(*page));
    char after[P2P_NAME_MAX + 1] = "";
    enum p2p_err err = page != NULL ? P2P_OK : P2P_ERR_NOMEM;
    size_t count = SHARE_PAGE;

    while (err == P2P_OK && count == SHARE_PAGE) {
        err = p2p_share_list(app->share, after, page, SHARE_PAGE, &count);
        if (err != P2P_OK || count == 0)
            break;
        for (size_t i = 0; i < count; i++)
            note_hash(l, &page[i]);
        memcpy(after, page[count - 1].name, sizeof(after));
    }
    free(page);
    return err;
}

/* What a transfer verified is known without reading the file again. */
static void
note_transfers(struct ui_app *app, struct ui_listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        l->files[i].sha256_known = ui_transfers_find_path(
            app->transfers, l->files[i].name, &l->files[i].sha256);
}

static enum p2p_err
make(struct ui_app *app, enum ui_folder folder, struct ui_listing **out)
{
    struct maker m = {.l = calloc(1, sizeof(*m.l))};
    const struct p2p_walk how = {.file = add_file, .left_out = add_problem, .arg = &m};
    size_t skipped;
    enum p2p_err err = P2P_ERR_NOMEM;

    *out = NULL;
    if (m.l == NULL)
        return P2P_ERR_NOMEM;
    m.l->refs = 1;
    err = p2p_root_walk_folder(folder == UI_SHARED ? app->shared : app->downloads, "",
                               &how, &skipped);
    if (err == P2P_OK && m.l->count > 0)
        qsort(m.l->files, m.l->count, sizeof(*m.l->files), by_name);
    if (err == P2P_OK && folder == UI_SHARED)
        err = note_hashes(app, m.l);
    else if (err == P2P_OK)
        note_transfers(app, m.l);
    if (err != P2P_OK) {
        release(m.l);
        return err;
    }
    *out = m.l;
    return P2P_OK;
}

/* ---- keeping it ---- */

void
ui_listing_expire(struct ui_app *app, enum ui_folder folder)
{
    atomic_store(&app->listings->is_expired[folder], true);
}

enum p2p_err
ui_listing_get(struct ui_app *app, enum ui_folder folder, const struct ui_listing **out)
{
    struct ui_listings *ls = app->listings;
    enum p2p_err err = P2P_OK;
    struct ui_listing *fresh;

    *out = NULL;
    pthread_mutex_lock(&ls->of[folder].lock);
    /* Before the walk: a change during it is seen by the next get. */
    if (atomic_exchange(&ls->is_expired[folder], false) || ls->of[folder].now == NULL ||
        p2p_now_ms() - ls->of[folder].made_ms > FRESH_MS) {
        if ((err = make(app, folder, &fresh)) == P2P_OK) {
            release(ls->of[folder].now);
            ls->of[folder].now = fresh;
            ls->of[folder].made_ms = p2p_now_ms();
        }
    }
    if (err == P2P_OK) {
        atomic_fetch_add(&ls->of[folder].now->refs, 1);
        *out = ls->of[folder].now;
    }
    pthread_mutex_unlock(&ls->of[folder].lock);
    return err;
}
