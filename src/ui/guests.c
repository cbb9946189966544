#include "ui/guests.h"

#include <string.h>

#include "http/link_page.h"
#include "http/source/ratelimit.h"
#include "http/wait.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/limits.h"

enum { SLOTS = 1024, MAX_BOXES = 256, WAIT_MAX_S = 60 };

enum p2p_err
ui_guests_open(struct ui_guests *g, struct http_server *server)
{
    const struct boxes_limits limits = {
        .max_boxes = MAX_BOXES,
        .max_bytes = P2P_MIB,
        .max_bytes_per_source = 64 * P2P_KIB,
    };
    enum p2p_err err = boxes_new(&limits, &g->boxes);

    for (size_t i = 0; i < UI_GUESTS_LISTS && err == P2P_OK; i++)
        if ((g->lists[i] = http_waitlist_new(server)) == NULL)
            err = P2P_ERR_NOMEM;
    g->posts = http_ratelimit_new((double)UI_GUESTS_PER_MINUTE / 60,
                                  (double)UI_GUESTS_PER_MINUTE / 2, SLOTS);
    if (err == P2P_OK && g->posts == NULL)
        err = P2P_ERR_NOMEM;
    g->is_open = err == P2P_OK;
    return err;
}

void
ui_guests_close(struct ui_guests *g)
{
    for (size_t i = 0; i < UI_GUESTS_LISTS; i++)
        http_waitlist_free(g->lists[i]);
    http_ratelimit_free(g->posts);
    boxes_free(g->boxes);
}

void
ui_guests_handle_page(struct http_request *req, void *guests)
{
    (void)guests;
    http_reply_link_page(req, "");
}

void
ui_guests_handle_part(struct http_request *req, void *guests)
{
    (void)guests;
    http_reply_link_page(req, http_param(req, "name"));
}

void
ui_guests_handle_reach(struct http_request *req, void *guests)
{
    static const char text[] =
        "{\"boxes\":true,\"links\":true,\"relays\":[],\"stun\":[]}";

    (void)guests;
    http_reply(req, 200, "application/json", text, sizeof(text) - 1);
}

/* No peer has a box here. */
static bool
get_box(struct http_request *req, const struct ui_guests *g, struct box_id *id)
{
    const char *text = http_param(req, "id");

    memset(id, 0, sizeof(*id));
    if (!g->is_open) {
        http_fail_busy(req, 1, "the program is still starting; try again");
        return false;
    }
    if (p2p_hex_parse(text, id->b, sizeof(id->b) / 2) == P2P_OK)
        return true;
    http_reply_posted(req, BOX_NONE, 0);
    return false;
}

static struct http_waitlist *
list_of(const struct ui_guests *g, const struct box_id *id)
{
    return g->lists[id->b[0] % UI_GUESTS_LISTS];
}

/* Guests make boxes for answers only. */
static enum box_result
attend(struct http_request *req, struct ui_guests *g, const struct box_id *id)
{
    bool is_link = http_query(req, "link") != NULL;
    struct box_source source;

    if (http_has_waited(req))
        return boxes_has(g->boxes, id, p2p_now_ms()) ? BOX_OK : BOX_NONE;
    if (is_link && !http_client_is_loopback(req))
        return BOX_NONE;
    http_box_source(req, &source);
    return is_link ? boxes_attend_link(g->boxes, id, &source, p2p_now_ms())
                   : boxes_attend(g->boxes, id, &source, p2p_now_ms());
}

void
ui_guests_handle_read(struct http_request *req, void *guests)
{
    struct ui_guests *g = guests;
    struct http_box_read read = {.boxes = g->boxes};
    struct box_id id;
    uint64_t wait_s;
    enum box_result result;

    if (!get_box(req, g, &id) ||
        !http_query_u64(req, "after", 0, UINT64_MAX - 1, 0, &read.after) ||
        !http_query_u64(req, "wait", 0, WAIT_MAX_S, 0, &wait_s))
        return;
    read.id = &id;
    read.list = list_of(g, &id);
    read.wait_ms = (unsigned)wait_s * 1000;
    read.seen = http_waitlist_generation(read.list);
    if ((result = attend(req, g, &id)) != BOX_OK)
        http_reply_posted(req, result, 0);
    else
        http_reply_box(req, &read);
}

void
ui_guests_handle_post(struct http_request *req, void *guests)
{
    struct ui_guests *g = guests;
    struct box_source source;
    struct box_id id;
    const char *text;
    size_t len;
    uint64_t number = p2p_time_ms(); /* rises over restarts */
    unsigned after_s = 0;
    enum box_result result;

    if (!get_box(req, g, &id))
        return;
    if (!http_client_is_loopback(req))
        after_s =
            http_ratelimit_take_ip(g->posts, http_client_ip(req), 1, p2p_now_ms());
    if (after_s > 0) {
        http_fail_busy(req, after_s, "too many messages; try again later");
        return;
    }
    if (http_json(req) == NULL) /* it was answered */
        return;
    text = http_body(req, &len);
    http_box_source(req, &source);
    result = boxes_post(g->boxes, &id, &source, text, len, p2p_now_ms(), &number);
    if (result == BOX_OK)
        http_waitlist_wake(list_of(g, &id));
    http_reply_posted(req, result, number);
}

void
ui_guests_handle_drop(struct http_request *req, void *guests)
{
    struct ui_guests *g = guests;
    struct box_id id;

    if (!get_box(req, g, &id))
        return;
    if (boxes_drop(g->boxes, &id, p2p_now_ms()) == BOX_OK)
        http_reply_empty(req, 204);
    else
        http_reply_posted(req, BOX_NONE, 0);
}
