#include "peer/control_inbox.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "peer/control.h"
#include "peer/inbox/inbox.h"

enum { ITEMS_MAX = 200 };

static const char *const state_names[] = {"waiting", "accepted", "declined", "refused"};

static bool
hex_of(const cJSON *request, const char *name, void *out, size_t len)
{
    const char *text =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, name));

    return text != NULL && p2p_hex_parse(text, out, len) == P2P_OK;
}

static void
put_hex(cJSON *object, const char *name, const void *bytes, size_t len)
{
    char hex[2 * sizeof(struct p2p_id) + 1];

    p2p_hex_format(bytes, len, hex);
    cJSON_AddStringToObject(object, name, hex);
}

static void
put_row(cJSON *array, struct inbox *inbox, const struct inbox_row *row)
{
    cJSON *object = cJSON_CreateObject();

    put_hex(object, "id", row->id, sizeof(row->id));
    put_hex(object, "peer_id", row->peer.b, sizeof(row->peer.b));
    cJSON_AddStringToObject(object, "name", row->name);
    cJSON_AddStringToObject(object, "state", state_names[row->state]);
    cJSON_AddBoolToObject(object, "taken", row->is_taken);
    cJSON_AddBoolToObject(object, "always", inbox_is_always(inbox, &row->peer));
    cJSON_AddNumberToObject(object, "count", row->count);
    cJSON_AddNumberToObject(object, "size", (double)row->size);
    cJSON_AddNumberToObject(object, "received", (double)row->received_s);
    cJSON_AddNumberToObject(object, "expires", (double)row->expires_s);
    cJSON_AddItemToArray(array, object);
}

enum p2p_err
control_inbox_list(void *arg, const cJSON *request, cJSON *answer, char *why,
                   size_t cap)
{
    const struct control_view *view = arg;
    const cJSON *seen = cJSON_GetObjectItemCaseSensitive(request, "changes");
    uint64_t changes = inbox_changes(view->inbox);
    struct inbox_row *rows;
    size_t count;
    enum p2p_err err;

    (void)why, (void)cap;
    cJSON_AddNumberToObject(answer, "changes", (double)changes);
    if (cJSON_IsNumber(seen) && (uint64_t)seen->valuedouble == changes)
        return P2P_OK;
    if ((err = inbox_list(view->inbox, &rows, &count)) != P2P_OK)
        return err;
    cJSON *array = cJSON_AddArrayToObject(answer, "offers");
    for (size_t i = 0; i < count; i++)
        put_row(array, view->inbox, &rows[i]);
    free(rows);
    return P2P_OK;
}

static void
put_item(void *array, const struct p2p_offer_item *item)
{
    cJSON *object = cJSON_CreateObject();
    char *name = strndup(item->name.at, item->name.len);

    if (name != NULL)
        cJSON_AddStringToObject(object, "name", name);
    cJSON_AddNumberToObject(object, "size", (double)item->size);
    put_hex(object, "root", item->root.b, sizeof(item->root.b));
    cJSON_AddItemToArray(array, object);
    free(name);
}

enum p2p_err
control_inbox_items(void *arg, const cJSON *request, cJSON *answer, char *why,
                    size_t cap)
{
    const struct control_view *view = arg;
    const cJSON *first = cJSON_GetObjectItemCaseSensitive(request, "first");
    uint8_t id[P2P_OFFER_ID_LEN];
    uint32_t from = 0;
    char *text;

    (void)why, (void)cap;
    if (!hex_of(request, "id", id, sizeof(id)))
        return P2P_ERR_MALFORMED;
    if (cJSON_IsNumber(first) && first->valuedouble >= 0 &&
        first->valuedouble <= P2P_OFFER_ITEMS_MAX)
        from = (uint32_t)first->valuedouble;
    cJSON *array = cJSON_AddArrayToObject(answer, "items");
    enum p2p_err err =
        inbox_items(view->inbox, id, from, ITEMS_MAX, put_item, array, &text);
    if (text != NULL)
        cJSON_AddStringToObject(answer, "text", text);
    free(text);
    return err;
}

enum p2p_err
control_inbox_answer(void *arg, const cJSON *request, cJSON *answer, char *why,
                     size_t cap)
{
    const struct control_view *view = arg;
    const char *text =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, "answer"));
    uint8_t id[P2P_OFFER_ID_LEN];

    (void)answer, (void)why, (void)cap;
    if (text == NULL || !hex_of(request, "id", id, sizeof(id)))
        return P2P_ERR_MALFORMED;
    if (strcmp(text, "accept") == 0) {
        enum p2p_err err = inbox_answer(view->inbox, id, P2P_OFFER_ACCEPTED);
        /* The program that has it already keeps it: the same user asks again to resume.
         */
        if (err == P2P_OK &&
            cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(request, "claim")))
            (void)!inbox_claim(view->inbox, id);
        return err;
    }
    if (strcmp(text, "decline") == 0)
        return inbox_answer(view->inbox, id, P2P_OFFER_DECLINED);
    return P2P_ERR_MALFORMED;
}

enum p2p_err
control_inbox_claim(void *arg, const cJSON *request, cJSON *answer, char *why,
                    size_t cap)
{
    const struct control_view *view = arg;
    uint8_t id[P2P_OFFER_ID_LEN];

    (void)answer, (void)why, (void)cap;
    return hex_of(request, "id", id, sizeof(id)) ? inbox_claim(view->inbox, id)
                                                 : P2P_ERR_MALFORMED;
}

enum p2p_err
control_inbox_always(void *arg, const cJSON *request, cJSON *answer, char *why,
                     size_t cap)
{
    const struct control_view *view = arg;
    const cJSON *always = cJSON_GetObjectItemCaseSensitive(request, "always");
    struct p2p_id peer;

    (void)answer, (void)why, (void)cap;
    return cJSON_IsBool(always) && hex_of(request, "peer", peer.b, sizeof(peer.b))
               ? inbox_set_always(view->inbox, &peer, cJSON_IsTrue(always))
               : P2P_ERR_MALFORMED;
}
