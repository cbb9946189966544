/*
 * The pipeline: an item that has to be hashed waits in a queue, goes to the hasher, and
 * comes back as a finished job. The result is written to the index and to the
 * catalogue. Many files share one transaction, because each commit costs a flush: the
 * transaction stays open while results keep arriving and is committed after at most a
 * second, and before anybody is told of a change.
 */
#include <stdlib.h>
#include <string.h>

#include "core/share/share_internal.h"
#include "p2p/log.h"

#define JOBS_MAX 64

/* ---- Lines of items ---- */

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

void
p2p_pipeline_enqueue(struct p2p_queue *queue, struct p2p_item *item)
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

void
p2p_pipeline_warn(struct p2p_share *s, enum p2p_err err)
{
    if (!s->owner.has_warned)
        p2p_log_warn("the index of the shared folder cannot be written reason=\"%s\"",
                     p2p_err_text(err));
    s->owner.has_warned = true;
}

/* Changes of many files go into one transaction. */
static enum p2p_err
begin(struct p2p_share *s)
{
    if (s->owner.is_in_transaction)
        return P2P_OK;
    enum p2p_err err = p2p_index_begin(s->index);
    s->owner.is_in_transaction = !err;
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
        p2p_pipeline_warn(s, err);
    return err;
}

void
p2p_pipeline_forget(struct p2p_share *s, struct p2p_item *item)
{
    if (item->facts.version == 0)
        return; /* never was in the index */
    enum p2p_err err = begin(s);
    if (!err)
        err = p2p_index_remove(s->index, item->name);
    if (err)
        p2p_pipeline_warn(s, err);
}

/* The status goes with the last change, so that followers see both together. */
void
p2p_pipeline_commit(struct p2p_share *s)
{
    struct p2p_index_status status;
    struct p2p_share_totals totals;

    if (!s->owner.is_in_transaction)
        return;
    p2p_share_totals(s, &totals);
    enum p2p_err err = p2p_index_get_status(s->index, &status);
    status.hashing_files = (int64_t)totals.hashing_files;
    status.hashing_bytes = (int64_t)totals.hashing_bytes;
    if (!err)
        err = p2p_index_set_status(s->index, &status);
    enum p2p_err failed = p2p_index_commit(s->index);
    s->owner.is_in_transaction = false;
    if (err || failed)
        p2p_pipeline_warn(s, err ? err : failed);
    else
        s->owner.has_warned = false;
}

/* ---- Hashing ---- */

void
p2p_pipeline_want_sha256(struct p2p_share *s, struct p2p_item *item)
{
    bool is_wanted = !item->facts.sha256_known;

    if (item->is_owed != is_wanted)
        p2p_catalogue_owe(&s->catalogue, item, is_wanted);
    if (is_wanted)
        p2p_pipeline_enqueue(&s->owner.flats, item);
}

static void
give(struct p2p_share *s, struct p2p_item *item, bool flat)
{
    struct p2p_hash_job *job = p2p_hash_job_new(item->name);

    if (!job) {
        p2p_pipeline_note(s, item, P2P_QUIET_MS);
        return;
    }
    job->item = item;
    job->state = item->facts.state;
    job->chunk_size = flat ? item->facts.chunk_size : s->chunk_size;
    job->flat = flat;
    p2p_progress_load(s->owner.progress, job);
    item->is_with_hasher = true;
    s->owner.with_hasher++;
    p2p_hasher_add(s->owner.hasher, job);
}

void
p2p_pipeline_feed(struct p2p_share *s)
{
    while (s->owner.with_hasher < JOBS_MAX &&
           (s->owner.trees.first || s->owner.flats.first)) {
        struct p2p_item *item =
            dequeue(s->owner.trees.first ? &s->owner.trees : &s->owner.flats);
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
    uint64_t read_before = job->begin * job->chunk_size;

    /* An empty file's root is all zero, as a fresh item's: the version tells them
     * apart. */
    if (facts.version == 0 ||
        memcmp(facts.root.b, item->facts.root.b, sizeof(facts.root.b)) != 0)
        facts.version++;
    job->layer = NULL;
    p2p_catalogue_count_hashed(&s->catalogue, facts.state.size - read_before);
    if (put(s, item->name, &facts, layer) == P2P_OK) {
        free(layer);
        layer = NULL;
    }
    if (p2p_catalogue_set_ready(&s->catalogue, item, &facts, layer) == P2P_OK)
        p2p_pipeline_want_sha256(s, item);
}

static void
accept_flat(struct p2p_share *s, struct p2p_item *item, const struct p2p_hash_job *job)
{
    p2p_catalogue_set_sha256(&s->catalogue, item, &job->sha256);
    p2p_catalogue_owe(&s->catalogue, item, false);
    (void)!put(s, item->name, &item->facts, NULL);
}

static void
refuse(struct p2p_share *s, struct p2p_item *item, enum p2p_err err)
{
    char name[128];

    p2p_log_warn("a file cannot be read and is not shared name=\"%s\" reason=\"%s\"",
                 p2p_log_escape(item->name, strlen(item->name), name, sizeof(name)),
                 p2p_err_text(err));
    p2p_catalogue_owe(&s->catalogue, item, false);
    p2p_catalogue_set_state(&s->catalogue, item, P2P_ITEM_REFUSED);
}

static void
accept(struct p2p_share *s, struct p2p_hash_job *job)
{
    struct p2p_item *item = job->item;

    item->is_with_hasher = false;
    s->owner.with_hasher--;
    if (item->state == P2P_ITEM_GONE || job->err == P2P_ERR_CANCELLED)
        return;
    if (!p2p_file_state_equal(&job->state, &item->facts.state) ||
        item->state != (job->flat ? P2P_ITEM_READY : P2P_ITEM_PENDING))
        p2p_pipeline_note(s, item, P2P_SETTLE_MS);
    else if (job->err == P2P_ERR_FILE_CHANGED)
        p2p_pipeline_note(s, item, P2P_QUIET_MS);
    else if (job->err)
        refuse(s, item, job->err);
    else if (job->flat)
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
    struct p2p_hash_progress now[JOBS_MAX];
    size_t count = p2p_hasher_progress(s->owner.hasher, now, JOBS_MAX);
    enum p2p_err err = count > 0 ? begin(s) : P2P_OK;

    for (size_t i = 0; i < count && !err; i++)
        err = p2p_progress_put(s->owner.progress, &now[i]);
    if (err)
        p2p_pipeline_warn(s, err);
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
