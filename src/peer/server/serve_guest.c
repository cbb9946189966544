/* Guests of links (docs/PROTOCOL.md, "Links"): frames without a seal, on a channel that
 * the link's secret has opened. The messages that they may send are a list; requests
 * for files are handled as in protocol 2, where visible.c shows only the link's files.
 */
#include <string.h>

#include "p2p/clock.h"
#include "peer/server/loop.h"
#include "peer/server/serve.h"

enum { VERSION = 1, MODE_FETCH = 1, FLAG_PIN = 1, FLAG_SIGNED = 2 };
#define FILES_MESSAGES \
    P2P_MSG_META_GET, P2P_MSG_LAYER_GET, P2P_MSG_GET, P2P_MSG_CANCEL, P2P_MSG_LIST_GET

static bool
is_for_files(uint8_t type)
{
    static const uint8_t types[] = {FILES_MESSAGES};

    return memchr(types, type, sizeof(types)) != NULL;
}

static const struct p2p_id *
link_of(const struct conn *c)
{
    return client_id(c->client);
}

static struct links *
links_of(const struct conn *c)
{
    return c->loop->server->opt.links;
}

/* ---- WELCOME ---- */

enum p2p_err
serve_guest_welcome(struct conn *c)
{
    struct request *request =
        request_new(P2P_MSG_WELCOME, 0, (struct p2p_text){.len = 0});
    struct links_entry entry;

    if (request == NULL)
        return P2P_ERR_NOMEM;
    requests_add(&c->requests, request);
    if (!links_find(links_of(c), link_of(c), &entry))
        return P2P_ERR_NOT_ALLOWED;
    c->needs_pin = entry.has_pin;
    return P2P_OK;
}

void
serve_guest_put_welcome(const struct conn *c, struct p2p_wr *wr)
{
    struct links_entry entry;
    struct p2p_about about;
    size_t title_len, name_len;

    memset(&entry, 0, sizeof(entry));
    (void)links_find(links_of(c), link_of(c), &entry);
    p2p_identity_get_about(c->loop->server->opt.identity, &about);
    title_len = strlen(entry.title);
    name_len = strlen(about.name);
    p2p_wr_put_u8(wr, P2P_MSG_WELCOME);
    p2p_wr_put_u8(wr, VERSION);
    p2p_wr_put_u8(wr, MODE_FETCH);
    /* A registry that leaves the signature of the answer out is noticed here. */
    p2p_wr_put_u8(wr, FLAG_SIGNED | (entry.has_pin ? FLAG_PIN : 0));
    p2p_wr_put_u64(wr, entry.expires_s);
    p2p_wr_put_u64(wr, entry.bytes_left);
    p2p_wr_put_u16(wr, (uint16_t)title_len);
    p2p_wr_put_bytes(wr, entry.title, title_len);
    p2p_wr_put_u16(wr, (uint16_t)name_len);
    p2p_wr_put_bytes(wr, about.name, name_len);
}

/* ---- TICKET?: the PIN ---- */

static enum p2p_err
take_ticket(struct conn *c, const uint8_t *plain, size_t len)
{
    struct p2p_link_pin pin;
    struct p2p_rd rd;
    uint32_t req;
    enum p2p_err err;

    p2p_rd_init(&rd, plain + 1, len - 1);
    req = p2p_rd_get_u32(&rd);
    p2p_rd_get_bytes(&rd, pin.b, sizeof(pin.b));
    if (p2p_rd_end(&rd) != P2P_OK)
        return P2P_ERR_MALFORMED;
    err = links_check_pin(links_of(c), link_of(c), &pin);
    if (err == P2P_ERR_RATE_LIMITED)
        return serve2_refuse(c, req, 5, "too many wrong PINs; try again in 900 s");
    if (err != P2P_OK)
        return serve2_refuse(c, req, 1, "the PIN is wrong");
    c->needs_pin = false;
    return serve2_refuse(c, req, 0, "");
}

/* ---- all of them ---- */

enum p2p_err
serve_guest_handle(struct conn *c, const uint8_t *plain, size_t len)
{
    uint8_t type = plain[0];

    if (type == P2P_MSG_TICKET_GET)
        return take_ticket(c, plain, len);
    if (type == P2P_MSG_CLOSE)
        links_done(links_of(c), link_of(c), &c->guest);
    if (type == P2P_MSG_CLOSE || type == P2P_MSG_PING)
        return serve2_handle(c, plain, len);
    if (!is_for_files(type))
        return serve2_refuse(c, 0, 2, "unknown message type");
    if (c->needs_pin)
        return serve2_refuse(c, 0, 4, "the link has a PIN");
    return serve2_handle(c, plain, len);
}

enum p2p_err
serve_guest_take(struct conn *c, uint32_t bytes)
{
    if (!c->has_used && links_use(links_of(c), link_of(c), &c->guest) != P2P_OK)
        return P2P_ERR_NOT_ALLOWED;
    c->has_used = true;
    return links_spend(links_of(c), link_of(c), bytes);
}
