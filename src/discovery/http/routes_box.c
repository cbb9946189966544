/* POST, GET, DELETE /box/{id}: messages between peers that cannot reach each other.
 */
#include <stdlib.h>
#include <string.h>

#include "discovery/http/app.h"
#include "discovery/http/meeting_news.h"
#include "http/link_page.h"
#include "http/wait.h"
#include "p2p/bytes.h"
#include "p2p/call.h"
#include "p2p/clock.h"

#define BOX_WAIT_MAX_S  60
#define BOX_LOGIN_MAX_S 3600

/* 64 hex digits: a peer's; 32: one for answers. */
static bool
get_box(struct http_request *req, struct box_id *id)
{
    const char *text = http_param(req, "id");
    size_t len = strlen(text);

    memset(id, 0, sizeof(*id));
    id->is_peer = len == 2 * sizeof(id->b);
    if ((len == sizeof(id->b) || id->is_peer) &&
        p2p_hex_parse(text, id->b, len / 2) == P2P_OK)
        return true;
    http_fail(req, 404, "no_box", "no such box");
    return false;
}

/* ---- POST ---- */

static bool
refuse_call(struct http_request *req, enum p2p_err err)
{
    switch (err) {
    case P2P_OK:
        return false;
    case P2P_ERR_MALFORMED:
    case P2P_ERR_TOO_LARGE:
        http_fail(req, 422, "bad_call", "the message is not a call");
        break;
    case P2P_ERR_TIMEOUT:
        http_fail(req, 422, "expired", "the call has expired, or expires too late");
        break;
    default:
        http_fail(req, 401, "bad_signature", "the call is not signed by its sender");
        break;
    }
    return true;
}

/* A peer's box takes calls to this peer only, and no forged ones: so what is in it
 * comes from somebody with a key, and one sender has a budget. */
static bool
may_call(struct http_request *req, struct app *app, const struct box_id *id,
         const char *text, size_t len)
{
    struct p2p_call call;
    enum p2p_err err = p2p_call_parse(text, len, &call);

    if (err == P2P_OK &&
        (call.type != P2P_CALL || memcmp(call.to.b, id->b, sizeof(call.to.b)) != 0))
        err = P2P_ERR_MALFORMED;
    if (err == P2P_OK)
        err = p2p_call_check(&call, p2p_time_s());
    return !refuse_call(req, err) &&
           !meeting_is_limited_for(req, app->meeting.senders, call.from.b,
                                   sizeof(call.from.b)) &&
           !meeting_is_limited_for(req, app->meeting.targets, id->b, sizeof(id->b));
}

void
post_box(struct http_request *req, void *arg)
{
    struct app *app = arg;
    struct box_source source;
    struct box_id id;
    const char *text;
    size_t len;
    uint64_t number = p2p_time_ms(); /* rises over restarts, and at all registries */
    enum box_result result;

    if (!get_box(req, &id) || meeting_is_limited(req, app->meeting.posts))
        return;
    if (http_json(req) == NULL) /* it was answered */
        return;
    text = http_body(req, &len);
    if (id.is_peer && !may_call(req, app, &id, text, len))
        return;
    http_box_source(req, &source);
    result =
        boxes_post(app->meeting.boxes, &id, &source, text, len, p2p_now_ms(), &number);
    if (result == BOX_OK) {
        http_waitlist_wake(meeting_list(&app->meeting, &id));
        meeting_tell_message(app, &id, &source, number, text, len);
    }
    http_reply_posted(req, result, number);
}

/* ---- DELETE ---- */

/* A client that knows the number of a box for answers may end it, as it may read it. */
void
delete_box(struct http_request *req, void *arg)
{
    struct app *app = arg;
    struct box_source source;
    struct box_id id;

    if (!get_box(req, &id))
        return;
    if (boxes_drop(app->meeting.boxes, &id, p2p_now_ms()) != BOX_OK) {
        http_reply_posted(req, BOX_NONE, 0);
        return;
    }
    http_box_source(req, &source);
    meeting_tell_drop(app, &id, &source);
    http_reply_empty(req, 204);
}

/* ---- GET ---- */

/* Authorization: P2P <expires>.<base64 of the signature> */
static bool
parse_login(const char *text, uint64_t *expires_s, struct p2p_signature *signature)
{
    const char *dot;

    if (text == NULL || strncmp(text, "P2P ", 4) != 0)
        return false;
    text += 4;
    return (dot = strchr(text, '.')) != NULL &&
           p2p_decimal_parse(text, (size_t)(dot - text), UINT32_MAX, expires_s) ==
               P2P_OK &&
           p2p_base64_parse(dot + 1, signature->b, sizeof(signature->b));
}

/* Only a registered peer with a signed record has a box of its own. */
static bool
is_owner(struct http_request *req, struct app *app, const struct box_id *id)
{
    uint64_t expires_s = 0, now_s = p2p_time_s();
    struct p2p_signature signature;
    struct p2p_spki key;
    struct p2p_id peer;

    memcpy(peer.b, id->b, sizeof(peer.b));
    if (!registry_key(app->registry, &peer, &key)) {
        http_fail(req, 404, "peer_not_found", "no such peer with a signed record");
        return false;
    }
    if (!parse_login(http_header(req, "Authorization"), &expires_s, &signature) ||
        expires_s < now_s || expires_s > now_s + BOX_LOGIN_MAX_S ||
        p2p_box_verify(&key, &peer, expires_s, &signature) != P2P_OK) {
        http_fail(req, 401, "bad_signature", "this box is read by its owner only");
        return false;
    }
    return true;
}

/* The box exists from now on, or longer. But not again when the handler runs once more:
 * the reader may be gone, and may have dropped it. */
static enum box_result
attend(struct http_request *req, struct app *app, const struct box_id *id)
{
    bool is_link = !id->is_peer && http_query(req, "link") != NULL;
    struct box_source source;
    enum box_result result;

    if (http_has_waited(req))
        return boxes_has(app->meeting.boxes, id, p2p_now_ms()) ? BOX_OK : BOX_NONE;
    http_box_source(req, &source);
    result = is_link ? boxes_attend_link(app->meeting.boxes, id, &source, p2p_now_ms())
                     : boxes_attend(app->meeting.boxes, id, &source, p2p_now_ms());
    if (result == BOX_OK)
        meeting_tell_open(app, id, &source, is_link);
    return result;
}

void
get_box_messages(struct http_request *req, void *arg)
{
    struct app *app = arg;
    struct http_box_read read = {.boxes = app->meeting.boxes};
    uint64_t wait_s;
    struct box_id id;
    enum box_result result;

    if (!get_box(req, &id) ||
        !http_query_u64(req, "after", 0, UINT64_MAX - 1, 0, &read.after) ||
        !http_query_u64(req, "wait", 0, BOX_WAIT_MAX_S, 0, &wait_s) ||
        (id.is_peer && !is_owner(req, app, &id)))
        return;
    /* The owner of a code wants to know that it is over. */
    if (http_query(req, "code") != NULL &&
        !boxes_has(app->meeting.boxes, &id, p2p_now_ms())) {
        http_reply_posted(req, BOX_NONE, 0);
        return;
    }
    read.id = &id;
    read.list = meeting_list(&app->meeting, &id);
    read.wait_ms = (unsigned)wait_s * 1000;
    read.seen = http_waitlist_generation(read.list);
    if ((result = attend(req, app, &id)) != BOX_OK)
        http_reply_posted(req, result, 0);
    else
        http_reply_box(req, &read);
}
