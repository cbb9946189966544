#include "cli/send/rendezvous.h"

#include <cjson/cJSON.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/about.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"

enum {
    /* How long the receiver has to prove the words. */
    PROOF_MS = 60000,
    POST_TRIES = 20,
    POST_PAUSE_MS = 250,
};

enum p2p_err
rendezvous_open(struct rendezvous *m, struct p2p_discovery *d,
                const struct p2p_stop *stop)
{
    struct p2p_box_number box;
    uint32_t number;
    enum p2p_err err = p2p_box_of_new_code(d, 0, stop, &number, &box);

    memset(m, 0, sizeof(*m));
    if (err == P2P_OK)
        err = p2p_code_make(number, &m->code);
    if (err == P2P_OK)
        err =
            p2p_exchange_begin(&m->exchange, P2P_EXCHANGE_SENDER, &m->code, &box, NULL);
    return err;
}

void
rendezvous_close(struct rendezvous *m)
{
    p2p_exchange_clear(&m->exchange);
    free(m->claim);
    p2p_wipe(m, sizeof(*m));
}

/* The receiver's box is there while it reads, which it does most of the time. */
static enum p2p_err
post(struct rendezvous *m, struct p2p_discovery *d, const char *text,
     const struct p2p_stop *stop)
{
    struct pollfd on = {.fd = p2p_stop_fd(stop), .events = POLLIN};
    char box[P2P_BOX_TEXT];
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    p2p_box_of_number(&m->exchange.reply, box);
    for (int i = 0; i < POST_TRIES && err == P2P_ERR_NOT_FOUND; i++) {
        if (i > 0 && poll(&on, 1, POST_PAUSE_MS) > 0)
            return P2P_ERR_CANCELLED;
        err = p2p_box_post(d, 0, box, text, stop);
    }
    return err;
}

/* ---- what comes ---- */

struct looking {
    struct rendezvous *rendezvous;
    struct p2p_discovery *discovery;
    const struct p2p_stop *stop;
    enum p2p_err err;
};

/* Reads who the other side is: its id counts, its name is only a claim. */
static bool
read_claim(struct rendezvous *m)
{
    cJSON *json = cJSON_Parse(m->claim);
    const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "id"));
    const char *name =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "name"));
    struct p2p_id parsed;
    bool is_good =
        id != NULL && p2p_hex_parse(id, parsed.b, sizeof(parsed.b)) == P2P_OK;

    if (is_good)
        p2p_hex_format(parsed.b, sizeof(parsed.b), m->peer_id);
    if (is_good && name != NULL && p2p_about_name_check(name, strlen(name)) == P2P_OK)
        snprintf(m->name, sizeof(m->name), "%s", name);
    else if (is_good)
        snprintf(m->name, sizeof(m->name), "%.8s", m->peer_id);
    cJSON_Delete(json);
    return is_good;
}

static void
take(void *arg, const char *text, size_t len)
{
    struct looking *l = arg;
    struct rendezvous *m = l->rendezvous;
    char *answer, *inner;
    enum p2p_exchange_news news =
        p2p_exchange_take(&m->exchange, text, len, NULL, &answer, &inner);

    if (m->state == RENDEZVOUS_WAITS && news != P2P_EXCHANGE_NOTHING) {
        m->state = RENDEZVOUS_CLAIMED;
        m->claimed_ms = p2p_now_ms();
    }
    if (answer != NULL && l->err == P2P_OK)
        l->err = post(m, l->discovery, answer, l->stop);
    if (news == P2P_EXCHANGE_WRONG)
        m->state = RENDEZVOUS_WRONG;
    if (news == P2P_EXCHANGE_DONE)
        m->state = RENDEZVOUS_DONE;
    if (news == P2P_EXCHANGE_PROVEN) {
        free(m->claim);
        m->claim = inner;
        inner = NULL;
        m->state = read_claim(m) ? RENDEZVOUS_PROVEN : RENDEZVOUS_WRONG;
    }
    free(answer);
    free(inner);
}

enum p2p_err
rendezvous_look(struct rendezvous *m, struct p2p_discovery *d, unsigned wait_s,
                const struct p2p_stop *stop)
{
    struct looking l = {m, d, stop, P2P_OK};
    char box[P2P_BOX_TEXT];
    const struct p2p_box_wait wait = {
        .box = box, .wait_s = wait_s, .is_code = true, .stop = stop};
    enum p2p_err err;

    p2p_box_of_number(&m->exchange.box, box);
    err = p2p_box_read(d, 0, &wait, &m->after, take, &l);
    if (err == P2P_ERR_NOT_FOUND) {
        /* It matters only if nobody has come. The one who has may still download. */
        if (m->state == RENDEZVOUS_WAITS || m->state == RENDEZVOUS_CLAIMED)
            m->state = RENDEZVOUS_LOST;
        return P2P_OK;
    }
    if (m->state == RENDEZVOUS_CLAIMED && p2p_now_ms() >= m->claimed_ms + PROOF_MS)
        m->state = RENDEZVOUS_ABANDONED;
    /* That the receiver has gone shows by its silence. */
    return err;
}

enum p2p_err
rendezvous_answer(struct rendezvous *m, struct p2p_discovery *d, const char *offer,
                  const struct p2p_stop *stop)
{
    char *text;
    enum p2p_err err = p2p_exchange_offer(&m->exchange, offer, &text);

    if (err == P2P_OK)
        err = post(m, d, text, stop);
    free(text);
    m->state = err == P2P_OK ? RENDEZVOUS_ANSWERED : RENDEZVOUS_ABANDONED;
    m->started_ms = p2p_now_ms();
    return err;
}
