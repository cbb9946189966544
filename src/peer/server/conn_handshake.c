/* Handles a client from its first byte until its identity is proven. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "peer/server/loop.h"
#include "peer/server/serve.h"

#define MAGIC_LEN 7

void
greeting_free(struct greeting *g)
{
    if (g == NULL)
        return;
    p2p_handshake_free(g->hs);
    if (g->one != NULL)
        p2p_session1_free(g->one->session);
    free(g->one);
    free(g);
}

/* At most this many log lines per second, so that a flood of handshakes does not flood
 * the log. */
#define REFUSALS_LOGGED_PER_S 10

static void
log_refusal(struct conn *c, enum p2p_err why)
{
    const struct p2p_handshake *hs = c->greeting->hs;
    struct server *s = c->loop->server;
    char id[P2P_ID_HEX_LEN + 1] = "?";
    uint64_t second = p2p_now_ms() / 1000;
    char address[INET6_ADDRSTRLEN] = "";
    uint8_t v6[16] = {0};

    if (atomic_exchange(&s->refusal_second, second) != second)
        s->refusals = 0;
    if (s->refusals++ >= REFUSALS_LOGGED_PER_S)
        return;
    memcpy(v6, c->source.key, sizeof(c->source.key));
    inet_ntop(c->source.is_v6 ? AF_INET6 : AF_INET, v6, address, sizeof(address));
    /* Logs the id of a refused peer, which is proven: the operator may want to allow
     * it. */
    if (hs != NULL && why == P2P_ERR_NOT_ALLOWED)
        p2p_hex_format(p2p_handshake_peer(hs)->b, sizeof(struct p2p_id), id);
    p2p_log_warn("handshake refused from=%s%s peer=%s error=%s reason=\"%s\"", address,
                 c->source.is_v6 ? "/64" : "", id, p2p_err_name(why),
                 hs != NULL ? p2p_handshake_reason(hs) : "");
}

/* The reaction to every failure: close without sending a byte. The reason goes to the
 * log only. */
static void
refuse(struct conn *c, enum p2p_err why)
{
    if (why == P2P_ERR_NOT_ALLOWED)
        c->ended = ADMISSION_REFUSED;
    else if (p2p_err_class(why) == P2P_CLASS_AUTH || why == P2P_ERR_MALFORMED ||
             why == P2P_ERR_PROTOCOL)
        c->ended = ADMISSION_WRONG;
    if (why != P2P_ERR_CLOSED || c->greeting->len > 0)
        log_refusal(c, why);
    conn_close(c, why);
}

/* Reads until the greeting has `want` bytes. MORE: not yet. */
static enum p2p_err
fill(struct conn *c, size_t want)
{
    struct greeting *g = c->greeting;

    while (g->len < want) {
        size_t got = 0;
        enum p2p_err err =
            p2p_net_try_read(c->fd, g->bytes + g->len, want - g->len, &got);
        if (err == P2P_ERR_BUSY) {
            c->readable = false;
            return P2P_ERR_MORE;
        }
        if (err != P2P_OK)
            return err;
        g->len += got;
    }
    return P2P_OK;
}

/* Steps that need the private key or the lists of peers run on a worker, and are paid
 * for once. */
static enum p2p_err
submit(struct conn *c, void (*run)(struct job *job), void (*resume)(struct conn *c))
{
    struct server *s = c->loop->server;
    struct greeting *g = c->greeting;
    enum p2p_err err;

    if (!g->has_worked && !admission_work(s->admission, &c->ticket, p2p_now_ms()))
        return P2P_ERR_RATE_LIMITED;
    g->has_worked = true;
    g->job.resume = resume;
    err = loop_submit(s->crypto, &g->job, run);
    return err == P2P_OK ? P2P_ERR_MORE : err;
}

/* ---- Protocol 2 ---- */

/* On a worker. */
static enum p2p_err
decide(struct conn *c, const struct p2p_id *id)
{
    struct server *s = c->loop->server;

    enum p2p_err err;

    c->access_generation = s->access_generation; /* before the lists are read */
    if (c->is_relayed && !p2p_id_equal(id, &c->caller))
        return P2P_ERR_NOT_ALLOWED;
    err = access_check(s->opt.access, id, c->is_outside, &c->standing);
    c->is_known = c->standing.is_known || c->is_relayed;
    return err;
}

static void
decide_and_sign(struct job *job)
{
    struct conn *c = ((struct conn_job *)job)->conn;
    struct greeting *g = c->greeting;

    if (p2p_handshake_next(g->hs) == P2P_HS_TRUST) {
        enum p2p_err verdict = decide(c, p2p_handshake_peer(g->hs));
        g->verdict = p2p_handshake_trust(g->hs, verdict);
    }
    if (g->verdict == P2P_OK)
        g->verdict = p2p_handshake_work(g->hs);
}

static void
signed_or_refused(struct conn *c)
{
    if (c->greeting->verdict != P2P_OK)
        refuse(c, c->greeting->verdict);
    else
        conn_greet(c);
}

/* Handshakes have a share of the rate limit for themselves. They do not wait behind
 * other data, and a flood of handshakes leaves most of the limit to other data. */
static bool
may_greet(struct conn *c)
{
    uint64_t wait_us = p2p_rate_take(&c->loop->server->greeting_rate, P2P_M4_SIZE,
                                     p2p_now_ms() * 1000);

    if (wait_us > 0)
        loop_throttle(c->loop, c, wait_us);
    return wait_us == 0;
}

static enum p2p_err
send_message(struct conn *c)
{
    uint8_t out[P2P_M4_SIZE];
    struct p2p_nonce nonce;
    size_t len = 0;
    enum p2p_err err;

    if ((err = p2p_random(&nonce, sizeof(nonce))) != P2P_OK ||
        (err = p2p_handshake_write(c->greeting->hs, &nonce, out, &len)) != P2P_OK)
        return err;
    return conn_send(c, out, len);
}

static enum p2p_err
read_message(struct conn *c)
{
    struct greeting *g = c->greeting;
    enum p2p_err err = fill(c, p2p_handshake_want(g->hs));

    if (err != P2P_OK)
        return err;
    if (c->timer == TIMER_FIRST)
        loop_set_timer_at(c->loop, c, TIMER_HANDSHAKE, g->deadline_ms);
    err = p2p_handshake_read(g->hs, g->bytes, g->len);
    g->len = 0;
    return err;
}

static enum p2p_err
finish2(struct conn *c)
{
    struct greeting *g = c->greeting;
    struct p2p_id id = *p2p_handshake_peer(g->hs);
    enum p2p_err err =
        p2p_handshake_take_session(g->hs, p2p_now_ms() / 1000, &c->out, &c->in);

    if (err == P2P_OK)
        conn_opened(c, CONN_OPEN2, &id);
    return err;
}

/* Runs the steps of the handshake until it has to wait (MORE) or is done. */
static enum p2p_err
advance2(struct conn *c)
{
    struct greeting *g = c->greeting;
    enum p2p_err err = P2P_OK;

    while (err == P2P_OK) {
        switch (p2p_handshake_next(g->hs)) {
        case P2P_HS_READ:
            err = read_message(c);
            break;
        case P2P_HS_WRITE:
            err = may_greet(c) ? send_message(c) : P2P_ERR_MORE;
            break;
        case P2P_HS_TRUST:
        case P2P_HS_WORK:
            return submit(c, decide_and_sign, signed_or_refused);
        case P2P_HS_DONE:
            return finish2(c);
        case P2P_HS_FAILED:
            return P2P_ERR_AUTH;
        }
    }
    return err;
}

static enum p2p_err
begin2(struct conn *c)
{
    struct p2p_handshake_random rnd;
    enum p2p_err err = p2p_random(&rnd, sizeof(rnd));

    if (err == P2P_OK)
        err = p2p_handshake_new(P2P_SERVER,
                                p2p_identity_key(c->loop->server->opt.identity), &rnd,
                                &c->greeting->hs);
    p2p_wipe(&rnd, sizeof(rnd));
    return err;
}

/* ---- Protocol 1 ---- */

static enum p2p_err
make_answer1(struct greeting1 *one)
{
    struct p2p_secret key;
    enum p2p_err err;

    if ((err = p2p_random(&key, sizeof(key))) == P2P_OK &&
        (err = p2p_session1_offer(&one->spki, &key, one->answer)) == P2P_OK)
        err = p2p_session1_new(&key, &one->session);
    p2p_wipe(&key, sizeof(key));
    return err;
}

/* The id is only a claim until a frame was decrypted. A blocked peer that claims its
 * own id is refused here; one that claims another id cannot decrypt the answer. */
static void
decide_and_answer1(struct job *job)
{
    struct conn *c = ((struct conn_job *)job)->conn;
    struct greeting *g = c->greeting;

    g->verdict = decide(c, &g->one->id);
    if (g->verdict == P2P_OK)
        g->verdict = make_answer1(g->one);
}

static enum p2p_err
send_answer1(struct conn *c)
{
    struct greeting *g = c->greeting;
    struct p2p_id id = g->one->id;
    enum p2p_err err = g->verdict;

    if (err != P2P_OK ||
        (err = conn_send(c, g->one->answer, sizeof(g->one->answer))) != P2P_OK ||
        (err = conn_unread(c, g->bytes + g->one->used, g->len - g->one->used)) !=
            P2P_OK)
        return err;
    c->session1 = g->one->session;
    g->one->session = NULL;
    conn_opened(c, CONN_OPEN1, &id);
    return P2P_OK;
}

static void
answered_or_refused1(struct conn *c)
{
    enum p2p_err err = send_answer1(c);

    if (err != P2P_OK)
        refuse(c, err);
}

static enum p2p_err
advance1(struct conn *c)
{
    struct greeting *g = c->greeting;
    struct greeting1 *one = g->one;
    enum p2p_err err;

    if (one == NULL && (one = g->one = calloc(1, sizeof(*one))) == NULL)
        return P2P_ERR_NOMEM;
    /* Reads the available bytes, up to the maximum size of a HELLO, which ends with its
     * key. */
    err = fill(c, sizeof(g->bytes));
    if (err != P2P_OK && err != P2P_ERR_MORE)
        return err;
    err = p2p_hello1_parse(g->bytes, g->len, &one->spki, &one->id, &one->used);
    if (err == P2P_ERR_MORE && g->len == sizeof(g->bytes))
        return P2P_ERR_MALFORMED;
    if (err != P2P_OK)
        return err;
    return may_greet(c) ? submit(c, decide_and_answer1, answered_or_refused1)
                        : P2P_ERR_MORE;
}

/* ---- Which one ---- */

static bool
may_speak_1(const struct conn *c)
{
    const struct server_options *opt = &c->loop->server->opt;

    return opt->protocol_1 && !c->is_relayed && !access_needs_proof(opt->access) &&
           (!c->is_outside || p2p_access_is_public(c->loop->rules));
}

static enum p2p_err
advance(struct conn *c)
{
    struct greeting *g = c->greeting;
    enum p2p_err err;

    if (g->hs != NULL)
        return advance2(c);
    if ((err = fill(c, MAGIC_LEN)) != P2P_OK)
        return err;
    if (memcmp(g->bytes, "HELLO|", 6) == 0)
        return may_speak_1(c) ? advance1(c) : P2P_ERR_NOT_ALLOWED;
    if (memcmp(g->bytes, "HELLO2|", MAGIC_LEN) != 0)
        return P2P_ERR_MALFORMED;
    err = begin2(c);
    return err == P2P_OK ? advance2(c) : err;
}

void
conn_greet(struct conn *c)
{
    enum p2p_err err = advance(c);

    if (err != P2P_OK && err != P2P_ERR_MORE)
        refuse(c, err);
}
