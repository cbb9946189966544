/*
 * The owner's work. An item that somebody spoke of is *dirty* until it is looked at,
 * when it has been quiet for a moment; if it is not as it was hashed it is *queued*,
 * then with the hasher; what comes of it goes into the index and the catalogue, many at
 * a time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/share/share_internal.h"
#include "p2p/log.h"

/* A change within the grain of the file system's clock would leave the times as they
 * are: a file is hashed when its last change is older than this. */
#define CLOCK_GRAIN_NS (20 * 1000000ll)
#define COMMIT_MS      50
/* Scans of everything: in vain as a rule, for what inotify does not tell (network
 * folders). */
#define SCAN_EVERY_MS     (10 * 60 * 1000)
#define SCAN_UNWATCHED_MS 30000
#define SCAN_RETRY_MS     5000

/* ---- Looking at one file ---- */

static void
share_now(struct p2p_share *s, struct p2p_item *item)
{
    struct p2p_file_facts facts = item->facts;

    if (p2p_catalogue_set_ready(&s->catalogue, item, &facts, NULL) == P2P_OK)
        p2p_pipeline_want_sha256(s, item);
}

static void
hash_again(struct p2p_share *s, struct p2p_item *item,
           const struct p2p_file_state *state)
{
    p2p_catalogue_set_state(&s->catalogue, item, P2P_ITEM_PENDING);
    item->facts.state = *state;
    p2p_catalogue_owe(&s->catalogue, item, true);
    p2p_pipeline_enqueue(&s->owner.trees, item);
}

static bool
is_too_fresh(const struct p2p_file_state *state)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age = now.tv_sec * 1000000000 + now.tv_nsec - state->ctime_ns;
    return age >= 0 && age < CLOCK_GRAIN_NS;
}

/* What the file is now against what is known of it. */
static void
compare(struct p2p_share *s, struct p2p_item *item, const struct stat *st)
{
    struct p2p_file_state now = p2p_file_state_of(st);
    bool is_known = p2p_file_state_equal(&now, &item->facts.state);

    if (is_known && item->state == P2P_ITEM_REFUSED)
        return;
    if (is_known && item->state == P2P_ITEM_READY) {
        p2p_pipeline_want_sha256(s, item);
        return;
    }
    if (is_known && item->state == P2P_ITEM_NOTED && item->facts.version > 0)
        share_now(s, item); /* from the index: nothing to read */
    else if (now.size > P2P_FILE_SIZE_MAX)
        p2p_catalogue_set_state(&s->catalogue, item, P2P_ITEM_REFUSED);
    else if (is_too_fresh(&now)) {
        if (item->state == P2P_ITEM_READY)
            p2p_catalogue_set_state(&s->catalogue, item, P2P_ITEM_PENDING);
        p2p_pipeline_note(s, item, P2P_SETTLE_MS);
    } else
        hash_again(s, item, &now);
}

static void
examine(struct p2p_share *s, struct p2p_item *item)
{
    struct stat st;
    enum p2p_err err;

    if (item->state == P2P_ITEM_GONE)
        return;
    err = p2p_root_stat(s->root, item->name, &st);
    if (!err) {
        compare(s, item, &st);
    } else if (err == P2P_ERR_NOT_FOUND) {
        p2p_pipeline_forget(s, item);
        p2p_catalogue_remove(&s->catalogue, item);
    } else {
        p2p_catalogue_owe(&s->catalogue, item, false);
        p2p_catalogue_set_state(&s->catalogue, item, P2P_ITEM_REFUSED);
    }
}

static void
examine_due(struct p2p_share *s, bool hurry)
{
    uint64_t now = p2p_now_ms();
    struct p2p_item *all = s->owner.dirty, *item;

    s->owner.dirty = NULL;
    while ((item = all)) {
        all = item->next_dirty;
        if (item->due_ms <= now || hurry || item->state == P2P_ITEM_GONE) {
            item->is_dirty = false;
            examine(s, item);
        } else {
            item->next_dirty = s->owner.dirty;
            s->owner.dirty = item;
        }
    }
}

/* ---- Looking at all of them ---- */

static enum p2p_err
see_file(void *arg, const char *name, const struct stat *st)
{
    struct p2p_share *s = arg;
    struct p2p_item *item = p2p_catalogue_get(&s->catalogue, name);

    if (!item)
        return P2P_ERR_NOMEM;
    item->seen = s->scan;
    if (!item->is_dirty)
        compare(s, item, st);
    return s->catalogue.item_count > P2P_SHARE_FILES_MAX ? P2P_ERR_TOO_LARGE : P2P_OK;
}

static enum p2p_err
see_folder(void *arg, const char *name, int fd)
{
    struct p2p_share *s = arg;

    p2p_watch_add(&s->watch, name, fd);
    return P2P_OK;
}

static void
walk(struct p2p_share *s, const char *folder)
{
    const struct p2p_walk how = {.file = see_file, .folder = see_folder, .arg = s};
    bool is_all = folder[0] == '\0';
    uint64_t now = p2p_now_ms();
    size_t skipped;
    enum p2p_err err = p2p_root_walk_folder(s->root, folder, &how, &skipped);

    if (!err && is_all) {
        p2p_share_remove_unseen(s, p2p_pipeline_forget);
        s->owner.is_scanned = true;
        if (skipped != s->owner.skipped)
            p2p_log_info("not shared for their names or kinds: files=%zu", skipped);
        s->owner.skipped = skipped;
    } else if (err && err != P2P_ERR_NOT_FOUND) {
        p2p_log_warn(
            "the shared folder was not looked through to the end reason=\"%s\"",
            p2p_err_text(err));
        s->owner.is_scanned = true;
        s->owner.next_scan_ms = now + SCAN_RETRY_MS;
    }
}

static void
scan_all(struct p2p_share *s)
{
    uint64_t now = p2p_now_ms();

    if (s->owner.is_lost || s->watch.is_incomplete) {
        p2p_watch_close(&s->watch);
        p2p_watch_open(&s->watch);
    }
    s->owner.is_lost = false;
    s->owner.next_scan_ms = now + SCAN_EVERY_MS;
    s->scan++;
    walk(s, "");
    if (s->watch.is_incomplete && s->owner.next_scan_ms > now + SCAN_UNWATCHED_MS)
        s->owner.next_scan_ms = now + SCAN_UNWATCHED_MS;
}

/* ---- Events ---- */

static void
on_event(void *arg, enum p2p_watch_event event, const char *name)
{
    struct p2p_share *s = arg;
    struct p2p_item *item;

    if (event == P2P_WATCH_LOST) {
        s->owner.is_lost = true;
        return;
    }
    if (event == P2P_WATCH_FOLDER) {
        walk(s, name);
        return;
    }
    item = p2p_catalogue_get(&s->catalogue, name);
    if (!item)
        return;
    /* While it is written nobody can be served from it. */
    if (event == P2P_WATCH_WRITING && item->state == P2P_ITEM_READY) {
        p2p_catalogue_set_state(&s->catalogue, item, P2P_ITEM_PENDING);
        p2p_catalogue_owe(&s->catalogue, item, true);
    }
    p2p_pipeline_note(s, item,
                      event == P2P_WATCH_WRITING ? P2P_QUIET_MS : P2P_SETTLE_MS);
}

/* ---- Rounds ---- */

static bool
is_busy(const struct p2p_share *s)
{
    return s->owner.with_hasher > 0 || s->owner.trees.first || s->owner.flats.first;
}

/* Lists and the index follow a busy hasher at a distance, and an idle one at once. */
static void
commit(struct p2p_share *s, uint64_t now)
{
    if (is_busy(s) && now < s->owner.last_commit_ms + COMMIT_MS)
        return;
    p2p_pipeline_commit(s);
    if (p2p_catalogue_commit(&s->catalogue) && s->callback_due_ms == 0)
        s->callback_due_ms = now + P2P_SHARE_DEBOUNCE_MS;
    s->owner.last_commit_ms = now;
}

/* What readers left for us. */
static struct p2p_item *
take_told(struct p2p_share *s, char slot[P2P_NAME_MAX + 1])
{
    char name[P2P_NAME_MAX + 1];

    pthread_mutex_lock(&s->mail.lock);
    strcpy(name, slot);
    slot[0] = '\0';
    pthread_mutex_unlock(&s->mail.lock);
    return name[0] ? p2p_catalogue_find(&s->catalogue, name) : NULL;
}

static void
heed_readers(struct p2p_share *s)
{
    struct p2p_item *suspect = take_told(s, s->mail.suspect);
    struct p2p_item *doubtful = take_told(s, s->mail.doubtful);

    if (suspect && !suspect->is_dirty)
        p2p_pipeline_note(s, suspect, P2P_SETTLE_MS);
    if (doubtful && doubtful->state == P2P_ITEM_READY)
        hash_again(s, doubtful, &doubtful->facts.state);
}

static void
sooner(uint64_t *due_ms, uint64_t ms)
{
    if (ms < *due_ms)
        *due_ms = ms;
}

bool
p2p_scan_round(struct p2p_share *s, uint64_t *due_ms)
{
    uint64_t now = p2p_now_ms();
    bool hurry = atomic_exchange(&s->mail.hurry, false);

    p2p_watch_read(&s->watch, on_event, s);
    heed_readers(s);
    if (s->owner.is_lost || now >= s->owner.next_scan_ms ||
        (hurry && s->watch.is_incomplete))
        scan_all(s);
    examine_due(s, hurry);
    p2p_pipeline_collect(s);
    p2p_pipeline_feed(s);
    if (is_busy(s) && p2p_progress_is_due(s->owner.progress, now))
        p2p_pipeline_save(s);
    else if (s->owner.is_scanned && !s->owner.dirty && !is_busy(s))
        p2p_pipeline_clear_saved(s);
    commit(s, now);

    *due_ms = s->owner.next_scan_ms;
    for (const struct p2p_item *item = s->owner.dirty; item; item = item->next_dirty)
        sooner(due_ms, item->due_ms);
    if (is_busy(s))
        sooner(due_ms, p2p_progress_due_ms(s->owner.progress));
    if (s->owner.is_in_transaction || s->catalogue.is_changed)
        sooner(due_ms, s->owner.last_commit_ms + COMMIT_MS);
    return s->owner.is_scanned && !s->owner.is_lost && !s->owner.dirty && !is_busy(s) &&
           !s->owner.is_in_transaction && !s->catalogue.is_changed;
}

/* ---- Beginning and end ---- */

/* What the index knows waits as NOTED for the scan to find it on disk. */
static enum p2p_err
load_row(void *arg, const char *name, const struct p2p_file_facts *facts)
{
    struct p2p_share *s = arg;
    struct p2p_item *item = facts ? p2p_catalogue_get(&s->catalogue, name) : NULL;

    if (item && item->state == P2P_ITEM_NOTED)
        item->facts = *facts;
    return !facts || item ? P2P_OK : P2P_ERR_NOMEM;
}

enum p2p_err
p2p_scan_start(struct p2p_share *s)
{
    int64_t last_change;
    enum p2p_err err = p2p_index_load(s->index, 0, load_row, s, &last_change);

    if (err) /* what could not be loaded is hashed again */
        p2p_pipeline_warn(s, err);
    if (!p2p_index_is_in_memory(s->index)) /* what ends with us needs no progress */
        err = p2p_progress_open(s->index, &s->owner.progress);
    if (err)
        p2p_pipeline_warn(s, err);
    p2p_watch_open(&s->watch);
    s->owner.is_lost = false;
    s->owner.is_scanned = false;
    s->owner.next_scan_ms = 0;
    return p2p_hasher_new(s->root, s->threads, s->mail.wake_fd, &s->owner.hasher);
}

void
p2p_scan_stop(struct p2p_share *s)
{
    if (s->owner.hasher) { /* what is finished is not lost, nor what is begun */
        p2p_pipeline_collect(s);
        if (s->owner.progress)
            p2p_pipeline_save(s);
        p2p_pipeline_commit(s);
    }
    p2p_hasher_free(s->owner.hasher);
    s->owner.hasher = NULL;
    p2p_progress_close(s->owner.progress);
    s->owner.progress = NULL;
}
