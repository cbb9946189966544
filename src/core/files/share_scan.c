/*
 * The owner's work. An item that somebody spoke of is *dirty* until it is looked at,
 * when it has been quiet for a moment; if it is not as it was hashed it is *queued*,
 * then with the hasher; what comes of it goes into the index and the view, many at a
 * time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/files/share_internal.h"
#include "p2p/log.h"

/* After the last write before a file counts as quiet; after it was closed or moved in.
 */
#define QUIET_MS  500
#define SETTLE_MS 20
/* A change within the grain of the file system's clock would leave the times as they
 * are: a file is hashed when its last change is older than this. */
#define CLOCK_GRAIN_NS (20 * 1000000ll)
#define COMMIT_MS      50
#define JOBS_MAX       64
/* Scans of everything: in vain as a rule, for what inotify does not tell (network
 * folders). */
#define SCAN_EVERY_MS     (10 * 60 * 1000)
#define SCAN_UNWATCHED_MS 30000
#define SCAN_RETRY_MS     5000
#define SUSPICION_MS      1000

/* ---- Lines of items ---- */

static void
note_item(struct p2p_share *s, struct p2p_item *item, uint64_t delay_ms)
{
    item->due_ms = p2p_share_now_ms() + delay_ms;
    if (item->is_dirty)
        return;
    item->is_dirty = true;
    item->next_dirty = s->dirty;
    s->dirty = item;
}

static void
enqueue(struct p2p_queue *queue, struct p2p_item *item)
{
    if (item->is_queued || item->is_with_hasher)
        return;
    item->is_queued = true;
    item->next_queued = NULL;
    if (queue->first)
        queue->last->next_queued = item;
    else
        queue->first = item;
    queue->last = item;
}

static struct p2p_item *
dequeue(struct p2p_queue *queue)
{
    struct p2p_item *item = queue->first;

    if (item) {
        queue->first = item->next_queued;
        item->is_queued = false;
    }
    return item;
}

/* ---- The index ---- */

static void
warn_once(struct p2p_share *s, enum p2p_err err)
{
    if (!s->has_warned)
        p2p_log_warn("the index of the shared folder cannot be written reason=\"%s\"",
                     p2p_err_text(err));
    s->has_warned = true;
}

/* Changes of many files go into one transaction. */
static enum p2p_err
begin(struct p2p_share *s)
{
    if (s->is_in_transaction)
        return P2P_OK;
    enum p2p_err err = p2p_index_begin(s->index);
    s->is_in_transaction = !err;
    return err;
}

static enum p2p_err
put(struct p2p_share *s, const char *name, const struct p2p_file_facts *facts,
    const struct p2p_digest *layer)
{
    enum p2p_err err = begin(s);

    if (!err)
        err = p2p_index_put(s->index, name, facts, layer);
    if (err)
        warn_once(s, err);
    return err;
}

static void
forget(struct p2p_share *s, struct p2p_item *item)
{
    if (item->facts.version == 0)
        return; /* never was in the index */
    enum p2p_err err = begin(s);
    if (!err)
        err = p2p_index_remove(s->index, item->name);
    if (err)
        warn_once(s, err);
}

/* The status goes with the last change, so that followers see both together. */
static void
commit_index(struct p2p_share *s)
{
    struct p2p_index_status status;
    struct p2p_share_totals totals;

    if (!s->is_in_transaction)
        return;
    p2p_share_totals(s, &totals);
    enum p2p_err err = p2p_index_get_status(s->index, &status);
    status.hashing_files = (int64_t)totals.hashing_files;
    status.hashing_bytes = (int64_t)totals.hashing_bytes;
    if (!err)
        err = p2p_index_set_status(s->index, &status);
    enum p2p_err failed = p2p_index_commit(s->index);
    s->is_in_transaction = false;
    if (err || failed)
        warn_once(s, err ? err : failed);
    else
        s->has_warned = false;
}

/* ---- Looking at one file ---- */

static void
want_sha256(struct p2p_share *s, struct p2p_item *item)
{
    bool is_wanted = !item->facts.sha256_known;

    if (item->is_owed != is_wanted)
        p2p_view_owe(&s->view, item, is_wanted);
    if (is_wanted)
        enqueue(&s->flats, item);
}

static void
share_now(struct p2p_share *s, struct p2p_item *item)
{
    struct p2p_file_facts facts = item->facts;

    if (p2p_view_set_ready(&s->view, item, &facts, NULL) == P2P_OK)
        want_sha256(s, item);
}

static void
hash_again(struct p2p_share *s, struct p2p_item *item,
           const struct p2p_file_state *state)
{
    p2p_view_set_state(&s->view, item, P2P_ITEM_PENDING);
    item->facts.state = *state;
    p2p_view_owe(&s->view, item, true);
    enqueue(&s->trees, item);
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
        want_sha256(s, item);
        return;
    }
    if (is_known && item->state == P2P_ITEM_NOTED && item->facts.version > 0)
        share_now(s, item); /* from the index: nothing to read */
    else if (now.size > P2P_FILE_SIZE_MAX)
        p2p_view_set_state(&s->view, item, P2P_ITEM_REFUSED);
    else if (is_too_fresh(&now)) {
        if (item->state == P2P_ITEM_READY)
            p2p_view_set_state(&s->view, item, P2P_ITEM_PENDING);
        note_item(s, item, SETTLE_MS);
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
        forget(s, item);
        p2p_view_remove(&s->view, item);
    } else {
        p2p_view_owe(&s->view, item, false);
        p2p_view_set_state(&s->view, item, P2P_ITEM_REFUSED);
    }
}

static void
examine_due(struct p2p_share *s, bool hurry)
{
    uint64_t now = p2p_share_now_ms();
    struct p2p_item *all = s->dirty, *item;

    s->dirty = NULL;
    while ((item = all)) {
        all = item->next_dirty;
        if (item->due_ms <= now || hurry || item->state == P2P_ITEM_GONE) {
            item->is_dirty = false;
            examine(s, item);
        } else {
            item->next_dirty = s->dirty;
            s->dirty = item;
        }
    }
}

/* ---- Looking at all of them ---- */

static enum p2p_err
see_file(void *arg, const char *name, const struct stat *st)
{
    struct p2p_share *s = arg;
    struct p2p_item *item = p2p_view_get(&s->view, name);

    if (!item)
        return P2P_ERR_NOMEM;
    item->seen = s->scan;
    if (!item->is_dirty)
        compare(s, item, st);
    return s->view.item_count > P2P_SHARE_FILES_MAX ? P2P_ERR_TOO_LARGE : P2P_OK;
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
    uint64_t now = p2p_share_now_ms();
    size_t skipped;
    enum p2p_err err = p2p_root_walk_folder(s->root, folder, &how, &skipped);

    if (!err && is_all) {
        p2p_share_remove_unseen(s, forget);
        s->is_scanned = true;
        if (skipped != s->skipped)
            p2p_log_info("not shared for their names or kinds: files=%zu", skipped);
        s->skipped = skipped;
    } else if (err && err != P2P_ERR_NOT_FOUND) {
        p2p_log_warn(
            "the shared folder was not looked through to the end reason=\"%s\"",
            p2p_err_text(err));
        s->is_scanned = true;
        s->next_scan_ms = now + SCAN_RETRY_MS;
    }
}

static void
scan_all(struct p2p_share *s)
{
    uint64_t now = p2p_share_now_ms();

    if (s->is_lost || s->watch.is_incomplete) {
        p2p_watch_close(&s->watch);
        p2p_watch_open(&s->watch);
    }
    s->is_lost = false;
    s->last_scan_ms = now;
    s->next_scan_ms = now + SCAN_EVERY_MS;
    s->scan++;
    walk(s, "");
    if (s->watch.is_incomplete && s->next_scan_ms > now + SCAN_UNWATCHED_MS)
        s->next_scan_ms = now + SCAN_UNWATCHED_MS;
}

/* ---- Events ---- */

static void
on_event(void *arg, enum p2p_watch_event event, const char *name)
{
    struct p2p_share *s = arg;
    struct p2p_item *item;

    if (event == P2P_WATCH_LOST) {
        s->is_lost = true;
        return;
    }
    if (event == P2P_WATCH_FOLDER) {
        walk(s, name);
        return;
    }
    item = p2p_view_get(&s->view, name);
    if (!item)
        return;
    /* While it is written nobody can be served from it. */
    if (event == P2P_WATCH_WRITING && item->state == P2P_ITEM_READY) {
        p2p_view_set_state(&s->view, item, P2P_ITEM_PENDING);
        p2p_view_owe(&s->view, item, true);
    }
    note_item(s, item, event == P2P_WATCH_WRITING ? QUIET_MS : SETTLE_MS);
}

/* ---- Hashing ---- */

static void
give(struct p2p_share *s, struct p2p_item *item, bool flat)
{
    struct p2p_hash_job *job = p2p_hash_job_new(item->name);

    if (!job) {
        note_item(s, item, QUIET_MS);
        return;
    }
    job->item = item;
    job->state = item->facts.state;
    job->chunk_size = flat ? item->facts.chunk_size : s->chunk_size;
    job->flat = flat;
    item->is_with_hasher = true;
    s->with_hasher++;
    p2p_hasher_add(s->hasher, job);
}

static void
feed(struct p2p_share *s)
{
    while (s->with_hasher < JOBS_MAX && (s->trees.first || s->flats.first)) {
        struct p2p_item *item = dequeue(s->trees.first ? &s->trees : &s->flats);
        if (item->state == P2P_ITEM_PENDING)
            give(s, item, false);
        else if (item->state == P2P_ITEM_READY && !item->facts.sha256_known)
            give(s, item, true);
    }
}

static void
accept_tree(struct p2p_share *s, struct p2p_item *item, struct p2p_hash_job *job)
{
    struct p2p_file_facts facts = {
        .state = job->state,
        .chunk_size = job->chunk_size,
        .version = item->facts.version,
        .root = job->root,
        .sha256 = job->sha256,
        .sha256_known = job->sha256_known,
    };
    struct p2p_digest *layer = job->layer;

    /* An empty file's root is all zero, as a fresh item's: the version tells them
     * apart. */
    if (facts.version == 0 ||
        memcmp(facts.root.b, item->facts.root.b, sizeof(facts.root.b)) != 0)
        facts.version++;
    job->layer = NULL;
    if (put(s, item->name, &facts, layer) == P2P_OK) {
        free(layer);
        layer = NULL;
    }
    if (p2p_view_set_ready(&s->view, item, &facts, layer) == P2P_OK)
        want_sha256(s, item);
}

static void
accept_flat(struct p2p_share *s, struct p2p_item *item, const struct p2p_hash_job *job)
{
    p2p_view_set_sha256(&s->view, item, &job->sha256);
    p2p_view_owe(&s->view, item, false);
    (void)!put(s, item->name, &item->facts, NULL);
}

static void
refuse(struct p2p_share *s, struct p2p_item *item, enum p2p_err err)
{
    char name[128];

    p2p_log_warn("a file cannot be read and is not shared name=\"%s\" reason=\"%s\"",
                 p2p_log_escape(item->name, strlen(item->name), name, sizeof(name)),
                 p2p_err_text(err));
    p2p_view_owe(&s->view, item, false);
    p2p_view_set_state(&s->view, item, P2P_ITEM_REFUSED);
}

static void
accept(struct p2p_share *s, struct p2p_hash_job *job)
{
    struct p2p_item *item = job->item;

    item->is_with_hasher = false;
    s->with_hasher--;
    if (item->state == P2P_ITEM_GONE || job->err == P2P_ERR_CANCELLED)
        return;
    if (!p2p_file_state_equal(&job->state, &item->facts.state) ||
        item->state != (job->flat ? P2P_ITEM_READY : P2P_ITEM_PENDING))
        note_item(s, item, SETTLE_MS);
    else if (job->err == P2P_ERR_FILE_CHANGED)
        note_item(s, item, QUIET_MS);
    else if (job->err)
        refuse(s, item, job->err);
    else if (job->flat)
        accept_flat(s, item, job);
    else
        accept_tree(s, item, job);
}

static void
collect(struct p2p_share *s)
{
    struct p2p_hash_job *jobs = p2p_hasher_take(s->hasher), *job;

    while ((job = jobs)) {
        jobs = job->next;
        accept(s, job);
        p2p_hash_job_free(job);
    }
}

/* ---- Rounds ---- */

static bool
is_busy(const struct p2p_share *s)
{
    return s->with_hasher > 0 || s->trees.first || s->flats.first;
}

/* Lists and the index follow a busy hasher at a distance, and an idle one at once. */
static void
commit(struct p2p_share *s, uint64_t now)
{
    if (is_busy(s) && now < s->last_commit_ms + COMMIT_MS)
        return;
    commit_index(s);
    if (p2p_view_commit(&s->view) && s->callback_due_ms == 0)
        s->callback_due_ms = now + P2P_SHARE_DEBOUNCE_MS;
    s->last_commit_ms = now;
}

/* A layer that is missing from the index or wrong there. */
static void
take_doubts(struct p2p_share *s)
{
    char name[P2P_NAME_MAX + 1];

    pthread_mutex_lock(&s->lock);
    memcpy(name, s->doubtful, sizeof(name));
    s->doubtful[0] = '\0';
    pthread_mutex_unlock(&s->lock);
    struct p2p_item *item = name[0] ? p2p_view_find(&s->view, name) : NULL;
    if (item && item->state == P2P_ITEM_READY)
        hash_again(s, item, &item->facts.state);
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
    uint64_t now = p2p_share_now_ms();
    bool hurry = atomic_exchange(&s->hurry, false);
    bool is_suspicious = atomic_load(&s->suspicious);

    p2p_watch_read(&s->watch, on_event, s);
    take_doubts(s);
    if (is_suspicious && now >= s->last_scan_ms + SUSPICION_MS) {
        atomic_store(&s->suspicious, false);
        is_suspicious = false;
        s->next_scan_ms = now;
    }
    if (s->is_lost || now >= s->next_scan_ms || (hurry && s->watch.is_incomplete))
        scan_all(s);
    examine_due(s, hurry);
    collect(s);
    feed(s);
    commit(s, now);

    *due_ms = s->next_scan_ms;
    if (is_suspicious)
        sooner(due_ms, s->last_scan_ms + SUSPICION_MS);
    for (const struct p2p_item *item = s->dirty; item; item = item->next_dirty)
        sooner(due_ms, item->due_ms);
    if (s->is_in_transaction || s->view.is_changed)
        sooner(due_ms, s->last_commit_ms + COMMIT_MS);
    return s->is_scanned && !s->is_lost && !is_suspicious && !s->dirty && !is_busy(s) &&
           !s->is_in_transaction && !s->view.is_changed;
}

/* ---- Beginning and end ---- */

/* What the index knows waits as NOTED for the scan to find it on disk. */
static enum p2p_err
load_row(void *arg, const char *name, const struct p2p_file_facts *facts)
{
    struct p2p_share *s = arg;
    struct p2p_item *item = facts ? p2p_view_get(&s->view, name) : NULL;

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
        warn_once(s, err);
    p2p_watch_open(&s->watch);
    s->is_lost = false;
    s->is_scanned = false;
    s->next_scan_ms = 0;
    return p2p_hasher_new(s->root, s->threads, s->wake_fd, &s->hasher);
}

void
p2p_scan_stop(struct p2p_share *s)
{
    if (s->hasher) { /* what is finished is not lost */
        collect(s);
        commit_index(s);
    }
    p2p_hasher_free(s->hasher);
    s->hasher = NULL;
}
