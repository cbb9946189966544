/* The list of transfers, and what every change of one of them does: it wakes those who
 * wait, and is told to the dashboards and the store. */
#include <string.h>

#include "http/wait.h"
#include "ui/state/events.h"
#include "ui/transfers/queue.h"
#include "ui/transfers/transfer_store.h"

void
ui_transfers_wake(struct ui_transfers *ts)
{
    ts->is_stirred = true;
    pthread_cond_broadcast(&ts->changed);
}

struct ui_transfer *
ui_transfers_find(struct ui_transfers *ts, const char *id)
{
    struct ui_transfer *t = ts->first;

    while (t != NULL && (t->is_removed || strcmp(t->id, id) != 0))
        t = t->next;
    return t;
}

void
ui_transfers_link(struct ui_transfers *ts, struct ui_transfer *t)
{
    t->next = ts->first;
    ts->first = t;
    ts->count++;
}

void
ui_transfers_unlink(struct ui_transfers *ts, struct ui_transfer *t)
{
    struct ui_transfer **at = &ts->first;

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    ts->count--;
}

bool
ui_transfer_is_before(const struct ui_transfer *a, const struct ui_transfer *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->place < b->place;
}

long
ui_transfers_position(struct ui_transfers *ts, const struct ui_transfer *t)
{
    long position = 0;

    if (t->state != UI_QUEUED)
        return -1;
    for (const struct ui_transfer *o = ts->first; o != NULL; o = o->next)
        position += o != t && o->state == UI_QUEUED && ui_transfer_is_before(o, t);
    return position;
}

void
ui_transfers_tell(struct ui_transfers *ts, const struct ui_transfer *t)
{
    struct http_json_out o;

    if (t->is_removed)
        return;
    http_json_init(&o, 1024);
    ui_transfer_json(&o, NULL, ts->parts.identity, t, ui_transfers_position(ts, t));
    ui_event_publish(ts->parts.events, "transfer", &o);
}

void
ui_transfers_save(struct ui_transfers *ts, const struct ui_transfer *t)
{
    if (t->is_removed)
        return;
    ui_store_put_transfer(ts->parts.store, t);
    ui_transfers_tell(ts, t);
}

void
ui_transfer_enqueue(struct ui_transfers *ts, struct ui_transfer *t)
{
    t->state = UI_QUEUED;
    t->place = ++ts->last_place;
    t->error = P2P_OK;
    t->message[0] = '\0';
    t->retry_at_s = 0;
    t->finished_s = 0;
    t->is_discarding = false;
    t->speed = 0;
    t->eta_s = UINT64_MAX;
    ui_transfers_wake(ts);
}

/* ---- a running download, used without the lock ---- */

struct p2p_download *
ui_transfer_use(struct ui_transfer *t)
{
    if (t->dl == NULL || t->is_ending)
        return NULL;
    t->users++;
    return t->dl;
}

void
ui_transfer_leave(struct ui_transfers *ts, struct ui_transfer *t)
{
    t->users--;
    if (t->is_ending)
        ui_transfers_wake(ts);
}

void
ui_transfers_wake_readers(struct ui_transfers *ts)
{
    if (ts->arrivals != NULL)
        http_waitlist_wake(ts->arrivals);
}
