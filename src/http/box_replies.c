#include "http/box_replies.h"

#include <string.h>

#include "http/source/address.h"
#include "http/text/json.h"
#include "http/wait.h"
#include "p2p/clock.h"

void
http_box_source(struct http_request *req, struct box_source *out)
{
    const char *ip = http_client_ip(req);
    struct http_address address = {{0}};

    if (http_address_parse(ip, strlen(ip), &address))
        address = http_address_source(&address);
    memcpy(out->b, address.b, sizeof(out->b));
}

void
http_reply_posted(struct http_request *req, enum box_result result, uint64_t number)
{
    struct http_json_out o;
    size_t len;
    char *text;

    switch (result) {
    case BOX_OK:
        http_json_init(&o, 32);
        http_json_begin(&o, NULL, '{');
        http_json_put_u64(&o, "n", number);
        http_json_end(&o, '}');
        text = http_json_take(&o, &len);
        http_reply_owned(req, 202, "application/json", text, len);
        break;
    case BOX_NONE:
        http_fail(req, 404, "no_box", "no such box");
        break;
    case BOX_FULL:
        http_fail(req, 507, "box_full", "the box is full");
        break;
    case BOX_CROWDED:
        http_fail_busy(req, 30, "too many messages of this address are waiting");
        break;
    }
}

static void
put_message(void *arg, uint64_t number, const char *text, size_t len)
{
    struct http_json_out *o = arg;

    http_json_begin(o, NULL, '{');
    http_json_put_u64(o, "n", number);
    http_json_put_json(o, "m", text, len);
    http_json_end(o, '}');
}

/* False if there is nothing new. */
static bool
collect(const struct http_box_read *read, struct http_json_out *o)
{
    uint64_t next = 0;
    size_t before;
    bool is_new;

    http_json_init(o, 256);
    http_json_begin(o, NULL, '{');
    http_json_begin(o, "messages", '[');
    before = o->len;
    (void)boxes_read(read->boxes, read->id, read->after, p2p_now_ms(), put_message, o,
                     &next);
    is_new = o->len > before;
    http_json_end(o, ']');
    http_json_put_u64(o, "next", next);
    http_json_end(o, '}');
    return is_new;
}

void
http_reply_box(struct http_request *req, const struct http_box_read *read)
{
    struct http_json_out o;
    size_t len;
    char *text;

    if (!collect(read, &o) && http_wait(req, read->list, read->seen, read->wait_ms)) {
        http_json_clear(&o);
        return;
    }
    text = http_json_take(&o, &len);
    http_reply_owned(req, 200, "application/json", text, len);
}
