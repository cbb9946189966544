/*
 * Two ends of an association talk, and one of them gets packets from the input, with
 * the right tag and sum, as only the peer behind DTLS can send them. A script of steps:
 * 0 to 9: the two exchange so many packets; else: a packet, its length (u8), its
 * chunks. What the end keeps stays bounded, and the other end gets all it was sent
 * unless one fails.
 */
#include <string.h>

#include "core/channel/crc32.h"
#include "core/channel/sctp.h"
#include "fuzz.h"
#include "p2p/bytes.h"

enum { HEAD = 12, MS = 1000 };

struct pair {
    struct p2p_sctp *end[2];
    uint32_t tag[2]; /* by which packets for this end are known */
    uint64_t now_us;
};

/* The tags are random; packets between the two show them. */
static void
learn_tag(struct pair *p, size_t to, const uint8_t *packet)
{
    if (packet[HEAD] == 1 || packet[HEAD] == 2)
        p->tag[1 - to] = p2p_load_u32(packet + HEAD + 4);
}

static void
exchange(struct pair *p, unsigned packets)
{
    uint8_t packet[P2P_SCTP_PACKET_MAX];

    for (; packets > 0; packets--, p->now_us += 10 * MS)
        for (size_t i = 0; i < 2; i++) {
            size_t len = p2p_sctp_output(p->end[i], p->now_us, packet);

            MUST(len <= P2P_SCTP_PACKET_MAX && (len == 0 || len > HEAD));
            if (len == 0)
                continue;
            learn_tag(p, 1 - i, packet);
            p2p_sctp_input(p->end[1 - i], packet, len, p->now_us);
        }
}

static void
inject(struct pair *p, const uint8_t *chunks, size_t len)
{
    uint8_t packet[HEAD + UINT8_MAX] = {5000 >> 8, 5000 & 0xff, 5000 >> 8, 5000 & 0xff};
    uint8_t *exact = malloc(HEAD + len);

    MUST(exact != NULL);
    if (len > 0)
        memcpy(packet + HEAD, chunks, len);
    if (len > 0 && chunks[0] != 1)
        p2p_store_u32(packet + 4, p->tag[0]);
    p2p_store_u32(packet + 8, __builtin_bswap32(p2p_crc32c(0, packet, HEAD + len)));
    memcpy(exact, packet, HEAD + len);
    p2p_sctp_input(p->end[0], exact, HEAD + len, p->now_us);
    free(exact);
}

static void
check(struct pair *p)
{
    const uint8_t *bytes;
    size_t len;

    for (size_t i = 0; i < 2; i++) {
        MUST(p2p_sctp_status(p->end[i]).memory <= 2 * 1024 * 1024);
        MUST(p2p_sctp_write(p->end[i], "0123456789abcdef", 16) <= 16);
        while ((bytes = p2p_sctp_peek(p->end[i], &len)) != NULL)
            p2p_sctp_drop(p->end[i], len);
        (void)p2p_sctp_due_us(p->end[i], p->now_us);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pair p = {.now_us = 1000 * MS};
    struct p2p_rd rd;

    MUST(p2p_crypto_init() == P2P_OK);
    for (size_t i = 0; i < 2; i++) {
        struct p2p_sctp_options opt = {.opens = i == 0,
                                       .send_max = 1 << 16,
                                       .receive_max = 1 << 16,
                                       .first_tsn = (uint32_t)-3};
        MUST(p2p_sctp_new(&opt, p.now_us, &p.end[i]) == P2P_OK);
    }
    p2p_rd_init(&rd, data, size);
    while (rd.left > 0) {
        uint8_t op = p2p_rd_get_u8(&rd);

        if (op < 10) {
            exchange(&p, op);
        } else {
            size_t len = p2p_rd_get_u8(&rd);
            len = len < rd.left ? len : rd.left;
            inject(&p, p2p_rd_get_ref(&rd, len), len);
        }
        check(&p);
    }
    exchange(&p, 50);
    check(&p);
    for (size_t i = 0; i < 2; i++)
        p2p_sctp_free(p.end[i]);
    return 0;
}
