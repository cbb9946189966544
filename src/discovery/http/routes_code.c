/* POST /code, POST /code/{number}/claim: where the two sides of a code meet. */
#include <string.h>

#include "discovery/http/app.h"
#include "discovery/http/meeting_news.h"
#include "http/link_page.h"
#include "http/text/json.h"
#include "http/wait.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/code.h"

static void
reply(struct http_request *req, uint32_t number, const struct box_id *box)
{
    struct http_json_out o;
    size_t len;
    char *text;

    http_json_init(&o, 96);
    http_json_begin(&o, NULL, '{');
    http_json_put_u64(&o, "number", number);
    http_json_put_hex(&o, "box", box->b, sizeof(box->b) / 2);
    http_json_end(&o, '}');
    text = http_json_take(&o, &len);
    http_reply_owned(req, 200, "application/json", text, len);
}

void
post_code(struct http_request *req, void *arg)
{
    struct app *app = arg;
    struct box_source source;
    struct box_id box;
    uint32_t number;

    if (meeting_is_limited(req, app->meeting.codes_made))
        return;
    http_box_source(req, &source);
    switch (codes_make(app->meeting.codes, app->meeting.boxes, &source, p2p_now_ms(),
                       &number, &box)) {
    case BOX_OK:
        reply(req, number, &box);
        break;
    case BOX_CROWDED:
        http_fail_busy(req, 60, "this address has too many codes");
        break;
    default:
        http_fail(req, 507, "codes_full", "there are too many codes");
        break;
    }
}

/* The sender hears of it at once, before the one who claims says anything. */
static void
tell(struct app *app, struct http_request *req, const struct box_id *box)
{
    static const char text[] = "{\"v\":1,\"type\":\"claimed\"}";
    struct box_source source;
    uint64_t n = 0;

    http_box_source(req, &source);
    if (boxes_post(app->meeting.boxes, box, &source, text, sizeof(text) - 1,
                   p2p_now_ms(), &n) != BOX_OK)
        return;
    http_waitlist_wake(meeting_list(&app->meeting, box));
    meeting_tell_message(app, box, &source, n, text, sizeof(text) - 1);
}

void
post_claim(struct http_request *req, void *arg)
{
    struct app *app = arg;
    const char *text = http_param(req, "number");
    struct box_id box;
    uint64_t number;
    enum code_result result = CODE_NONE;

    if (meeting_is_limited(req, app->meeting.claims))
        return;
    if (p2p_decimal_parse(text, strlen(text), P2P_CODE_NUMBER_MAX, &number) == P2P_OK)
        result = codes_claim(app->meeting.codes, app->meeting.boxes, (uint32_t)number,
                             p2p_now_ms(), &box);
    if (result == CODE_OK) {
        tell(app, req, &box);
        reply(req, (uint32_t)number, &box);
    } else if (result == CODE_CLAIMED) {
        http_fail(req, 409, "code_used", "this code was used already");
    } else {
        http_fail(req, 404, "no_code", "no such code");
    }
}
