#include "ui/reply/json.h"

#include <stdio.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/names.h"

const char *
ui_short_id(const struct p2p_id *id, char *out)
{
    p2p_hex_format(id->b, 8, out);
    memcpy(out + 16, "...", 4);
    return out;
}

void
ui_json_id(struct http_json_out *o, const struct p2p_id *id)
{
    char text[UI_SHORT_ID_LEN + 1];

    http_json_put_string(o, "peer_id", ui_short_id(id, text));
    http_json_put_hex(o, "peer_id_full", id->b, sizeof(id->b));
}

void
ui_json_name(struct http_json_out *o, struct p2p_identity *identity,
             const struct p2p_id *id, const struct p2p_about *said)
{
    struct p2p_known_peer known;
    bool is_known = p2p_known_find(identity, id, &known) == P2P_OK;
    const char *name = p2p_known_name(is_known ? &known : NULL, said);
    enum p2p_about_kind kind = is_known ? known.claim.kind : P2P_ABOUT_UNKNOWN;
    bool is_sure =
        is_known && (name == known.name ||
                     (name == known.claim.name && known.trust == P2P_TRUST_TRUSTED));

    if (kind == P2P_ABOUT_UNKNOWN && said != NULL)
        kind = said->kind;
    ui_json_text(o, "name", name);
    http_json_put_bool(o, "name_is_claim", name[0] != '\0' && !is_sure);
    http_json_put_string(o, "kind", p2p_about_kind_name(kind));
}

void
ui_json_size(struct http_json_out *o, uint64_t size)
{
    const uint64_t mib = 1048576;

    http_json_put_u64(o, "size", size);
    /* In two steps: size * 1000 would overflow for the largest files. */
    http_json_put_thousandths(o, "size_mb",
                              size / mib * 1000 + (size % mib * 1000 + mib / 2) / mib);
}

void
ui_json_digest(struct http_json_out *o, const char *name, bool is_known,
               const struct p2p_digest *digest)
{
    if (is_known)
        http_json_put_hex(o, name, digest->b, sizeof(digest->b));
    else
        http_json_put_null(o, name);
}

void
ui_json_text(struct http_json_out *o, const char *name, const char *value)
{
    if (value != NULL && *value != '\0')
        http_json_put_string(o, name, value);
    else
        http_json_put_null(o, name);
}

void
ui_json_number(struct http_json_out *o, const char *name, uint64_t value)
{
    if (value != 0)
        http_json_put_u64(o, name, value);
    else
        http_json_put_null(o, name);
}

void
ui_json_path(struct http_json_out *o, enum p2p_path_kind kind, uint64_t rtt_us)
{
    http_json_begin(o, "path", '{');
    http_json_put_string(o, "kind", p2p_path_kind_name(kind));
    if (kind == P2P_PATH_CHANNEL)
        http_json_put_u64(o, "rtt_ms", rtt_us / 1000);
    http_json_end(o, '}');
}

void
ui_json_cursor(struct http_json_out *o, size_t next)
{
    char text[24];

    snprintf(text, sizeof(text), "%zu", next);
    ui_json_text(o, "next", next > 0 ? text : NULL);
}

bool
ui_query_page(struct http_request *req, size_t fallback, size_t *offset, size_t *limit)
{
    uint64_t from, count;

    *offset = *limit = 0;
    if (!http_query_u64(req, "cursor", 0, UINT32_MAX, 0, &from) ||
        !http_query_u64(req, "limit", 1, 1000, fallback, &count))
        return false;
    *offset = (size_t)from;
    *limit = (size_t)count;
    return true;
}

void
ui_json_begin(struct http_json_out *o, size_t expected)
{
    http_json_init(o, expected);
    http_json_begin(o, NULL, '{');
}

void
ui_json_reply(struct http_json_out *o, struct http_request *req, unsigned status)
{
    size_t len;
    char *text;

    http_json_end(o, '}');
    text = http_json_take(o, &len);
    http_reply_owned(req, status, "application/json", text, len);
}
