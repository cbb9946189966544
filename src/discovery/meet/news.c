#include "discovery/meet/news.h"

#include <string.h>

#include "p2p/bytes.h"

static void
put_box(struct p2p_wr *wr, const struct meet_news *news)
{
    p2p_wr_put_u8(wr, news->box.is_peer);
    p2p_wr_put_bytes(wr, news->box.b, sizeof(news->box.b));
    p2p_wr_put_bytes(wr, news->source.b, sizeof(news->source.b));
}

static void
put_reached(struct p2p_wr *wr, const struct meet_news *news)
{
    size_t len = strlen(news->addr.host);

    p2p_wr_put_bytes(wr, news->peer.b, sizeof(news->peer.b));
    p2p_wr_put_u8(wr, news->is_reached);
    p2p_wr_put_u16(wr, news->addr.port);
    p2p_wr_put_u8(wr, (uint8_t)len);
    p2p_wr_put_bytes(wr, news->addr.host, (uint8_t)len);
}

size_t
meet_news_format(const struct meet_news *news, uint8_t out[MEET_NEWS_MAX])
{
    struct p2p_wr wr;
    size_t len = 0;

    p2p_wr_init(&wr, out, MEET_NEWS_MAX);
    p2p_wr_put_u8(&wr, (uint8_t)news->type);
    if (news->type == MEET_REACHED)
        put_reached(&wr, news);
    else
        put_box(&wr, news);
    if (news->type == MEET_MESSAGE) {
        p2p_wr_put_u64(&wr, news->number);
        p2p_wr_put_bytes(&wr, news->text, news->len);
    }
    return p2p_wr_end(&wr, &len) == P2P_OK ? len : 0;
}

static void
get_box(struct p2p_rd *rd, struct meet_news *out)
{
    uint8_t is_peer = p2p_rd_get_u8(rd);

    rd->failed = rd->failed || is_peer > 1;
    out->box.is_peer = is_peer == 1;
    p2p_rd_get_bytes(rd, out->box.b, sizeof(out->box.b));
    p2p_rd_get_bytes(rd, out->source.b, sizeof(out->source.b));
}

static void
get_reached(struct p2p_rd *rd, struct meet_news *out)
{
    char host[P2P_HOST_MAX];

    p2p_rd_get_bytes(rd, out->peer.b, sizeof(out->peer.b));
    uint8_t is_reached = p2p_rd_get_u8(rd);
    uint16_t port = p2p_rd_get_u16(rd);
    size_t len = p2p_rd_get_u8(rd);
    const uint8_t *at = p2p_rd_get_ref(rd, len);

    out->is_reached = is_reached == 1;
    rd->failed = rd->failed || is_reached > 1 || len >= sizeof(host) ||
                 memchr(at, '\0', len) != NULL;
    if (rd->failed)
        return;
    memcpy(host, at, len);
    host[len] = '\0';
    rd->failed = p2p_addr_make(host, port, &out->addr) != P2P_OK;
}

enum p2p_err
meet_news_parse(const uint8_t *bytes, size_t len, struct meet_news *out)
{
    struct p2p_rd rd;

    memset(out, 0, sizeof(*out));
    p2p_rd_init(&rd, bytes, len);
    uint8_t type = p2p_rd_get_u8(&rd);
    if (rd.failed || type < MEET_OPEN || type > MEET_OPEN_LINK)
        return P2P_ERR_MALFORMED;
    out->type = (enum meet_news_type)type;
    if (out->type == MEET_REACHED)
        get_reached(&rd, out);
    else
        get_box(&rd, out);
    rd.failed = rd.failed || (out->type == MEET_OPEN_LINK && out->box.is_peer);
    if (out->type == MEET_MESSAGE) {
        out->number = p2p_rd_get_u64(&rd);
        out->len = rd.left;
        out->text = (const char *)p2p_rd_get_ref(&rd, rd.left);
        rd.failed = rd.failed || out->len == 0 || out->len > BOXES_MESSAGE_MAX;
    }
    return p2p_rd_end(&rd) == P2P_OK ? P2P_OK : P2P_ERR_MALFORMED;
}
