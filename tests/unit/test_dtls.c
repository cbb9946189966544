#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/crypto/dtls.h"
#include "p2p/clock.h"
#include "patience.h"

enum { CLIENT, SERVER };

struct pair {
    struct p2p_dtls_identity *identity[2];
    struct p2p_dtls *end[2];
    enum p2p_err err[2];
};

static void
begin(struct pair *p, bool is_wrong)
{
    memset(p, 0, sizeof(*p));
    for (int i = 0; i < 2; i++)
        assert_int_equal(p2p_dtls_identity_new(&p->identity[i]), P2P_OK);
    for (int i = 0; i < 2; i++) {
        struct p2p_dtls_options opt = {
            .identity = p->identity[i],
            .peer = *p2p_dtls_fingerprint(p->identity[1 - i]),
            .is_client = i == CLIENT,
        };

        opt.peer.b[7] ^= is_wrong && i == CLIENT;
        assert_int_equal(p2p_dtls_new(&opt, &p->end[i]), P2P_OK);
    }
}

static void
end(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        p2p_dtls_free(p->end[i]);
        p2p_dtls_identity_free(p->identity[i]);
    }
}

static void
keep_error(struct pair *p, int i, enum p2p_err err)
{
    if (p->err[i] == P2P_OK)
        p->err[i] = err;
}

/* Moves what both have to send; each so-many-th datagram is lost. True if there was
 * any. */
static bool
move(struct pair *p, unsigned lost, unsigned *count)
{
    uint8_t datagram[P2P_DTLS_DATAGRAM_MAX], out[P2P_DTLS_DATAGRAM_MAX];
    bool has_moved = false;
    size_t len, out_len;

    for (int i = 0; i < 2; i++)
        while ((len = p2p_dtls_output(p->end[i], datagram)) > 0) {
            has_moved = true;
            if (lost > 0 && ++*count % lost == 0)
                continue;
            keep_error(p, 1 - i,
                       p2p_dtls_input(p->end[1 - i], datagram, len, out, &out_len));
            assert_int_equal(out_len, 0);
        }
    return has_moved;
}

static void
shake_hands(struct pair *p, unsigned lost)
{
    uint64_t give_up = patience_end_ms();
    unsigned count = 0;

    for (int i = 0; i < 2; i++)
        keep_error(p, i, p2p_dtls_advance(p->end[i]));
    while (p->err[CLIENT] == P2P_OK && p->err[SERVER] == P2P_OK &&
           !(p2p_dtls_is_open(p->end[CLIENT]) && p2p_dtls_is_open(p->end[SERVER]))) {
        assert_true(p2p_now_ms() < give_up);
        if (move(p, lost, &count))
            continue;
        usleep(1000);
        for (int i = 0; i < 2; i++)
            if (p2p_dtls_timeout_us(p->end[i]) == 0)
                keep_error(p, i, p2p_dtls_advance(p->end[i]));
    }
}

static void
send_one(struct pair *p, int from, size_t size)
{
    uint8_t sent[P2P_DTLS_DATAGRAM_MAX], datagram[P2P_DTLS_DATAGRAM_MAX],
        got[P2P_DTLS_DATAGRAM_MAX];
    size_t len, got_len;

    /* A slow handshake has repeated messages, which can still be on their way. */
    while (p2p_dtls_output(p->end[from], datagram) > 0)
        ;
    memset(sent, 'a' + from, sizeof(sent));
    assert_int_equal(p2p_dtls_seal(p->end[from], sent, size), P2P_OK);
    len = p2p_dtls_output(p->end[from], datagram);
    assert_int_equal(len, size + P2P_DTLS_OVERHEAD);
    assert_int_equal(p2p_dtls_input(p->end[1 - from], datagram, len, got, &got_len),
                     P2P_OK);
    assert_int_equal(got_len, size);
    assert_memory_equal(got, sent, size);
    /* The same one again, and one that was changed, are dropped. */
    assert_int_equal(p2p_dtls_input(p->end[1 - from], datagram, len, got, &got_len),
                     P2P_OK);
    assert_int_equal(got_len, 0);
    assert_int_equal(p2p_dtls_seal(p->end[from], sent, size), P2P_OK);
    len = p2p_dtls_output(p->end[from], datagram);
    datagram[len - 1] ^= 1;
    assert_int_equal(p2p_dtls_input(p->end[1 - from], datagram, len, got, &got_len),
                     P2P_OK);
    assert_int_equal(got_len, 0);
}

static void
packets_pass(void **state)
{
    struct pair p;

    (void)state;
    begin(&p, false);
    assert_int_equal(p2p_dtls_seal(p.end[CLIENT], (const uint8_t *)"x", 1),
                     P2P_ERR_BUSY);
    shake_hands(&p, 0);
    assert_int_equal(p.err[CLIENT], P2P_OK);
    assert_int_equal(p.err[SERVER], P2P_OK);
    send_one(&p, CLIENT, 1);
    send_one(&p, SERVER, 1400);
    end(&p);
}

static void
handshake_with_losses(void **state)
{
    struct pair p;

    (void)state;
    begin(&p, false);
    shake_hands(&p, 4);
    assert_int_equal(p.err[CLIENT], P2P_OK);
    assert_int_equal(p.err[SERVER], P2P_OK);
    send_one(&p, CLIENT, 100);
    end(&p);
}

static void
another_certificate_is_refused(void **state)
{
    struct pair p;

    (void)state;
    begin(&p, true);
    shake_hands(&p, 0);
    assert_int_equal(p.err[CLIENT], P2P_ERR_AUTH);
    assert_false(p2p_dtls_is_open(p.end[CLIENT]));
    assert_false(p2p_dtls_is_open(p.end[SERVER]));
    end(&p);
}

static void
noise_does_no_harm(void **state)
{
    static const uint8_t noise[] = {22, 254, 253, 0, 0, 0, 0, 0,
                                    0,  0,   0,   0, 3, 1, 2, 3};
    uint8_t out[P2P_DTLS_DATAGRAM_MAX];
    struct pair p;
    size_t len;

    (void)state;
    begin(&p, false);
    shake_hands(&p, 0);
    for (size_t n = 0; n <= sizeof(noise); n++) {
        assert_int_equal(p2p_dtls_input(p.end[SERVER], noise, n, out, &len), P2P_OK);
        assert_int_equal(len, 0);
    }
    send_one(&p, CLIENT, 10);
    end(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_pass),
        cmocka_unit_test(handshake_with_losses),
        cmocka_unit_test(another_certificate_is_refused),
        cmocka_unit_test(noise_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
