/*
 * The pipeline: an item that has to be hashed waits in a queue, goes to the hasher, and
 * comes back as a finished job. The result is written to the index and to the
 * catalogue. Many files share one transaction, because each commit costs a flush: while
 * files keep arriving, the loop commits at most every 50 ms. Until the commit succeeds
 * the catalogue keeps the hashes of the chunks, so that a file can be served even when
 * the disk is too full for the index.
 */
#include <stdlib.h>
#include <string.h>

#include "core/share/share_internal.h"
#include "p2p/array.h"
#include "p2p/log.h"

/* Jobs at the hasher at once: of the smallest class, and of each other one. */
#define SMALL_JOBS_MAX 64
#define JOBS_MAX       16
#define PROGRESS_MAX   (2 * (SMALL_JOBS_MAX + (P2P_SIZE_CLASSES - 1) * JOBS_MAX))
/* A file that changes again within ten times its hashing time waits four times that
 * time. */
#define CHANGES_OFTEN 10
#define QUIET_FACTOR  4
#define QUIET_MAX_MS  (10 * 60 * 1000)
#define RETRY_MIN_MS  2000
#define RETRY_MAX_MS  (10 * 60 * 1000)
#define RESAVE_MIN_MS 1000
#define RESAVE_MAX_MS 30000

/* ---- Lines of items ---- */

uint64_t
p2p_pipeline_quiet_ms(const struct p2p_share *s, const struct p2p_item *item)
{
    uint64_t quiet = QUIET_FACTOR * item->hash_cost_ms;

    if (item->hashed_ms == 0 || quiet < s->quiet_ms ||
        p2p_now_ms() - item->hashed_ms > CHANGES_OFTEN * item->hash_cost_ms)
        return s->quiet_ms;
    return quiet < QUIET_MAX_MS ? quiet : QUIET_MAX_MS;
}

void
p2p_pipeline_note(struct p2p_share *s, struct p2p_item *item, uint64_t delay_ms)
{
    item->due_ms = p2p_now_ms() + delay_ms;
    if (item->is_dirty)
        return;
    item->is_dirty = true;
    item->next_dirty = s->owner.dirty;
    s->owner.dirty = item;
}

/* Up to 1 MiB, 16 MiB, 256 MiB, 4 GiB, 64 GiB, and larger. */
static unsigned
size_class(uint64_t size)
{
    unsigned class = 0;

    for (uint64_t max = P2P_MIB; class < P2P_SIZE_CLASSES - 1 && size > max; max *= 16)
        class ++;
    return class;
}

static void
enqueue(struct p2p_pipeline *line, struct p2p_item *item)
{
    struct p2p_queue *queue = &line->waiting[size_class(item->facts.state.size)];

    if (item->is_queued || item->job)
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

static bool
is_line_busy(const struct p2p_pipeline *line)
{
    for (unsigned class = 0; class < P2P_SIZE_CLASSES; class ++)
        if (line->waiting[class].first || line->with_hasher[class] > 0)
            return true;
    return false;
}

bool
p2p_pipeline_is_busy(const struct p2p_share *s)
{
    return is_line_busy(&s->owner.trees) || is_line_busy(&s->owner.flats) ||
           is_line_busy(&s->owner.checks);
}

/* ---- The index ---- */

void
p2p_pipeline_warn(struct p2p_share *s, enum p2p_err err)
{
    if (s->owner.warned != err)
        p2p_log_warn("cannot write the index of the shared folder reason=\"%s\"",
                     p2p_err_text(err));
    s->owner.warned = err;
}

/* Changes of many files go into one transaction. */
static enum p2p_err
begin(struct p2p_share *s)
{
    if (s->owner.is_in_transaction)
        return P2P_OK;
    enum p2p_err err = p2p_index_begin(p2p_share_own_index(s));
    s->owner.is_in_transaction = !err;
    return err;
}

static void
mark_unsaved(struct p2p_share *s, struct p2p_item *item)
{
    if (item->is_unsaved)
        return;
    item->is_unsaved = true;
    item->next_unsaved = s->owner.unsaved;
    s->owner.unsaved = item;
}

static void
put_off_resave(struct p2p_share *s)
{
    uint64_t pause = 2 * s->owner.resave_pause_ms;

    if (pause < RESAVE_MIN_MS)
        pause = RESAVE_MIN_MS;
    if (pause > RESAVE_MAX_MS)
        pause = RESAVE_MAX_MS;
    s->owner.resave_pause_ms = pause;
    s->owner.resave_ms = p2p_now_ms() + pause;
}

/* Something is not in the index that should be: all of it is compared later. */
static void
fail(struct p2p_share *s, enum p2p_err err)
{
    p2p_pipeline_warn(s, err);
    s->owner.is_behind = true;
    if (s->owner.resave_ms == 0)
        put_off_resave(s);
}

/* Writes the row of a READY item, and its layer when the catalogue still has it. */
static void
put(struct p2p_share *s, struct p2p_item *item)
{
    enum p2p_err err = begin(s);

    if (!err)
        err = p2p_index_put(p2p_share_own_index(s), item->name, &item->facts,
                            item->layer);
    mark_unsaved(s, item);
    if (err)
        fail(s, err);
    else if (item->is_hidden)
        p2p_pipeline_set_missing(s, item, false);
}

void
p2p_pipeline_touch(struct p2p_share *s, struct p2p_item *item, int64_t ctime_ns)
{
    p2p_catalogue_touch(&s->catalogue, item, ctime_ns);
    put(s, item);
}

void
p2p_pipeline_cancel(struct p2p_share *s, struct p2p_item *item)
{
    if (item->job)
        p2p_hasher_cancel(s->owner.hasher, item->job);
}

void
p2p_pipeline_forget(struct p2p_share *s, struct p2p_item *item)
{
    p2p_pipeline_cancel(s, item);
    if (item->facts.version == 0)
        return; /* never was in the index */
    enum p2p_err err = begin(s);
    if (!err)
        err = p2p_index_remove(p2p_share_own_index(s), item->name);
    if (err)
        fail(s, err);
    else /* who waits for changes hears that the file, missing before, was deleted */
        s->catalogue.is_changed = true;
}

void
p2p_pipeline_set_missing(struct p2p_share *s, struct p2p_item *item, bool is_missing)
{
    enum p2p_err err = begin(s);

    if (!err)
        err = p2p_index_set_missing(p2p_share_own_index(s), item->name, is_missing);
    if (err)
        fail(s, err);
    else
        item->is_hidden = is_missing;
}

void
p2p_pipeline_set_emptied(struct p2p_share *s, uint64_t files)
{
    enum p2p_err err = begin(s);

    if (!err)
        err = p2p_index_set_emptied(p2p_share_own_index(s), files);
    if (err)
        fail(s, err);
}

/* All rows up to here are stored. */
static void
clear_unsaved(struct p2p_share *s)
{
    struct p2p_item *item;

    while ((item = s->owner.unsaved)) {
        s->owner.unsaved = item->next_unsaved;
        item->is_unsaved = false;
        if (item->layer)
            p2p_catalogue_drop_layer(&s->catalogue, item);
    }
    s->owner.resave_ms = 0;
    s->owner.resave_pause_ms = 0;
}

/* The status is written with the last change, so that followers see both together. */
void
p2p_pipeline_commit(struct p2p_share *s)
{
    struct p2p_index_status status;
    struct p2p_share_totals totals;

    if (!s->owner.is_in_transaction)
        return;
    p2p_share_totals(s, &totals);
    enum p2p_err err = p2p_index_get_status(p2p_share_own_index(s), &status);
    status.hashing_files = (int64_t)totals.hashing_files;
    status.hashing_bytes = (int64_t)totals.hashing_bytes;
    if (!err)
        err = p2p_index_set_status(p2p_share_own_index(s), &status);
    enum p2p_err failed = p2p_index_commit(p2p_share_own_index(s));
    s->owner.is_in_transaction = false;
    if (failed) {
        p2p_pipeline_warn(s, failed);
        s->owner.is_behind = true;
        put_off_resave(s);
    } else if (!s->owner.is_behind) {
        clear_unsaved(s);
        s->owner.warned = P2P_OK;
    }
}

/* Rows that are not as the catalogue has them. */
struct odd_rows {
    struct p2p_share *s;
    char **names; /* owned */
    size_t count, cap;
};

static bool
should_be_hidden(const struct p2p_item *item)
{
    return item->is_held || item->state == P2P_ITEM_REFUSED;
}

static enum p2p_err
note_odd_row(void *arg, const char *name, const struct p2p_file_facts *facts,
             bool is_missing)
{
    struct odd_rows *odd = arg;
    const struct p2p_item *item = p2p_catalogue_find_own(&odd->s->catalogue, name);

    if (!facts || (item && should_be_hidden(item) == is_missing))
        return P2P_OK;
    char **more = p2p_array_room(odd->names, odd->count, &odd->cap, sizeof(*more));
    if (!more)
        return P2P_ERR_NOMEM;
    odd->names = more;
    odd->names[odd->count] = strdup(name);
    return odd->names[odd->count++] ? P2P_OK : P2P_ERR_NOMEM;
}

/* Changes that a failing disk did not store: deletions, and marks of missing files. */
static void
correct_rows(struct p2p_share *s)
{
    struct odd_rows odd = {.s = s};
    struct p2p_index *index = p2p_share_own_index(s);
    int64_t last_change;
    enum p2p_err err = begin(s);

    if (!err)
        err = p2p_index_load(index, 0, note_odd_row, &odd, &last_change);
    for (size_t i = 0; i < odd.count && !err; i++) {
        struct p2p_item *item = p2p_catalogue_find_own(&s->catalogue, odd.names[i]);
        if (item)
            p2p_pipeline_set_missing(s, item, should_be_hidden(item));
        else
            err = p2p_index_remove(index, odd.names[i]);
    }
    if (!err)
        err = p2p_index_set_emptied(index, atomic_load(&s->missing_files));
    if (err)
        fail(s, err);
    for (size_t i = 0; i < odd.count; i++)
        free(odd.names[i]);
    free(odd.names);
}

void
p2p_pipeline_store_problems(struct p2p_share *s)
{
    enum p2p_err err = begin(s);

    s->owner.has_new_problems = false;
    if (!err)
        err = p2p_problems_store(s->owner.problems, &s->catalogue, &s->owner.disks,
                                 p2p_share_own_index(s));
    if (err)
        fail(s, err);
}

void
p2p_pipeline_store_disks(struct p2p_share *s)
{
    enum p2p_err err = begin(s);

    s->owner.disks.is_changed = false;
    if (!err)
        err = p2p_disks_store(&s->owner.disks, p2p_share_own_index(s));
    if (err)
        fail(s, err);
}

void
p2p_pipeline_store_folders(struct p2p_share *s)
{
    enum p2p_err err = p2p_folders_show(s->owner.folders, &s->catalogue);

    if (!err)
        err = begin(s);
    if (!err)
        err = p2p_folders_store(s->owner.folders, p2p_share_own_index(s));
    if (err)
        fail(s, err);
}

void
p2p_pipeline_resave(struct p2p_share *s, uint64_t now_ms)
{
    if (s->owner.resave_ms == 0 || now_ms < s->owner.resave_ms)
        return;
    s->owner.resave_ms = 0;
    s->owner.is_behind = false; /* unless one of these fails, or the commit */
    for (struct p2p_item *item = s->owner.unsaved; item; item = item->next_unsaved)
        if (item->state == P2P_ITEM_READY)
            put(s, item);
    correct_rows(s);
    if (s->owner.is_scanned) {
        p2p_pipeline_store_problems(s);
        p2p_pipeline_store_folders(s);
        p2p_pipeline_store_disks(s);
    }
    if (!s->owner.is_in_transaction) /* the transaction could not be started */
        put_off_resave(s);
}

/* ---- Hashing ---- */

void
p2p_pipeline_want_tree(struct p2p_share *s, struct p2p_item *item)
{
    p2p_catalogue_owe(&s->catalogue, item, true);
    enqueue(&s->owner.trees, item);
}

void
p2p_pipeline_want_sha256(struct p2p_share *s, struct p2p_item *item)
{
    bool is_wanted = !item->facts.sha256_known;

    if (item->is_owed != is_wanted)
        p2p_catalogue_owe(&s->catalogue, item, is_wanted);
    if (is_wanted)
        enqueue(&s->owner.flats, item);
}

static struct p2p_pipeline *
line_of(struct p2p_share *s, bool flat)
{
    return flat ? &s->owner.flats : &s->owner.trees;
}

static void
give(struct p2p_share *s, struct p2p_item *item, struct p2p_hash_job *job)
{
    job->item = item;
    job->given_ms = p2p_now_ms();
    p2p_progress_load(s->owner.progress, job);
    item->job = job;
    line_of(s, job->flat)->with_hasher[size_class(job->state.size)]++;
    p2p_hasher_add(s->owner.hasher, job);
}

static void
give_next(struct p2p_share *s, struct p2p_item *item, bool flat)
{
    struct p2p_hash_job *job = p2p_hash_job_new(item->name);

    if (!job) {
        p2p_pipeline_note(s, item, s->quiet_ms);
        return;
    }
    job->state = item->facts.state;
    job->chunk_size = flat ? item->facts.chunk_size : s->chunk_size;
    job->flat = flat;
    give(s, item, job);
}

void
p2p_pipeline_recheck(struct p2p_share *s, struct p2p_item *item,
                     const struct p2p_file_state *now)
{
    struct p2p_hash_job *job = item->job ? NULL : p2p_hash_job_new(item->name);

    if (!job)
        return; /* no memory: the next request for this file tries again */
    job->state = *now;
    job->chunk_size = item->facts.chunk_size;
    job->is_recheck = true;
    give(s, item, job);
}

void
p2p_pipeline_want_check(struct p2p_share *s, struct p2p_item *item)
{
    item->is_unchecked = true;
    enqueue(&s->owner.checks, item); /* or after the reason for which it waits now */
}

static void
check_next(struct p2p_share *s, struct p2p_item *item)
{
    struct p2p_file_state now;
    struct stat st;

    if (item->state != P2P_ITEM_READY || item->is_dirty || !item->is_unchecked ||
        p2p_root_stat(s->root, item->name, &st) != P2P_OK)
        return; /* it is examined, or an event is on its way */
    now = p2p_file_state_of(&st);
    if (p2p_file_state_compare(&now, &item->facts.state) == P2P_FILE_TOUCHED)
        p2p_pipeline_recheck(s, item, &now);
    else
        p2p_pipeline_want_sha256(s, item);
}

static size_t
jobs_max(unsigned class)
{
    return class == 0 ? SMALL_JOBS_MAX : JOBS_MAX;
}

static void
feed_checks(struct p2p_share *s)
{
    struct p2p_item *item;

    for (unsigned class = 0; class < P2P_SIZE_CLASSES; class ++)
        while (s->owner.trees.with_hasher[class] < jobs_max(class) &&
               (item = dequeue(&s->owner.checks.waiting[class])))
            check_next(s, item);
}

/* True if a queued item still needs this hash; it may have changed since it was
 * queued. */
static bool
still_wants(const struct p2p_item *item, bool flat)
{
    if (flat)
        return item->state == P2P_ITEM_READY && !item->facts.sha256_known;
    return item->state == P2P_ITEM_PENDING;
}

static void
feed_line(struct p2p_share *s, bool flat)
{
    struct p2p_pipeline *line = line_of(s, flat);
    struct p2p_item *item;

    for (unsigned class = 0; class < P2P_SIZE_CLASSES; class ++)
        while (line->with_hasher[class] < jobs_max(class) &&
               (item = dequeue(&line->waiting[class])))
            if (still_wants(item, flat))
                give_next(s, item, flat);
}

void
p2p_pipeline_feed(struct p2p_share *s)
{
    feed_line(s, false);
    feed_checks(s);
    feed_line(s, true);
}

/* Content that was here before keeps its version and its SHA-256. A name that comes
 * back continues with its version numbers. An empty file's root is all zero, as a fresh
 * item's: the version tells them apart. */
static void
number_version(struct p2p_share *s, struct p2p_file_facts *facts,
               const struct p2p_item *item)
{
    const struct p2p_file_facts *before = &item->facts;
    uint32_t last = before->version > 0
                        ? before->version
                        : p2p_index_last_version(p2p_share_own_index(s), item->name);
    bool is_same = before->version > 0 &&
                   memcmp(facts->root.b, before->root.b, sizeof(facts->root.b)) == 0;

    facts->version = last + !is_same;
    if (is_same && before->sha256_known && !facts->sha256_known) {
        facts->sha256 = before->sha256;
        facts->sha256_known = true;
    }
}

/* A write under another name of the file, while this one was hashed, is reported for
 * that name only, which may be gone since. The time of the inode tells of it. */
static void
doubt_linked(struct p2p_share *s, struct p2p_item *item, bool had_links)
{
    struct p2p_file_state now;
    struct stat st;

    if (p2p_root_stat(s->root, item->name, &st) != P2P_OK ||
        (st.st_nlink < 2 && !had_links))
        return;
    now = p2p_file_state_of(&st);
    if (p2p_file_state_compare(&now, &item->facts.state) == P2P_FILE_TOUCHED)
        p2p_pipeline_want_check(s, item);
}

static void
accept_tree(struct p2p_share *s, struct p2p_item *item, struct p2p_hash_job *job)
{
    struct p2p_file_facts facts = {
        .state = job->is_recheck ? job->state : item->facts.state,
        .chunk_size = job->chunk_size,
        .root = job->root,
        .sha256 = job->sha256,
        .sha256_known = job->sha256_known,
    };
    struct p2p_digest *layer = job->layer;
    uint64_t read_before = job->begin * job->chunk_size;

    number_version(s, &facts, item);
    item->is_unchecked = false;
    job->layer = NULL;
    p2p_catalogue_count_hashed(&s->catalogue, facts.state.size - read_before);
    if (p2p_catalogue_set_ready(&s->catalogue, item, &facts, layer) != P2P_OK)
        return;
    put(s, item);
    doubt_linked(s, item, job->has_links);
    p2p_pipeline_want_sha256(s, item);
}

static void
accept_flat(struct p2p_share *s, struct p2p_item *item, const struct p2p_hash_job *job)
{
    p2p_catalogue_set_sha256(&s->catalogue, item, &job->sha256);
    p2p_catalogue_owe(&s->catalogue, item, false);
    put(s, item);
    if (item->is_unchecked)
        enqueue(&s->owner.checks, item);
}

bool
p2p_pipeline_adopt(struct p2p_share *s, struct p2p_item *item,
                   const struct p2p_item *twin, const struct p2p_file_state *now)
{
    struct p2p_file_facts facts = twin->facts;
    struct p2p_digest *layer = NULL;
    struct p2p_chunks g;
    enum p2p_err err;

    if (p2p_chunks_init(&g, facts.state.size, facts.chunk_size) != P2P_OK)
        return false;
    facts.state = *now;
    number_version(s, &facts, item);
    if (twin->layer) {
        layer = malloc((size_t)g.count * sizeof(*layer));
        if (!layer)
            return false;
        memcpy(layer, twin->layer, (size_t)g.count * sizeof(*layer));
    } else {
        err = begin(s);
        if (!err)
            err = p2p_index_put_copy(p2p_share_own_index(s), item->name, &facts,
                                     twin->name);
        if (err)
            return false;
    }
    p2p_pipeline_cancel(s, item);
    if (p2p_catalogue_set_ready(&s->catalogue, item, &facts, layer) != P2P_OK)
        return false;
    if (layer)
        put(s, item);
    else /* its layer is lost when the commit fails, and the file is then hashed again
          */
        mark_unsaved(s, item);
    if (item->is_hidden)
        p2p_pipeline_set_missing(s, item, false);
    p2p_pipeline_want_sha256(s, item);
    return true;
}

void
p2p_pipeline_refuse(struct p2p_share *s, struct p2p_item *item, enum p2p_err problem)
{
    uint64_t pause = RETRY_MIN_MS;
    char name[128];

    if (item->failures == 0)
        p2p_log_warn(
            "cannot read a file, so it is not shared name=\"%s\" reason=\"%s\"",
            p2p_log_escape(item->name, strlen(item->name), name, sizeof(name)),
            p2p_err_text(problem));
    p2p_catalogue_refuse(&s->catalogue, item, problem);
    if (item->facts.version > 0 && !item->is_hidden)
        p2p_pipeline_set_missing(s, item, true);
    s->owner.has_new_problems = true;
    if (problem == P2P_ERR_PERMISSION || problem == P2P_ERR_TOO_LARGE)
        return; /* only a change of the file can help */
    for (unsigned i = 0; i < item->failures && pause < RETRY_MAX_MS; i++)
        pause *= 2;
    item->failures++;
    p2p_pipeline_note(s, item, pause < RETRY_MAX_MS ? pause : RETRY_MAX_MS);
}

static void
accept(struct p2p_share *s, struct p2p_hash_job *job)
{
    struct p2p_item *item = job->item;
    bool stays_shared = job->flat || job->is_recheck;

    item->job = NULL;
    line_of(s, job->flat)->with_hasher[size_class(job->state.size)]--;
    if (item->state == P2P_ITEM_GONE)
        return;
    item->hashed_ms = p2p_now_ms();
    item->hash_cost_ms = item->hashed_ms - job->given_ms;
    if (job->err == P2P_ERR_CANCELLED || job->err == P2P_ERR_FILE_CHANGED ||
        p2p_file_state_compare(&job->state, &item->facts.state) == P2P_FILE_CHANGED ||
        item->state != (stays_shared ? P2P_ITEM_READY : P2P_ITEM_PENDING)) {
        if (!item->is_dirty) /* otherwise the code that cancelled the job has set the
                                time */
            p2p_pipeline_note(s, item, p2p_pipeline_quiet_ms(s, item));
        return;
    }
    if (job->err) {
        p2p_pipeline_refuse(s, item, job->err);
        return;
    }
    item->failures = 0;
    if (job->flat)
        accept_flat(s, item, job);
    else
        accept_tree(s, item, job);
}

void
p2p_pipeline_collect(struct p2p_share *s)
{
    struct p2p_hash_job *jobs = p2p_hasher_take(s->owner.hasher), *job;

    while ((job = jobs)) {
        jobs = job->next;
        accept(s, job);
        p2p_hash_job_free(job);
    }
}

void
p2p_pipeline_save(struct p2p_share *s)
{
    struct p2p_hash_progress now[PROGRESS_MAX];
    size_t count = p2p_hasher_progress(s->owner.hasher, now, PROGRESS_MAX);
    enum p2p_err err = count > 0 ? begin(s) : P2P_OK;

    for (size_t i = 0; i < count && !err; i++)
        err = p2p_progress_put(s->owner.progress, &now[i]);
    if (err)
        p2p_pipeline_warn(s, err);
}

/* The next start must not use this row for the file: its times may have been set
 * back. */
static void
doubt(struct p2p_item *item, void *arg)
{
    struct p2p_share *s = arg;
    struct p2p_file_facts facts = item->facts;

    if (item->state != P2P_ITEM_PENDING || facts.version == 0 || begin(s) != P2P_OK)
        return;
    facts.state.mtime_ns = INT64_MIN;
    (void)!p2p_index_put(p2p_share_own_index(s), item->name, &facts, NULL);
}

void
p2p_pipeline_doubt_pending(struct p2p_share *s)
{
    p2p_catalogue_each(&s->catalogue, doubt, s);
}

void
p2p_pipeline_clear_saved(struct p2p_share *s)
{
    if (p2p_progress_is_empty(s->owner.progress))
        return;
    enum p2p_err err = begin(s);
    if (!err)
        err = p2p_progress_clear(s->owner.progress);
    if (err)
        p2p_pipeline_warn(s, err);
}
