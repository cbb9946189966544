/*
 * What the network can do to a whole channel: two ends talk, and the input damages,
 * repeats and adds datagrams. A script of steps: 0 to 9: so many times 10 ms pass; 10
 * to 19: a datagram from the peer's address, its length (u8), its bytes; 20 to 29: the
 * same from another address; 30 to 39: the next datagram for end 0 is damaged, place
 * (u8) and what is changed there (u8); 40 to 49: it comes twice; else: it is cut to so
 * many bytes. Without the keys nothing of it ends a channel that is open, nor brings a
 * byte that was not written.
 */
#include <string.h>

#include "core/channel/channel.h"
#include "fuzz.h"
#include "p2p/bytes.h"

enum { MS = 1000, STEP_US = 10 * MS, STEPS_MAX = 400 };

struct network {
    struct p2p_channel *end[2];
    struct p2p_endpoint at[2], stranger;
    uint64_t now_us;
    unsigned steps;
    /* of the next datagram for end 0 */
    bool is_damaged, is_doubled;
    uint8_t place, change, length; /* length 0: whole */
    uint64_t read;                 /* bytes at end 0 */
};

static struct p2p_dtls_identity *identity[2];

static void
make_identities(void)
{
    MUST(p2p_crypto_init() == P2P_OK);
    for (size_t i = 0; i < 2 && identity[i] == NULL; i++)
        MUST(p2p_dtls_identity_new(&identity[i]) == P2P_OK);
}

static void
begin(struct network *n)
{
    struct p2p_ice_login login[2];

    *n = (struct network){.now_us = 1000 * MS};
    MUST(p2p_endpoint_parse("203.0.113.9", 9, &n->stranger) == P2P_OK);
    for (size_t i = 0; i < 2; i++) {
        MUST(p2p_endpoint_parse("192.0.2.1", (uint16_t)(7000 + i), &n->at[i]) ==
             P2P_OK);
        MUST(p2p_ice_login_make(&login[i]) == P2P_OK);
    }
    for (size_t i = 0; i < 2; i++) {
        const struct p2p_channel_options opt = {
            .own = login[i],
            .peer = login[1 - i],
            .identity = identity[i],
            .fingerprint = *p2p_dtls_fingerprint(identity[1 - i]),
            .calls = i == 0,
        };
        MUST(p2p_channel_new(&opt, n->now_us, &n->end[i]) == P2P_OK);
        p2p_channel_add(n->end[i], &n->at[1 - i], 1);
    }
}

/* In a block of its own length, so that a sanitizer sees what reads beyond it. */
static void
input(struct network *n, size_t i, const struct p2p_endpoint *from, const uint8_t *data,
      size_t len)
{
    uint8_t *exact = malloc(len > 0 ? len : 1);

    MUST(exact != NULL);
    if (len > 0)
        memcpy(exact, data, len);
    p2p_channel_input(n->end[i], from, exact, len, n->now_us);
    free(exact);
}

static void
deliver(struct network *n, size_t to, uint8_t *data, size_t len)
{
    unsigned times = 1;

    if (to == 0) {
        times += n->is_doubled;
        if (n->is_damaged)
            data[n->place % len] ^= n->change;
        if (n->length > 0 && n->length < len)
            len = n->length;
        n->is_damaged = n->is_doubled = false;
        n->length = 0;
    }
    for (; times > 0; times--)
        input(n, to, &n->at[1 - to], data, len);
}

/* Each byte is the number of its place. */
static void
talk(struct network *n)
{
    static uint8_t written[256];
    const uint8_t *bytes;
    struct p2p_sctp *s = p2p_channel_stream(n->end[1]);
    size_t len;

    for (size_t i = 0; i < sizeof(written); i++)
        written[i] = (uint8_t)i;
    if (p2p_channel_is_open(n->end[1]) && p2p_sctp_room(s) >= sizeof(written))
        MUST(p2p_sctp_write(s, written, sizeof(written)) == sizeof(written));
    s = p2p_channel_stream(n->end[0]);
    while (s != NULL && (bytes = p2p_sctp_peek(s, &len)) != NULL) {
        for (size_t i = 0; i < len; i++)
            MUST(bytes[i] == (uint8_t)n->read++);
        p2p_sctp_drop(s, len);
    }
}

static void
pass(struct network *n, unsigned steps)
{
    uint8_t data[P2P_DTLS_DATAGRAM_MAX];
    struct p2p_endpoint to;
    size_t len;

    for (; steps > 0 && n->steps < STEPS_MAX; steps--, n->steps++) {
        for (size_t i = 0; i < 2; i++)
            for (int k = 0; k < 40 && (len = p2p_channel_output(n->end[i], n->now_us,
                                                                &to, data)) > 0;
                 k++) {
                MUST(len <= sizeof(data));
                if (p2p_endpoint_equal(&to, &n->at[1 - i]))
                    deliver(n, 1 - i, data, len);
            }
        talk(n);
        n->now_us += STEP_US;
    }
}

static void
one_step(struct network *n, struct p2p_rd *rd)
{
    uint8_t op = p2p_rd_get_u8(rd);

    if (op < 10) {
        pass(n, op);
    } else if (op < 30) {
        size_t len = p2p_rd_get_u8(rd);

        len = len < rd->left ? len : rd->left;
        input(n, 0, op < 20 ? &n->at[1] : &n->stranger, p2p_rd_get_ref(rd, len), len);
    } else if (op < 40) {
        n->is_damaged = true;
        n->place = p2p_rd_get_u8(rd);
        n->change = p2p_rd_get_u8(rd);
    } else if (op < 50) {
        n->is_doubled = true;
    } else {
        n->length = op;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct network n;
    struct p2p_rd rd;
    bool was_open = false;

    make_identities();
    begin(&n);
    p2p_rd_init(&rd, data, size);
    while (rd.left > 0) {
        one_step(&n, &rd);
        was_open = was_open || p2p_channel_is_open(n.end[0]);
        MUST(!was_open || p2p_channel_is_open(n.end[0]));
    }
    for (size_t i = 0; i < 2; i++)
        p2p_channel_free(n.end[i]);
    return 0;
}
