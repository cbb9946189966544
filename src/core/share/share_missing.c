/*
 * Files that are gone from the disk. If a file disappears while others stay, it was
 * deleted: two seconds after the last one disappeared, all of them are removed from the
 * index. If none is left, it is unknown whether they were deleted or their disk was
 * unmounted. Then the folder counts as away, and the index keeps its facts until a file
 * returns or the owner confirms the deletion. The same is true for an index without
 * files, if the record says that the folder at this path had some: the program then
 * sees only the place where the disk was mounted.
 *
 * Files on a disk that was mounted beneath the folder are absent, not deleted, while
 * the disk is not mounted, whatever happens to the other files; so are files over which
 * a disk was mounted (disks.h).
 */
#include <stdlib.h>
#include <string.h>

#include "core/share/share_internal.h"
#include "p2p/log.h"

/* If no other file disappears for this long, the missing ones are judged. After a file
 * has returned to an empty folder, or a disk: time for the others to return, too. Both
 * in quiet times: 2 s and 10 s by default. */
#define SETTLE_QUIETS 4
#define RETURN_QUIETS 20
/* The longest time to wait in a folder where files disappear all the time. */
#define WAIT_MAX_MS (10 * 60 * 1000)
/* How long it may take until a deletion by the owner is noticed. */
#define CONFIRM_MS 5000

/* ---- Files that a scan did not see ---- */

struct unseen {
    struct p2p_item **items;
    size_t count;
    uint32_t scan;
};

static void
collect_unseen(struct p2p_item *item, void *arg)
{
    struct unseen *u = arg;

    if (item->seen != u->scan && !item->is_dirty)
        u->items[u->count++] = item;
}

void
p2p_share_lose_unseen(struct p2p_share *s,
                      void (*lose)(struct p2p_share *, struct p2p_item *))
{
    struct unseen u = {.scan = s->scan};

    u.items = malloc((s->catalogue.item_count + 1) * sizeof(struct p2p_item *));
    if (!u.items)
        return; /* the next scan removes them; opening such a file gives FILE_CHANGED */
    p2p_catalogue_each(&s->catalogue, collect_unseen, &u);
    for (size_t i = 0; i < u.count; i++)
        lose(s, u.items[i]);
    free(u.items);
}

/* ---- Judging ---- */

static void
put_off(struct p2p_share *s, uint64_t now_ms, unsigned quiets)
{
    s->owner.settle_ms = now_ms + (uint64_t)quiets * s->quiet_ms;
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
    put_off(s, now, SETTLE_QUIETS);
}

void
p2p_missing_load(struct p2p_share *s, struct p2p_item *item)
{
    p2p_catalogue_hold(&s->catalogue, item);
    item->is_missing = item->is_held = item->is_hidden = true;
    s->owner.missing++;
    s->owner.waiting_ms = p2p_now_ms();
    put_off(s, s->owner.waiting_ms, SETTLE_QUIETS);
}

static void
end_absence(struct p2p_share *s, struct p2p_item *item)
{
    if (!item->is_absent)
        return;
    item->is_absent = false;
    s->owner.absent--;
    s->owner.must_recount = true;
}

void
p2p_missing_end(struct p2p_share *s, struct p2p_item *item)
{
    item->is_missing = false;
    if (!item->is_held)
        return;
    end_absence(s, item);
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

/* ---- Disks beneath the folder ---- */

/* Its disk is mounted again, or the disk that covered it was unmounted: the file may be
 * shared again. */
static void
expect(struct p2p_item *item, void *arg)
{
    struct p2p_share *s = arg;

    if (!item->is_absent ||
        !p2p_disks_may_return(&s->owner.disks, item->name, s->scan - 1))
        return;
    end_absence(s, item);
    item->seen = s->scan; /* if it does not return, it was deleted */
}

static void
expect_all(struct p2p_share *s)
{
    uint64_t now = p2p_now_ms();

    if (s->owner.absent == 0)
        return;
    p2p_catalogue_each(&s->catalogue, expect, s);
    s->owner.waiting_ms = now;
    put_off(s, now, RETURN_QUIETS);
}

void
p2p_missing_reopen(struct p2p_share *s)
{
    if (p2p_disks_reopen(&s->owner.disks, s->scan))
        expect_all(s);
}

void
p2p_missing_look(struct p2p_share *s)
{
    if (!p2p_disks_look(&s->owner.disks, p2p_root_fd(s->root), s->scan))
        return;
    s->scan++; /* everything that is noticed from now on happened after the change */
    expect_all(s);
}

/* Files that disappeared with their disk. */
static void
find_absent(struct p2p_item *item, void *arg)
{
    struct p2p_share *s = arg;

    if (!item->is_held || item->is_dirty || item->is_absent ||
        !p2p_disks_of(&s->owner.disks, item))
        return;
    item->is_absent = true;
    s->owner.absent++;
    s->owner.must_recount = true;
}

static void
count_absent(struct p2p_item *item, void *arg)
{
    struct p2p_share *s = arg;
    struct p2p_disk *disk =
        item->is_absent ? p2p_disks_of(&s->owner.disks, item) : NULL;

    if (disk)
        disk->files++;
}

static void
tell_of_disk(const struct p2p_share *s, const struct p2p_disk *disk, uint64_t before)
{
    char place[256], why[256];

    p2p_log_escape(disk->place, strlen(disk->place), place, sizeof(place));
    p2p_disks_explain(disk, why, sizeof(why));
    if (before == 0 && disk->files > 0)
        p2p_log_warn("%s/%s: %s", p2p_root_path(s->root), place, why);
    else if (before > 0 && disk->files == 0)
        p2p_log_info("%s/%s: its files are no longer away", p2p_root_path(s->root),
                     place);
}

static void
recount(struct p2p_share *s)
{
    uint64_t before[P2P_DISKS_MAX];
    struct p2p_disks *disks = &s->owner.disks;

    s->owner.must_recount = false;
    for (size_t i = 0; i < disks->count; i++) {
        before[i] = disks->list[i].files;
        disks->list[i].files = 0;
    }
    p2p_catalogue_each(&s->catalogue, count_absent, s);
    for (size_t i = 0; i < disks->count; i++) {
        disks->is_changed |= disks->list[i].files != before[i];
        tell_of_disk(s, &disks->list[i], before[i]);
    }
    s->owner.has_new_problems |= disks->is_changed;
    p2p_share_set_away_files(s, p2p_disks_files(disks));
}

/* ---- The verdict ---- */

struct held {
    struct p2p_item **items;
    size_t count, cap;
    bool with_absent;
};

static void
collect(struct p2p_item *item, void *arg)
{
    struct held *held = arg;

    /* A file that an event named a moment ago may be back. */
    if (item->is_held && !item->is_dirty && (held->with_absent || !item->is_absent) &&
        held->count < held->cap)
        held->items[held->count++] = item;
}

static void
forget_all(struct p2p_share *s, uint64_t now_ms, bool with_absent)
{
    struct held held = {.cap = s->owner.missing, .with_absent = with_absent};

    held.items = malloc((held.cap + 1) * sizeof(struct p2p_item *));
    if (!held.items) {
        put_off(s, now_ms, SETTLE_QUIETS);
        return;
    }
    p2p_catalogue_each(&s->catalogue, collect, &held);
    for (size_t i = 0; i < held.count; i++) {
        end_absence(s, held.items[i]);
        held.items[i]->is_held = false;
        p2p_pipeline_forget(s, held.items[i]);
        p2p_catalogue_remove(&s->catalogue, held.items[i]);
    }
    s->owner.missing -= held.count;
    free(held.items);
    if (s->owner.missing > s->owner.absent)
        put_off(s, now_ms, SETTLE_QUIETS);
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
    forget_all(s, now_ms, true);
    set_emptied(s, 0);
    p2p_record_set(s->record, p2p_catalogue_own_files(&s->catalogue), true);
}

/* True if some are missing and nothing has changed for a while. */
static void
judge(struct p2p_share *s, uint64_t now_ms)
{
    enum presence now = presence(s);

    p2p_missing_look(s);
    p2p_catalogue_each(&s->catalogue, find_absent, s);
    if (now == UNCERTAIN)
        put_off(s, now_ms, SETTLE_QUIETS);
    else if (now == SOME_FILES)
        forget_all(s, now_ms, false);
    else if (now_ms < s->owner.confirm_ms)
        p2p_missing_confirm(s, now_ms);
    else
        set_emptied(s, s->owner.missing);
}

/* No file is missing, except for files of other disks. */
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
        put_off(s, now_ms, RETURN_QUIETS);
    }
    if (s->owner.missing == s->owner.absent)
        compare_with_record(s);
    else if (now_ms >= due(s))
        judge(s, now_ms);
    if (s->owner.missing > s->owner.absent) {
        if (!p2p_share_is_emptied(s) && due(s) < *due_ms)
            *due_ms = due(s);
        return;
    }
    if (s->owner.must_recount)
        recount(s);
    p2p_disks_prune(&s->owner.disks);
}
