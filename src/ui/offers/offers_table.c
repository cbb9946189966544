/* What is sent from this dashboard: in memory and in the store. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/text/json.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "ui/offers/offers_internal.h"
#include "ui/reply/json.h"
#include "ui/state/events.h"
#include "ui/state/store.h"

#define KIND "offer"

const char *
ui_offer_state_name(enum ui_offer_state state)
{
    static const char *const names[UI_OFFER_STATES] = {
        "preparing", "waiting", "accepted", "declined", "refused", "unsupported"};

    return names[state];
}

void
ui_offer_clear(struct ui_offer *offer)
{
    free(offer->names);
    free(offer->text);
    offer->names = offer->text = NULL;
}

/* ---- the store ---- */

static void
store_offer(struct ui_offers *os, const struct ui_offer *o)
{
    struct http_json_out out;
    size_t len;
    char *text;

    ui_json_begin(&out, 256);
    if (o->is_peer)
        http_json_put_hex(&out, "peer", o->to.b, sizeof(o->to.b));
    http_json_put_string(&out, "device", o->to_device);
    http_json_put_string(&out, "from", o->from);
    http_json_put_string(&out, "from_name", o->from_name);
    http_json_put_u64(&out, "state", o->state);
    http_json_put_u64(&out, "expires", o->expires_s);
    http_json_put_string(&out, "names", o->names);
    if (o->text != NULL)
        http_json_put_string(&out, "text", o->text);
    http_json_end(&out, '}');
    text = http_json_take(&out, &len);
    if (text != NULL)
        ui_store_put_note(os->parts.store, &(struct ui_note){.kind = KIND,
                                                             .key = o->id,
                                                             .value = text,
                                                             .time_s = o->created_s});
    free(text);
}

static void
copy_text(const cJSON *from, const char *name, char *out, size_t cap)
{
    const char *text = http_json_string(from, name);

    snprintf(out, cap, "%s", text != NULL ? text : "");
}

static void
load_offer(void *arg, const struct ui_note *note)
{
    struct ui_offers *os = arg;
    cJSON *json = cJSON_Parse(note->value);
    struct ui_offer *o = calloc(1, sizeof(*o));
    const char *names = http_json_string(json, "names"),
               *text = http_json_string(json, "text"),
               *peer = http_json_string(json, "peer");
    uint64_t state;

    p2p_mutex_unshared(&os->lock);
    if (json != NULL && o != NULL && os->count < UI_OFFERS_MAX && names != NULL &&
        strlen(note->key) == UI_OFFER_ID_LEN &&
        http_json_u64(json, "state", 0, UI_OFFER_STATES - 1, &state) &&
        http_json_u64(json, "expires", 0, UINT64_C(1) << 53, &o->expires_s)) {
        o->is_peer = peer != NULL && p2p_hex_parse(peer, o->to.b, 32) == P2P_OK;
        snprintf(o->id, sizeof(o->id), "%s", note->key);
        copy_text(json, "device", o->to_device, sizeof(o->to_device));
        copy_text(json, "from", o->from, sizeof(o->from));
        copy_text(json, "from_name", o->from_name, sizeof(o->from_name));
        o->state = (enum ui_offer_state)state;
        o->created_s = note->time_s;
        o->names = strdup(names);
        o->text = text != NULL ? strdup(text) : NULL;
    }
    if (o != NULL && o->names != NULL)
        os->at[os->count++] = o;
    else
        free(o);
    cJSON_Delete(json);
}

void
ui_offers_kick(struct ui_offers *os)
{
    p2p_lock(&os->lock);
    os->is_kicked = true;
    pthread_cond_signal(&os->woken);
    p2p_unlock(&os->lock);
}

void
ui_offers_tell(struct ui_offers *os)
{
    p2p_lock(&os->lock);
    size_t count = os->count;
    p2p_unlock(&os->lock);
    ui_event_count(os->parts.events, "offers", count);
}

void
ui_offers_load(struct ui_offers *os)
{
    ui_store_load_notes(os->parts.store, KIND, load_offer, os);
}

/* ---- the table ---- */

static bool
copy_one(const struct ui_offer *from, struct ui_offer *to)
{
    *to = *from;
    to->names = strdup(from->names);
    to->text = from->text != NULL ? strdup(from->text) : NULL;
    return to->names != NULL && (to->text != NULL) == (from->text != NULL);
}

struct ui_offer *
ui_offers_copy(struct ui_offers *os, size_t *count)
{
    struct ui_offer *copies = calloc(UI_OFFERS_MAX, sizeof(*copies));

    *count = 0;
    if (copies == NULL)
        return NULL;
    p2p_lock(&os->lock);
    for (size_t i = 0; i < os->count; i++)
        if (copy_one(os->at[i], &copies[*count]))
            (*count)++;
        else
            ui_offer_clear(&copies[*count]);
    p2p_unlock(&os->lock);
    return copies;
}

void
ui_offers_free_copies(struct ui_offer *copies, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ui_offer_clear(&copies[i]);
    free(copies);
}

static bool
is_open(const struct ui_offer *o)
{
    return o->state == UI_OFFER_PREPARING || o->state == UI_OFFER_WAITING;
}

static void
drop(struct ui_offers *os, size_t i) P2P_REQUIRES(ui_offers_lock)
{
    struct ui_offer *o = os->at[i];

    ui_store_remove_note(os->parts.store, KIND, o->id);
    ui_offer_clear(o);
    free(o);
    os->count--;
    memmove(&os->at[i], &os->at[i + 1], (os->count - i) * sizeof(os->at[0]));
}

/* The oldest ones that have ended make room. */
static void
make_room(struct ui_offers *os) P2P_REQUIRES(ui_offers_lock)
{
    uint64_t now_s = p2p_time_s();

    for (size_t i = os->count; i-- > 0;)
        if (os->at[i]->expires_s < now_s)
            drop(os, i);
    for (size_t i = 0; i < os->count && os->count >= UI_OFFERS_MAX; i++)
        if (!is_open(os->at[i])) {
            drop(os, i);
            return;
        }
}

enum p2p_err
ui_offers_add(struct ui_offers *os, struct ui_offer *offer)
{
    struct ui_offer *o = malloc(sizeof(*o));
    enum p2p_err err = P2P_OK;
    size_t open = 0;

    if (o == NULL)
        return P2P_ERR_NOMEM;
    *o = *offer;
    p2p_lock(&os->lock);
    make_room(os);
    for (size_t i = 0; i < os->count; i++)
        open += is_open(os->at[i]) && os->at[i]->is_peer == o->is_peer &&
                strcmp(os->at[i]->to_device, o->to_device) == 0;
    if (os->count >= UI_OFFERS_MAX || open >= UI_OFFERS_OPEN_MAX)
        err = P2P_ERR_TOO_LARGE;
    else {
        os->at[os->count++] = o;
        store_offer(os, o);
        offer->names = offer->text = NULL;
    }
    p2p_unlock(&os->lock);
    if (err != P2P_OK)
        free(o);
    return err;
}

static struct ui_offer *
find(struct ui_offers *os, const char *id, size_t *at) P2P_REQUIRES(ui_offers_lock)
{
    for (*at = 0; *at < os->count; (*at)++)
        if (strcmp(os->at[*at]->id, id) == 0)
            return os->at[*at];
    return NULL;
}

bool
ui_offers_set_state(struct ui_offers *os, const char *id, enum ui_offer_state state)
{
    bool is_news = false;
    struct ui_offer *o;
    size_t i;

    p2p_lock(&os->lock);
    if ((o = find(os, id, &i)) != NULL && o->state != state) {
        o->state = state;
        store_offer(os, o);
        is_news = true;
    }
    p2p_unlock(&os->lock);
    if (is_news)
        ui_offers_tell(os);
    return o != NULL;
}

void
ui_offers_note(struct ui_offers *os, const struct ui_offer *offer)
{
    struct ui_offer *o;
    size_t i;

    p2p_lock(&os->lock);
    if ((o = find(os, offer->id, &i)) != NULL) {
        o->is_open = offer->is_open;
        o->renewed_ms = offer->renewed_ms;
        o->due_ms = offer->due_ms;
    }
    p2p_unlock(&os->lock);
}

bool
ui_offers_remove(struct ui_offers *os, const char *id)
{
    size_t i;

    p2p_lock(&os->lock);
    bool found = find(os, id, &i) != NULL;
    if (found)
        drop(os, i);
    p2p_unlock(&os->lock);
    if (found)
        ui_offers_tell(os);
    return found;
}
