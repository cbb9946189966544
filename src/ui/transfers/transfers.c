#include "ui/transfers/transfers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/wait.h"
#include "p2p/clock.h"
#include "p2p/lock.h"
#include "ui/folders/folders.h"
#include "ui/reply/json.h"
#include "ui/state/events.h"
#include "ui/transfers/queue.h"
#include "ui/transfers/request.h"
#include "ui/transfers/transfer_store.h"

/* ---- life ---- */

/* Transfers that ran when the program ended, in whatever way, are queued again. The
 * store gives the oldest first. */
static void
adopt(void *arg, struct ui_transfer *t) P2P_REQUIRES(ui_transfers_lock)
{
    struct ui_transfers *ts = arg;

    if (ui_state_is_running(t->state))
        t->state = UI_QUEUED;
    if (t->place > ts->last_place)
        ts->last_place = t->place;
    ui_transfers_link(ts, t);
}

enum p2p_err
ui_transfers_new(const struct ui_transfers_parts *parts, struct ui_transfers **out)
{
    struct ui_transfers *ts = calloc(1, sizeof(*ts));

    *out = ts;
    if (ts == NULL)
        return P2P_ERR_NOMEM;
    ts->parts = *parts;
    p2p_mutex_init(&ts->lock);
    p2p_cond_init(&ts->changed);
    p2p_rate_init(&ts->rate, 0, p2p_now_ms() * 1000);
    ui_store_load_transfers(parts->store, adopt, ts);
    return P2P_OK;
}

enum p2p_err
ui_transfers_use_server(struct ui_transfers *ts, struct http_server *server)
{
    ts->arrivals = http_waitlist_new(server);
    return ts->arrivals != NULL ? P2P_OK : P2P_ERR_NOMEM;
}

enum p2p_err
ui_transfers_start(struct ui_transfers *ts)
{
    p2p_lock(&ts->lock);
    ui_queue_apply_rate(ts);
    p2p_unlock(&ts->lock);
    if (pthread_create(&ts->manager, NULL, ui_queue_main, ts) != 0)
        return P2P_ERR_NOMEM;
    ts->has_manager = true;
    return P2P_OK;
}

static void
stop_all(struct ui_transfers *ts)
{
    p2p_lock(&ts->lock);
    ts->is_stopping = true;
    for (struct ui_transfer *t = ts->first; t != NULL; t = t->next)
        if (t->has_thread && t->stop == UI_GO_ON) {
            t->stop = UI_STOP_KEEP;
            t->state = UI_QUEUED; /* it keeps its place, so that it resumes first */
            ui_transfers_save(ts, t);
        }
    ui_transfers_wake(ts);
    p2p_unlock(&ts->lock);
    if (ts->has_manager)
        pthread_join(ts->manager, NULL);
}

void
ui_transfers_free(struct ui_transfers *ts)
{
    if (ts == NULL)
        return;
    stop_all(ts);
    p2p_mutex_unshared(&ts->lock);
    for (struct ui_transfer *t = ts->first, *next; t != NULL; t = next) {
        next = t->next;
        ui_transfer_free(t);
    }
    p2p_rate_clear(&ts->rate);
    http_waitlist_free(ts->arrivals);
    pthread_cond_destroy(&ts->changed);
    p2p_mutex_clear(&ts->lock);
    free(ts);
}

/* ---- adding ---- */

static bool
has_source(const struct ui_transfer *t, const struct ui_request *request)
{
    return t->source_count > 0 && request->source_count > 0 &&
           t->sources[0].addr.port == request->sources[0].addr.port &&
           strcmp(t->sources[0].addr.host, request->sources[0].addr.host) == 0;
}

static bool
is_for_same_name(const struct ui_transfer *t, const struct ui_request *request)
{
    return strcmp(t->save_as, request->save_as) == 0;
}

static bool
is_same(const struct ui_transfer *t, const struct ui_request *request)
{
    if (t->is_removed || ui_state_is_over(t->state) || !is_for_same_name(t, request))
        return false;
    if (request->root_known && t->root_known)
        return memcmp(t->root.b, request->root.b, sizeof(t->root.b)) == 0;
    return strcmp(t->filename, request->filename) == 0 &&
           (has_source(t, request) || (t->is_auto && request->is_auto));
}

static struct ui_transfer *
make(const struct ui_request *request)
{
    struct ui_transfer *t = ui_transfer_new();

    if (t == NULL)
        return NULL;
    snprintf(t->filename, sizeof(t->filename), "%s", request->filename);
    snprintf(t->save_as, sizeof(t->save_as), "%s", request->save_as);
    if (request->conflict != P2P_CONFLICT_FAIL)
        t->conflict = request->conflict;
    t->root = request->root;
    t->root_known = request->root_known;
    t->size = request->size;
    t->size_known = request->size > 0;
    t->is_auto = request->is_auto;
    t->priority = request->priority;
    if (ui_transfer_set_sources(t, request->sources, request->source_count) != P2P_OK) {
        ui_transfer_free(t);
        return NULL;
    }
    return t;
}

enum p2p_err
ui_transfers_add(struct ui_transfers *ts, const struct ui_request *request,
                 char id[UI_TRANSFER_ID_LEN + 1], bool *is_new)
{
    enum p2p_err err = P2P_OK;
    struct ui_transfer *t;

    *is_new = false;
    id[0] = '\0';
    p2p_lock(&ts->lock);
    for (t = ts->first; t != NULL && !is_same(t, request); t = t->next)
        ;
    if (t == NULL && ts->count >= UI_TRANSFERS_MAX)
        err = P2P_ERR_RATE_LIMITED;
    else if (t == NULL && (t = make(request)) == NULL)
        err = P2P_ERR_NOMEM;
    else if (t->place == 0) {
        ui_transfers_link(ts, t);
        ui_transfer_enqueue(ts, t);
        ui_transfers_save(ts, t);
        *is_new = true;
    }
    if (err == P2P_OK)
        memcpy(id, t->id, sizeof(t->id));
    p2p_unlock(&ts->lock);
    return err;
}

/* ---- verbs ---- */

static void
end_with(struct ui_transfer *t, enum ui_state state, enum ui_stop stop)
{
    t->state = state;
    t->retry_at_s = 0;
    t->speed = 0;
    if (t->has_thread && t->stop != UI_STOP_DISCARD)
        t->stop = stop;
    if (state == UI_CANCELLED) {
        t->verified = 0;
        t->finished_s = p2p_time_s();
    }
    if (!t->has_thread && stop == UI_STOP_DISCARD)
        t->is_discarding = true;
}

static void
tell_removed(struct ui_transfers *ts, const char *id)
{
    struct http_json_out o;

    ui_json_begin(&o, 80);
    http_json_put_string(&o, "id", id);
    http_json_put_bool(&o, "removed", true);
    http_json_end(&o, '}');
    ui_event_publish(ts->parts.events, "transfer", &o);
}

/* Applies the verb if the state allows it. */
static bool
apply(struct ui_transfers *ts, struct ui_transfer *t, enum ui_verb verb)
    P2P_REQUIRES(ui_transfers_lock)
{
    bool is_active = t->state == UI_QUEUED || ui_state_is_running(t->state);

    switch (verb) {
    case UI_PAUSE:
        if (!is_active)
            return false;
        end_with(t, UI_PAUSED, UI_STOP_KEEP);
        break;
    case UI_RESUME:
        if (t->state != UI_PAUSED)
            return false;
        ui_transfer_enqueue(ts, t);
        break;
    case UI_CANCEL:
        if (t->state == UI_COMPLETED || t->state == UI_CANCELLED)
            return false;
        t->error = P2P_OK;
        end_with(t, UI_CANCELLED, UI_STOP_DISCARD);
        break;
    case UI_RETRY:
        if (t->state != UI_FAILED && t->state != UI_CANCELLED)
            return false;
        t->attempts = 0;
        ui_transfer_enqueue(ts, t);
        break;
    case UI_REMOVE:
        if (t->state != UI_COMPLETED)
            end_with(t, UI_CANCELLED, UI_STOP_DISCARD);
        ui_store_remove_transfer(ts->parts.store, t->id);
        tell_removed(ts, t->id);
        t->is_removed = true; /* the manager frees it */
        break;
    }
    ui_transfers_save(ts, t);
    ui_transfers_wake(ts);
    return true;
}

enum p2p_err
ui_transfers_do(struct ui_transfers *ts, const char *id, enum ui_verb verb)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;
    struct ui_transfer *t;

    p2p_lock(&ts->lock);
    if ((t = ui_transfers_find(ts, id)) != NULL)
        err = apply(ts, t, verb) ? P2P_OK : P2P_ERR_USAGE;
    p2p_unlock(&ts->lock);
    return err;
}

static bool
is_meant(const struct ui_transfer *t, enum ui_verb verb)
{
    if (t->is_removed)
        return false;
    if (verb == UI_RETRY)
        return t->state == UI_FAILED;
    if (verb == UI_REMOVE)
        return t->state == UI_COMPLETED || t->state == UI_CANCELLED;
    return true;
}

size_t
ui_transfers_do_all(struct ui_transfers *ts, enum ui_verb verb)
{
    size_t count = 0;

    p2p_lock(&ts->lock);
    for (struct ui_transfer *t = ts->first; t != NULL; t = t->next)
        count += is_meant(t, verb) && apply(ts, t, verb);
    p2p_unlock(&ts->lock);
    return count;
}

/* ---- changes ---- */

static int
by_place(const void *a, const void *b)
{
    const struct ui_transfer *x = *(struct ui_transfer *const *)a;
    const struct ui_transfer *y = *(struct ui_transfer *const *)b;

    return x->place < y->place ? -1 : x->place > y->place;
}

/* Lists the other queued transfers of the same priority, in order; `*ahead` counts
 * those with a higher one. */
static struct ui_transfer **
rivals_of(struct ui_transfers *ts, const struct ui_transfer *t, size_t *count,
          size_t *ahead) P2P_REQUIRES(ui_transfers_lock)
{
    struct ui_transfer **list = calloc(ts->count, sizeof(*list));

    *count = *ahead = 0;
    for (struct ui_transfer *o = ts->first; o != NULL && list != NULL; o = o->next) {
        if (o == t || o->state != UI_QUEUED)
            continue;
        *ahead += o->priority > t->priority;
        if (o->priority == t->priority)
            list[(*count)++] = o;
    }
    if (list != NULL)
        qsort(list, *count, sizeof(struct ui_transfer *), by_place);
    return list;
}

/* Moves the transfer to this position; the one there and those behind it get new
 * places. */
static void
move_to(struct ui_transfers *ts, struct ui_transfer *t, uint64_t position)
    P2P_REQUIRES(ui_transfers_lock)
{
    size_t count, ahead;
    struct ui_transfer **rivals = rivals_of(ts, t, &count, &ahead);
    uint64_t at = position > ahead ? position - ahead : 0;

    t->place = ++ts->last_place;
    for (uint64_t i = at; i < count; i++) {
        rivals[i]->place = ++ts->last_place;
        ui_transfers_save(ts, rivals[i]);
    }
    free(rivals);
}

static bool
is_folder(const char *name)
{
    return name[0] != '\0' && name[strlen(name) - 1] == '/';
}

static bool
may_become(const struct ui_transfer *t, const char *save_as)
{
    return is_folder(t->filename) == is_folder(save_as) && !t->has_thread &&
           (t->state == UI_FAILED || t->state == UI_PAUSED ||
            t->state == UI_CANCELLED || t->state == UI_QUEUED);
}

enum p2p_err
ui_transfers_change(struct ui_transfers *ts, const char *id,
                    const struct ui_change *change)
{
    struct ui_transfer *t;
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    p2p_lock(&ts->lock);
    if ((t = ui_transfers_find(ts, id)) != NULL)
        err = change->save_as == NULL || may_become(t, change->save_as) ? P2P_OK
                                                                        : P2P_ERR_USAGE;
    if (err == P2P_OK) {
        if (change->save_as != NULL) {
            snprintf(t->save_as, sizeof(t->save_as), "%s", change->save_as);
            t->works[0] = '\0';
        }
        if (change->priority != NULL)
            t->priority = *change->priority;
        if (change->position != NULL && t->state == UI_QUEUED)
            move_to(ts, t, *change->position);
        if (change->limit_rate != NULL)
            t->limit_rate = *change->limit_rate;
        p2p_rate_set(&t->rate, t->limit_rate, p2p_now_ms() * 1000);
        ui_transfers_save(ts, t);
    }
    p2p_unlock(&ts->lock);
    return err;
}

void
ui_transfers_reconfigure(struct ui_transfers *ts)
{
    p2p_lock(&ts->lock);
    ui_queue_apply_rate(ts);
    ui_transfers_wake(ts);
    p2p_unlock(&ts->lock);
}

static bool
uses(const struct ui_transfer *t, const struct p2p_id *id)
{
    for (size_t i = 0; i < t->live_count; i++)
        if (t->live[i].id_known && p2p_id_equal(&t->live[i].id, id))
            return true;
    return false;
}

void
ui_transfers_without(struct ui_transfers *ts, const struct p2p_id *id)
{
    p2p_lock(&ts->lock);
    for (struct ui_transfer *t = ts->first; t != NULL; t = t->next)
        if (t->has_thread && t->stop == UI_GO_ON && uses(t, id)) {
            t->stop = UI_STOP_KEEP;
            t->state = UI_QUEUED;
        }
    ui_transfers_wake(ts);
    p2p_unlock(&ts->lock);
}
