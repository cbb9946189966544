/* Transfers as the API shows them. */
#include <stdlib.h>
#include <string.h>

#include "p2p/lock.h"
#include "ui/reply/json.h"
#include "ui/transfers/queue.h"

bool
ui_transfers_put(struct ui_transfers *ts, const char *id, struct http_json_out *o,
                 const char *name)
{
    struct ui_transfer *t;

    p2p_lock(&ts->lock);
    if ((t = ui_transfers_find(ts, id)) != NULL)
        ui_transfer_json(o, name, ts->parts.identity, t, ui_transfers_position(ts, t));
    p2p_unlock(&ts->lock);
    return t != NULL;
}

/* ---- the list: positions are computed for all in one pass, because each one alone
 * would need a pass ---- */

struct place {
    const struct ui_transfer *t;
    long position;
};

static int
by_turn(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return ui_transfer_is_before(x->t, y->t) ? -1 : 1;
}

static int
by_address(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return x->t < y->t ? -1 : x->t > y->t;
}

static struct place *
positions_of(struct ui_transfers *ts, size_t *count) P2P_REQUIRES(ui_transfers_lock)
{
    struct place *list = calloc(ts->count + 1, sizeof(*list));

    *count = 0;
    if (list == NULL)
        return NULL;
    for (const struct ui_transfer *t = ts->first; t != NULL; t = t->next)
        if (t->state == UI_QUEUED && !t->is_removed)
            list[(*count)++].t = t;
    qsort(list, *count, sizeof(*list), by_turn);
    for (size_t i = 0; i < *count; i++)
        list[i].position = (long)i;
    qsort(list, *count, sizeof(*list), by_address);
    return list;
}

static long
position_in(const struct place *list, size_t count, const struct ui_transfer *t)
{
    struct place key = {.t = t};
    const struct place *found =
        list != NULL ? bsearch(&key, list, count, sizeof(*list), by_address) : NULL;

    return found != NULL ? found->position : -1;
}

static void
put_totals(struct http_json_out *o, const struct ui_counts *n)
{
    size_t running = n->by_state[UI_CONNECTING] + n->by_state[UI_DOWNLOADING] +
                     n->by_state[UI_VERIFYING];
    size_t all = 0;

    for (int i = 0; i < UI_STATES; i++)
        all += n->by_state[i];
    http_json_begin(o, "totals", '{');
    http_json_put_u64(o, "count", all);
    http_json_put_u64(o, "running", running);
    http_json_put_u64(o, "queued", n->by_state[UI_QUEUED]);
    http_json_put_u64(o, "paused", n->by_state[UI_PAUSED]);
    http_json_put_u64(o, "failed", n->by_state[UI_FAILED]);
    http_json_put_u64(o, "completed", n->by_state[UI_COMPLETED]);
    http_json_put_u64(o, "speed", n->speed);
    http_json_put_u64(o, "received", n->verified);
    http_json_put_u64(o, "size", n->size);
    if (n->speed > 0 && n->size >= n->verified)
        http_json_put_u64(o, "eta_s", (n->size - n->verified) / n->speed);
    else
        http_json_put_null(o, "eta_s");
    http_json_end(o, '}');
}

static void
count_one(const struct ui_transfer *t, struct ui_counts *n)
{
    n->by_state[t->state]++;
    if (ui_state_is_over(t->state))
        return;
    n->size += t->size;
    n->verified += t->verified;
    n->speed += t->state == UI_DOWNLOADING ? t->speed : 0;
    for (size_t i = 0; t->state == UI_DOWNLOADING && i < t->live_count; i++)
        if (t->live[i].path_known && t->live[i].connections > 0)
            n->by_path[t->live[i].path]++;
}

static void
count_all(const struct ui_transfers *ts, struct ui_counts *n)
    P2P_REQUIRES(ui_transfers_lock)
{
    memset(n, 0, sizeof(*n));
    for (const struct ui_transfer *t = ts->first; t != NULL; t = t->next)
        if (!t->is_removed)
            count_one(t, n);
}

struct p2p_rate *
ui_transfers_rate(struct ui_transfers *ts)
{
    return &ts->rate;
}

void
ui_transfers_count(struct ui_transfers *ts, struct ui_counts *out)
{
    p2p_lock(&ts->lock);
    count_all(ts, out);
    p2p_unlock(&ts->lock);
}

static bool
is_on_page(const struct ui_transfer *t, const struct ui_page *page)
{
    return !t->is_removed && (page->states == NULL || page->states[t->state]);
}

/* Writes the page and returns the offset of the next one, 0 when there is none. */
static size_t
put_transfers(struct ui_transfers *ts, const struct ui_page *page,
              struct http_json_out *o) P2P_REQUIRES(ui_transfers_lock)
{
    size_t seen = 0, shown = 0, queued = 0;
    struct place *places = positions_of(ts, &queued);
    const struct ui_transfer *t;

    http_json_begin(o, "transfers", '[');
    for (t = ts->first; t != NULL; t = t->next) {
        if (!is_on_page(t, page) || seen++ < page->offset)
            continue;
        if (page->limit > 0 && shown == page->limit)
            break;
        ui_transfer_json(o, NULL, ts->parts.identity, t,
                         position_in(places, queued, t));
        shown++;
    }
    http_json_end(o, ']');
    free(places);
    return t != NULL ? page->offset + shown : 0;
}

void
ui_transfers_put_page(struct ui_transfers *ts, const struct ui_page *page,
                      struct http_json_out *o)
{
    struct ui_counts counts;
    size_t next;

    p2p_lock(&ts->lock);
    next = put_transfers(ts, page, o);
    count_all(ts, &counts);
    p2p_unlock(&ts->lock);
    put_totals(o, &counts);
    ui_json_cursor(o, next);
}

/* ---- single questions ---- */

static void
first_address(const struct ui_transfer *t, char *out, size_t cap)
{
    if (t->source_count > 0)
        p2p_addr_format(&t->sources[0].addr, out, cap);
    else
        *out = '\0';
}

enum p2p_err
ui_transfers_progress(struct ui_transfers *ts, const char *filename,
                      struct ui_progress *out)
{
    struct ui_transfer *t;

    memset(out, 0, sizeof(*out));
    p2p_lock(&ts->lock);
    for (t = ts->first; t != NULL; t = t->next)
        if (!t->is_removed && strcmp(t->filename, filename) == 0)
            break;
    if (t != NULL) {
        memcpy(out->id, t->id, sizeof(out->id));
        out->state = t->state;
        out->percent = ui_transfer_percent(t);
        first_address(t, out->peer, sizeof(out->peer));
        memcpy(out->error, t->message, sizeof(out->error));
    }
    p2p_unlock(&ts->lock);
    return t != NULL ? P2P_OK : P2P_ERR_NOT_FOUND;
}

bool
ui_transfers_find_path(struct ui_transfers *ts, const char *path,
                       struct p2p_digest *sha256)
{
    struct ui_transfer *t;

    p2p_lock(&ts->lock);
    for (t = ts->first; t != NULL; t = t->next)
        if (t->state == UI_COMPLETED && t->sha256_known && strcmp(t->path, path) == 0)
            break;
    if (t != NULL)
        *sha256 = t->sha256;
    p2p_unlock(&ts->lock);
    return t != NULL;
}

bool
ui_transfers_have(struct ui_transfers *ts, const struct p2p_digest *root)
{
    struct ui_transfer *t;

    p2p_lock(&ts->lock);
    for (t = ts->first; t != NULL; t = t->next)
        if (t->state == UI_COMPLETED && t->root_known &&
            memcmp(t->root.b, root->b, sizeof(root->b)) == 0)
            break;
    p2p_unlock(&ts->lock);
    return t != NULL;
}
