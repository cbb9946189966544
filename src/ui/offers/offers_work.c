/* What the thread does: it sends offers to devices until they decide, and begins to
 * download what was accepted here. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/sse.h"
#include "http/text/json.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/log.h"
#include "ui/offers/offers_internal.h"
#include "ui/peers/peers.h"
#include "ui/state/events.h"
#include "ui/transfers/request.h"
#include "ui/transfers/transfers.h"

enum {
    LOOK_MS = 2000, /* while a page is open, or something is to be sent */
    IDLE_MS = 10000,
    ASK_EVERY_MS = 4000, /* whether the other side has decided */
    OFFLINE_MS = 20000,  /* it was not reached */
    RENEW_MS = 20000,    /* p2p-peer gives files while this program is heard of */
    SERVE_S = 24 * 3600, /* for so long after it was accepted */
    ROOTS_MAX = 500,     /* in one request */
};

/* ---- what is sent ---- */

static cJSON *
request_for(const struct ui_offer *o)
{
    cJSON *request = cJSON_CreateObject();
    char number[9];

    snprintf(number, sizeof(number), "%.8s", o->id);
    cJSON_AddStringToObject(request, "offer", number);
    return request;
}

static enum p2p_err
allow_files(struct ui_offers *os, const struct ui_offer *o,
            const struct ui_offer_files *files)
{
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < files->count && err == P2P_OK;) {
        cJSON *request = request_for(o);
        cJSON *roots = cJSON_AddArrayToObject(request, "roots");
        for (int n = 0; n < ROOTS_MAX && i < files->count; n++, i++) {
            char hex[2 * P2P_DIGEST_LEN + 1];
            p2p_hex_format(files->at[i].root.b, P2P_DIGEST_LEN, hex);
            cJSON_AddItemToArray(roots, cJSON_CreateString(hex));
        }
        err = ui_offers_ask(os, "offer.allow", request, NULL);
    }
    return err;
}

/* p2p-peer gives the files to this peer from now on, also private ones. */
static enum p2p_err
open_files(struct ui_offers *os, struct ui_offer *o, const struct ui_offer_files *files)
{
    enum p2p_err err = ui_offers_ask(os, "offer.begin", request_for(o), NULL);
    char hex[P2P_ID_HEX_LEN + 1];
    cJSON *request;

    if (err == P2P_OK)
        err = allow_files(os, o, files);
    if (err != P2P_OK && err != P2P_ERR_EXISTS)
        return err;
    request = request_for(o);
    p2p_hex_format(o->to.b, sizeof(o->to.b), hex);
    cJSON_AddStringToObject(request, "peer", hex);
    err = ui_offers_ask(os, "offer.open", request, NULL);
    o->is_open = err == P2P_OK;
    o->renewed_ms = p2p_now_ms();
    return err;
}

static void
keep_open(struct ui_offers *os, struct ui_offer *o)
{
    struct ui_offer_files files;

    if (o->is_open && p2p_now_ms() < o->renewed_ms + RENEW_MS)
        return;
    o->renewed_ms = p2p_now_ms();
    if (o->is_open)
        o->is_open = ui_offers_ask(os, "offer.status", request_for(o), NULL) == P2P_OK;
    if (o->is_open)
        return;
    if (ui_offer_files_find(os, o->names, &files) == P2P_OK && files.is_ready &&
        files.count > 0)
        (void)!open_files(os, o, &files);
    ui_offer_files_clear(&files);
}

static enum p2p_err
tell_peer(struct ui_offers *os, const struct ui_offer *o,
          const struct ui_offer_files *files, enum p2p_offer_state *state)
{
    struct p2p_offer offer = {.expires_s = o->expires_s,
                              .files = files->at,
                              .count = files->count,
                              .text = o->text};
    struct p2p_conn *conn = NULL;
    struct p2p_addr addr;
    enum p2p_err err = p2p_hex_parse(o->id, offer.id, sizeof(offer.id));

    ui_peers_refresh(os->parts.peers);
    if (err == P2P_OK)
        err = ui_peers_locate(os->parts.peers, &o->to, &addr);
    if (err == P2P_OK)
        err = ui_peers_connect(os->parts.peers, &addr, &o->to, &conn);
    if (err == P2P_OK) {
        p2p_conn_remember(conn);
        err = p2p_conn_offer(conn, &offer, state);
    }
    p2p_conn_close(conn);
    return err;
}

static void
take_answer(struct ui_offers *os, struct ui_offer *o, enum p2p_offer_state state)
{
    static const enum ui_offer_state states[] = {UI_OFFER_WAITING, UI_OFFER_ACCEPTED,
                                                 UI_OFFER_DECLINED, UI_OFFER_REFUSED};

    o->state = states[state];
    (void)ui_offers_set_state(os, o->id, o->state);
    if (o->state == UI_OFFER_DECLINED || o->state == UI_OFFER_REFUSED)
        (void)!ui_offers_ask(os, "offer.end", request_for(o), NULL);
}

static void
send_one(struct ui_offers *os, struct ui_offer *o)
{
    enum p2p_offer_state state = P2P_OFFER_SHOWN;
    struct ui_offer_files files;
    enum p2p_err err = ui_offer_files_find(os, o->names, &files);

    o->due_ms = p2p_now_ms() + ASK_EVERY_MS;
    if (err == P2P_OK && files.is_ready) {
        if (files.count > 0 && !o->is_open)
            err = open_files(os, o, &files);
        if (err == P2P_OK)
            err = tell_peer(os, o, &files, &state);
        if (err == P2P_OK)
            take_answer(os, o, state);
        else if (err == P2P_ERR_UNSUPPORTED)
            (void)ui_offers_set_state(os, o->id, UI_OFFER_UNSUPPORTED);
        else
            o->due_ms = p2p_now_ms() + OFFLINE_MS;
    }
    ui_offer_files_clear(&files);
}

/* True if there is something to do soon. */
static bool
send_all(struct ui_offers *os)
{
    size_t count;
    struct ui_offer *all = ui_offers_copy(os, &count);
    uint64_t now_s = p2p_time_s();
    bool is_busy = false;

    for (size_t i = 0; i < count; i++) {
        struct ui_offer *o = &all[i];
        bool is_waiting = o->state <= UI_OFFER_WAITING && o->expires_s > now_s;
        bool is_served =
            o->state == UI_OFFER_ACCEPTED && o->created_s + SERVE_S > now_s;
        if (!o->is_peer || (!is_waiting && !is_served))
            continue;
        is_busy = is_busy || is_waiting;
        if (is_waiting && p2p_now_ms() >= o->due_ms)
            send_one(os, o);
        if (is_served || o->is_open)
            keep_open(os, o);
        ui_offers_note(os, o);
    }
    ui_offers_free_copies(all, count);
    return is_busy;
}

/* ---- what was accepted here ---- */

static void
download(struct ui_offers *os, const struct p2p_id *peer, const cJSON *item)
{
    const char *name = http_json_string(item, "name"),
               *root = http_json_string(item, "root");
    struct ui_request *r = calloc(1, sizeof(*r));
    char id[UI_TRANSFER_ID_LEN + 1];
    bool is_new;

    if (r == NULL || name == NULL || root == NULL ||
        p2p_name_check(name, strlen(name), true) != P2P_OK ||
        p2p_hex_parse(root, r->root.b, sizeof(r->root.b)) != P2P_OK) {
        free(r);
        return;
    }
    snprintf(r->filename, sizeof(r->filename), "%s", name);
    snprintf(r->save_as, sizeof(r->save_as), "%s", name);
    r->root_known = true;
    r->is_auto = true;
    r->conflict = P2P_CONFLICT_RENAME;
    r->priority = UI_NORMAL;
    (void)http_json_u64(item, "size", 0, UINT64_C(1) << 53, &r->size);
    r->sources[0] = (struct ui_source){.id = *peer, .id_known = true};
    if (ui_peers_locate(os->parts.peers, peer, &r->sources[0].addr) == P2P_OK)
        r->source_count = 1;
    if (ui_transfers_add(os->parts.transfers, r, id, &is_new) != P2P_OK)
        p2p_log_warn("the list of transfers is full: a file of an offer is left out");
    ui_request_free(r);
}

static void
download_all(struct ui_offers *os, const cJSON *offer)
{
    const char *id = http_json_string(offer, "id"),
               *hex = http_json_string(offer, "peer_id");
    uint64_t count = 0, done = 0;
    struct p2p_id peer;
    cJSON *request = cJSON_CreateObject();

    cJSON_AddStringToObject(request, "id", id);
    if (ui_offers_ask(os, "inbox.claim", request, NULL) != P2P_OK || hex == NULL ||
        p2p_hex_parse(hex, peer.b, sizeof(peer.b)) != P2P_OK)
        return;
    ui_peers_refresh(os->parts.peers); /* to learn the address, because no page may have
                                          requested the list yet */
    (void)http_json_u64(offer, "count", 0, P2P_OFFER_ITEMS_MAX, &count);
    while (done < count) {
        cJSON *answer = NULL;
        const cJSON *item;
        uint64_t before = done;
        request = cJSON_CreateObject();
        cJSON_AddStringToObject(request, "id", id);
        cJSON_AddNumberToObject(request, "first", (double)done);
        if (ui_offers_ask(os, "inbox.items", request, &answer) != P2P_OK)
            break;
        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(answer, "items"))
        {
            download(os, &peer, item);
            done++;
        }
        cJSON_Delete(answer);
        if (done == before)
            break;
    }
}

static void
look_into_inbox(struct ui_offers *os)
{
    cJSON *answer = NULL, *request = cJSON_CreateObject();
    const cJSON *offer, *offers;
    uint64_t changes = 0;

    cJSON_AddNumberToObject(request, "changes", (double)os->seen);
    if (ui_offers_ask(os, "inbox.list", request, &answer) != P2P_OK)
        return;
    (void)http_json_u64(answer, "changes", 0, UINT64_C(1) << 53, &changes);
    offers = cJSON_GetObjectItemCaseSensitive(answer, "offers");
    cJSON_ArrayForEach(offer, offers)
    {
        const char *state = http_json_string(offer, "state");
        if (state != NULL && strcmp(state, "accepted") == 0 &&
            !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(offer, "taken")))
            download_all(os, offer);
    }
    if (offers != NULL)
        ui_offers_tell(os);
    os->seen = changes;
    cJSON_Delete(answer);
}

static bool
rest(struct ui_offers *os, bool is_busy)
{
    bool is_followed =
        os->parts.events->sse != NULL && http_sse_count(os->parts.events->sse) > 0;
    uint64_t until_ms = p2p_now_ms() + (is_busy || is_followed ? LOOK_MS : IDLE_MS);

    p2p_lock(&os->lock);
    while (!os->is_kicked && !os->is_stopping && p2p_now_ms() < until_ms)
        (void)p2p_wait_until(&os->woken, &os->lock, until_ms);
    os->is_kicked = false;
    bool goes_on = !os->is_stopping;
    p2p_unlock(&os->lock);
    return goes_on;
}

void *
ui_offers_main(void *arg)
{
    struct ui_offers *os = arg;
    bool is_busy = true;

    os->seen = UINT64_MAX >> 11; /* no number that there is */
    while (rest(os, is_busy)) {
        is_busy = send_all(os);
        look_into_inbox(os);
    }
    return NULL;
}
