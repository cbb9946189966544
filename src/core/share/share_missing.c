/*
 * Files that are gone from the disk. If a file disappears while others stay, it was
 * deleted: two seconds after the last one disappeared, all of them are removed from the
 * index. If none is left, it is unknown whether they were deleted or their disk was
 * unmounted. Then the folder counts as away, and the index keeps its facts until a file
 * returns or the owner confirms the deletion. The same is true for an index without
 * files, if the record says that the folder at this path had some: the program then
 * sees only the place where the disk was mounted.
 */
#include <stdlib.h>

#include "core/share/share_internal.h"
#include "p2p/log.h"

/* If no other file disappears for this long, the missing ones are judged. */
#define SETTLE_MS 2000
/* After a file has returned to an empty folder: time for the others to return, too. */
#define RETURN_MS 10000
/* The longest time to wait in a folder where files disappear all the time. */
#define WAIT_MAX_MS (10 * 60 * 1000)
/* How long it may take until a deletion by the owner is noticed. */
#define CONFIRM_MS 5000

static void
put_off(struct p2p_share *s, uint64_t now_ms, uint64_t pause_ms)
{
    s->owner.settle_ms = now_ms + pause_ms;
}

void
p2p_missing_add(struct p2p_share *s, struct p2p_item *item)
{
    uint64_t now = p2p_now_ms();

    if (item->is_held)
        return;
    if (item->facts.version == 0) { /* nobody knew it */
        p2p_pipeline_forget(s, item);
        p2p_catalogue_remove(&s->catalogue, item);
        return;
    }
    p2p_pipeline_cancel(s, item);
    p2p_catalogue_owe(&s->catalogue, item, false);
    p2p_catalogue_hold(&s->catalogue, item);
    item->is_missing = item->is_held = true;
    p2p_pipeline_set_missing(s, item, true);
    if (s->owner.missing++ == 0)
        s->owner.waiting_ms = now;
    put_off(s, now, SETTLE_MS);
}

void
p2p_missing_load(struct p2p_share *s, struct p2p_item *item)
{
    p2p_catalogue_hold(&s->catalogue, item);
    item->is_missing = item->is_held = item->is_hidden = true;
    s->owner.missing++;
    s->owner.waiting_ms = p2p_now_ms();
    put_off(s, s->owner.waiting_ms, SETTLE_MS);
}

void
p2p_missing_end(struct p2p_share *s, struct p2p_item *item)
{
    item->is_missing = false;
    if (!item->is_held)
        return;
    item->is_held = false;
    s->owner.missing--;
    p2p_pipeline_set_missing(s, item, false);
}

/* ---- Is there any file? ---- */

enum presence { NO_FILES, UNCERTAIN, SOME_FILES };

static void
look(struct p2p_item *item, void *arg)
{
    enum presence *seen = arg;

    if (item->is_held || item->state == P2P_ITEM_GONE)
        return;
    if (item->state != P2P_ITEM_NOTED)
        *seen = SOME_FILES;
    else if (*seen == NO_FILES) /* about to be examined */
        *seen = UNCERTAIN;
}

static enum presence
presence(struct p2p_share *s)
{
    enum presence seen = NO_FILES;

    if (p2p_catalogue_own_files(&s->catalogue) > 0)
        return SOME_FILES;
    if (s->catalogue.item_count > s->owner.missing)
        p2p_catalogue_each(&s->catalogue, look, &seen);
    return seen;
}

/* ---- The verdict ---- */

struct held {
    struct p2p_item **items;
    size_t count, cap;
};

static void
collect(struct p2p_item *item, void *arg)
{
    struct held *held = arg;

    /* A file that an event named a moment ago may be back. */
    if (item->is_held && !item->is_dirty && held->count < held->cap)
        held->items[held->count++] = item;
}

static void
forget_all(struct p2p_share *s, uint64_t now_ms)
{
    struct held held = {.cap = s->owner.missing};

    held.items = malloc((held.cap + 1) * sizeof(struct p2p_item *));
    if (!held.items) {
        put_off(s, now_ms, SETTLE_MS);
        return;
    }
    p2p_catalogue_each(&s->catalogue, collect, &held);
    for (size_t i = 0; i < held.count; i++) {
        held.items[i]->is_held = false;
        p2p_pipeline_forget(s, held.items[i]);
        p2p_catalogue_remove(&s->catalogue, held.items[i]);
    }
    s->owner.missing -= held.count;
    free(held.items);
    if (s->owner.missing > 0)
        put_off(s, now_ms, SETTLE_MS);
}

static void
set_emptied(struct p2p_share *s, uint64_t files)
{
    p2p_pipeline_set_emptied(s, files);
    p2p_share_set_emptied(s, files);
}

void
p2p_missing_confirm(struct p2p_share *s, uint64_t now_ms)
{
    s->owner.confirm_ms = now_ms + CONFIRM_MS;
    forget_all(s, now_ms);
    set_emptied(s, 0);
    p2p_record_set(s->record, p2p_catalogue_own_files(&s->catalogue), true);
}

/* True if some are missing and nothing has changed for a while. */
static void
judge(struct p2p_share *s, uint64_t now_ms)
{
    enum presence now = presence(s);

    if (now == UNCERTAIN)
        put_off(s, now_ms, SETTLE_MS);
    else if (now == SOME_FILES)
        forget_all(s, now_ms);
    else if (now_ms < s->owner.confirm_ms)
        p2p_missing_confirm(s, now_ms);
    else
        set_emptied(s, s->owner.missing);
}

/* None is missing. */
static void
compare_with_record(struct p2p_share *s)
{
    enum presence now = presence(s);

    if (now == NO_FILES && p2p_record_files(s->record) > 0)
        set_emptied(s, p2p_record_files(s->record));
    else if (p2p_catalogue_own_files(&s->catalogue) > 0)
        p2p_record_set(s->record, p2p_catalogue_own_files(&s->catalogue), false);
}

static uint64_t
due(const struct p2p_share *s)
{
    uint64_t latest = s->owner.waiting_ms + WAIT_MAX_MS;

    return s->owner.settle_ms < latest ? s->owner.settle_ms : latest;
}

void
p2p_missing_round(struct p2p_share *s, uint64_t now_ms, uint64_t *due_ms)
{
    if (atomic_exchange(&s->mail.confirmed, false))
        p2p_missing_confirm(s, now_ms);
    if (!s->owner.is_scanned)
        return;
    if (p2p_share_is_emptied(s)) {
        if (presence(s) != SOME_FILES)
            return;
        set_emptied(s, 0);
        s->owner.waiting_ms = now_ms;
        put_off(s, now_ms, RETURN_MS);
    }
    if (s->owner.missing == 0)
        compare_with_record(s);
    else if (now_ms >= due(s))
        judge(s, now_ms);
    if (s->owner.missing > 0 && !p2p_share_is_emptied(s) && due(s) < *due_ms)
        *due_ms = due(s);
}
