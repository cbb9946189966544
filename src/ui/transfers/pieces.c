#include "ui/transfers/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "p2p/lock.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"
#include "ui/transfers/handlers.h"
#include "ui/transfers/queue.h"

struct p2p_download_pieces *
ui_pieces_of(struct p2p_download *dl)
{
    struct p2p_download_pieces *pieces = malloc(sizeof(*pieces));

    if (pieces != NULL)
        p2p_download_pieces(dl, pieces);
    if (pieces == NULL || pieces->count > 0)
        return pieces;
    free(pieces);
    return NULL;
}

void
ui_pieces_add(struct p2p_download_pieces *now, const struct p2p_download_pieces *before)
{
    int8_t place[P2P_DOWNLOAD_SENDERS_MAX];

    if (before == NULL || before->count != now->count || before->size != now->size)
        return;
    for (unsigned i = 0; i < before->sender_count; i++) {
        place[i] = (int8_t)p2p_download_sender(now->senders, &now->sender_count,
                                               &before->senders[i].id);
        if (place[i] >= 0)
            now->senders[place[i]].pieces += before->senders[i].pieces;
    }
    for (unsigned i = 0; i < now->cell_count; i++)
        if (now->cells[i].sender < 0 && before->cells[i].sender >= 0 &&
            now->cells[i].done > 0)
            now->cells[i].sender = place[before->cells[i].sender];
}

void
ui_pieces_keep(struct ui_transfer *t, struct p2p_download_pieces *pieces)
{
    if (pieces == NULL)
        return;
    ui_pieces_add(pieces, t->pieces);
    free(t->pieces);
    t->pieces = pieces;
}

/* ---- the answer ---- */

static void
put_cells(struct http_json_out *o, const struct p2p_download_pieces *p)
{
    http_json_begin(o, "done", '[');
    for (unsigned i = 0; i < p->cell_count; i++)
        http_json_put_u64(o, NULL, p->cells[i].done);
    http_json_end(o, ']');
    http_json_begin(o, "device", '[');
    for (unsigned i = 0; i < p->cell_count; i++)
        if (p->cells[i].sender >= 0)
            http_json_put_u64(o, NULL, (uint64_t)p->cells[i].sender);
        else
            http_json_put_null(o, NULL);
    http_json_end(o, ']');
}

static void
put_devices(struct http_json_out *o, struct p2p_identity *identity,
            const struct p2p_download_pieces *p)
{
    http_json_begin(o, "devices", '[');
    for (unsigned i = 0; i < p->sender_count; i++) {
        http_json_begin(o, NULL, '{');
        ui_json_id(o, &p->senders[i].id);
        ui_json_name(o, identity, &p->senders[i].id, NULL);
        http_json_put_u64(o, "pieces", p->senders[i].pieces);
        http_json_end(o, '}');
    }
    http_json_end(o, ']');
}

/* A copy of what earlier runs have kept. */
static struct p2p_download_pieces *
copy_of(const struct p2p_download_pieces *kept)
{
    struct p2p_download_pieces *copy = kept != NULL ? malloc(sizeof(*copy)) : NULL;

    if (copy != NULL)
        *copy = *kept;
    return copy;
}

/* Of all runs; *returns owned*, NULL: nothing is known. `*found`: there is a transfer
 * with this id. */
static struct p2p_download_pieces *
read_pieces(struct ui_transfers *ts, const char *id, bool *found)
{
    struct p2p_download_pieces *now = NULL, *before = NULL;
    struct ui_transfer *t;
    struct p2p_download *dl = NULL;

    p2p_lock(&ts->lock);
    *found = (t = ui_transfers_find(ts, id)) != NULL;
    if (t != NULL) {
        before = copy_of(t->pieces);
        dl = ui_transfer_use(t);
    }
    p2p_unlock(&ts->lock);
    if (dl == NULL)
        return before;
    now = ui_pieces_of(dl);
    p2p_lock(&ts->lock);
    ui_transfer_leave(ts, t);
    p2p_unlock(&ts->lock);
    if (now == NULL)
        return before;
    ui_pieces_add(now, before);
    free(before);
    return now;
}

void
ui_api_transfer_pieces(struct http_request *req, void *arg)
{
    static const struct p2p_download_pieces none;
    struct ui_transfers_api *api = arg;
    const char *id = http_param(req, "id");
    bool found;
    struct p2p_download_pieces *pieces = read_pieces(api->transfers, id, &found);
    const struct p2p_download_pieces *p = pieces != NULL ? pieces : &none;
    struct http_json_out o;

    if (!found) {
        ui_fail(req, P2P_ERR_NOT_FOUND, "there is no such transfer");
        return;
    }
    ui_json_begin(&o, 4096);
    http_json_put_string(&o, "id", id);
    http_json_put_u64(&o, "count", p->count);
    http_json_put_u64(&o, "size", p->size);
    put_cells(&o, p);
    put_devices(&o, api->network.identity, p);
    ui_json_reply(&o, req, 200);
    free(pieces);
}
