#include "cli/send/direct.h"

#include <cjson/cJSON.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/ask/peers.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/conn.h"
#include "p2p/net.h"

enum {
    ASK_EVERY_MS = 2000,
    OFFLINE_EVERY_MS = 5000,
    RENEW_MS = 20000,
    LOOK_MS = 500,
    QUIET_MS = 120000, /* nothing was downloaded for this long: it has ended */
};

struct sending {
    const struct direct *d;
    struct p2p_identity *identity;
    struct p2p_discovery *discovery;
    struct cli_peer peer;
    char name[CLI_TEXT];
    struct p2p_offer offer;
    struct p2p_conn *conn;
    enum p2p_offer_state state;
    uint64_t ends_ms, renewed_ms;
    bool was_said, is_offline;
};

static void
event(const struct sending *s, const char *what, const char *text)
{
    cJSON *object;

    if (!s->d->common->json) {
        if (!s->d->quiet)
            cli_say("%s %s", s->name, text);
        return;
    }
    object = cli_object();
    cli_put_text(object, "event", what);
    cli_put_hex(object, "peer_id", s->peer.id.b, true);
    cli_put_text(object, "name", s->name);
    cli_print_json(object);
    fflush(stdout);
}

static void
rest(const struct sending *s, int ms)
{
    struct pollfd on = {.fd = p2p_stop_fd(s->d->stop), .events = POLLIN};

    poll(&on, 1, ms);
}

/* The running peer forgets an offer whose program it does not hear of. */
static enum p2p_err
renew(struct sending *s)
{
    cJSON *answer;

    if (s->d->carrier->count == 0 || p2p_now_ms() < s->renewed_ms + RENEW_MS)
        return P2P_OK;
    s->renewed_ms = p2p_now_ms();
    if ((answer = carrier_status(s->d->carrier)) == NULL) {
        cli_say("p2p-peer, which serves the files, has ended; run the command again");
        return P2P_ERR_CLOSED;
    }
    cJSON_Delete(answer);
    return P2P_OK;
}

static enum p2p_err
connect_to(struct sending *s)
{
    const struct p2p_reach reach = {.identity = s->identity, .discovery = s->discovery};
    struct p2p_addr others[P2P_CONN_OTHERS_MAX];
    const struct p2p_conn_options options = {
        .identity = s->identity,
        .addr = s->peer.addr,
        .expected = &s->peer.id,
        .expected_by_user = true,
        .protocol = 2,
        .timeout_ms = s->d->common->timeout_ms,
        .others = others,
        .other_count = p2p_addr_list_read(s->peer.others, others, P2P_CONN_OTHERS_MAX),
        .reach = s->discovery != NULL ? &reach : NULL,
        .is_unreached = s->peer.is_unreached,
    };
    enum p2p_err err = P2P_OK;

    if (s->conn != NULL)
        return P2P_OK;
    err = p2p_conn_open(&options, &s->conn);
    if (err == P2P_OK)
        p2p_conn_remember(s->conn);
    return err;
}

/* Its failures pass, or they do not. */
static bool
may_pass(enum p2p_err err)
{
    return err == P2P_ERR_UNREACHABLE || err == P2P_ERR_TIMEOUT ||
           err == P2P_ERR_CLOSED || err == P2P_ERR_REFUSED || err == P2P_ERR_BUSY;
}

static enum p2p_err
ask_once(struct sending *s)
{
    enum p2p_err err = connect_to(s);

    if (err == P2P_OK)
        err = p2p_conn_offer(s->conn, &s->offer, &s->state);
    if (err == P2P_OK) {
        if (!s->was_said && s->state == P2P_OFFER_SHOWN)
            event(s, "offered", "is asked; waiting for the answer (Ctrl-C stops)");
        s->was_said = true;
        s->is_offline = false;
        return P2P_OK;
    }
    p2p_conn_close(s->conn);
    s->conn = NULL;
    if (!may_pass(err)) {
        cli_say(
            "%s: %s", s->name,
            err == P2P_ERR_UNSUPPORTED
                ? "its program is too old to be asked; update it, or send by a code "
                  "(without --to)"
                : p2p_err_text(err));
        return err;
    }
    if (!s->is_offline)
        event(s, "offline", "cannot be reached now; trying again");
    s->is_offline = true;
    return P2P_OK;
}

static enum p2p_err
ask_until_decided(struct sending *s)
{
    enum p2p_err err = P2P_OK;

    while (err == P2P_OK) {
        s->state = P2P_OFFER_SHOWN;
        if ((err = ask_once(s)) != P2P_OK || s->state != P2P_OFFER_SHOWN)
            break;
        rest(s, s->is_offline ? OFFLINE_EVERY_MS : ASK_EVERY_MS);
        if (p2p_stop_is_set(s->d->stop)) {
            cli_say("stopped; nothing was sent");
            err = P2P_ERR_CANCELLED;
        } else if (p2p_now_ms() >= s->ends_ms) {
            cli_say("%s has not answered", s->name);
            err = P2P_ERR_TIMEOUT;
        } else
            err = renew(s);
    }
    if (err != P2P_OK || s->state == P2P_OFFER_ACCEPTED)
        return err;
    if (s->state == P2P_OFFER_DECLINED)
        event(s, "declined", "has declined");
    else
        event(s, "refused",
              "does not take offers from this device now: it has too many, or allows "
              "none");
    return P2P_ERR_NOT_ALLOWED;
}

/* ---- serving ---- */

static uint64_t
sent_to(const struct sending *s, const cJSON *status, bool *is_running)
{
    const cJSON *upload;
    char hex[P2P_ID_HEX_LEN + 1];
    uint64_t sent = 0;

    p2p_hex_format(s->peer.id.b, sizeof(s->peer.id.b), hex);
    cJSON_ArrayForEach(upload, cJSON_GetObjectItemCaseSensitive(status, "uploads"))
    {
        const char *id =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(upload, "peer_id"));
        const cJSON *n = cJSON_GetObjectItemCaseSensitive(upload, "sent");
        if (id == NULL || strcmp(id, hex) != 0 || !cJSON_IsNumber(n))
            continue;
        sent += (uint64_t)n->valuedouble;
        *is_running |=
            cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(upload, "running"));
    }
    return sent;
}

static void
draw(const struct sending *s, uint64_t sent)
{
    char text[CLI_SHORT];
    uint64_t size = *s->d->size > 0 ? *s->d->size : 1;

    if (s->d->quiet || s->d->common->json || !isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r\033[K%s: %u %%, %s", s->name,
            (unsigned)(sent >= size ? 100 : sent * 100 / size), cli_size(sent, text));
    fflush(stderr);
}

static enum p2p_err
serve_until_sent(struct sending *s)
{
    uint64_t last = 0, moved_ms = p2p_now_ms();
    enum p2p_err err = P2P_OK;

    event(s, "accepted", "has accepted");
    while (err == P2P_OK && last < *s->d->size) {
        cJSON *status = carrier_status(s->d->carrier);
        bool is_running = false;
        uint64_t sent = sent_to(s, status, &is_running);

        if (status == NULL) {
            cli_say("p2p-peer, which serves the files, has ended; run the command "
                    "again");
            return P2P_ERR_CLOSED;
        }
        cJSON_Delete(status);
        if (sent != last || is_running)
            moved_ms = p2p_now_ms();
        last = sent;
        draw(s, sent);
        if (last >= *s->d->size)
            break;
        if (p2p_now_ms() - moved_ms > QUIET_MS)
            err = P2P_ERR_TIMEOUT;
        else if (p2p_stop_is_set(s->d->stop))
            err = P2P_ERR_CANCELLED;
        else
            rest(s, LOOK_MS);
    }
    draw(s, last);
    if (isatty(STDERR_FILENO) && !s->d->common->json && !s->d->quiet)
        fputc('\n', stderr);
    if (err == P2P_OK)
        event(s, "done", "has everything");
    else
        cli_say(err == P2P_ERR_CANCELLED
                    ? "stopped; run the command again to send the rest"
                    : "%s has stopped downloading; it may have had the files already",
                s->name);
    return err;
}

/* ---- beginning ---- */

static enum p2p_err
begin(struct sending *s)
{
    const struct direct *d = s->d;
    enum p2p_err err = cli_open_identity(d->common, &s->identity);
    char hex[P2P_ID_HEX_LEN + 1];

    if (err == P2P_OK)
        err = cli_resolve_peer(d->common, s->identity, d->to, &s->peer);
    if (err == P2P_OK && !s->peer.id_known) {
        struct p2p_id id;
        if ((err = cli_resolve_id(d->common, s->identity, d->to, &id)) == P2P_OK)
            s->peer.id = id;
    }
    if (err == P2P_OK)
        err = cli_open_discovery(d->common, &s->discovery);
    if (err != P2P_OK)
        return err;
    p2p_hex_format(s->peer.id.b, sizeof(s->peer.id.b), hex);
    cli_text(s->peer.called[0] != '\0' ? s->peer.called : d->to, s->name);
    if (d->carrier->count > 0 && (err = carrier_allow(d->carrier, hex)) != P2P_OK) {
        cli_say("cannot give the files to %s: %s", s->name, p2p_err_text(err));
        return err;
    }
    s->renewed_ms = p2p_now_ms();
    s->ends_ms = p2p_now_ms() + d->expires_ms;
    s->offer = (struct p2p_offer){.expires_s = p2p_time_s() + d->expires_ms / 1000,
                                  .files = d->carrier->files,
                                  .count = d->carrier->count,
                                  .text = d->text};
    return p2p_random(s->offer.id, sizeof(s->offer.id));
}

int
direct_send(const struct direct *d)
{
    struct sending s = {.d = d};
    enum p2p_err err = begin(&s);

    if (err == P2P_OK)
        err = ask_until_decided(&s);
    if (err == P2P_OK && d->carrier->count > 0)
        err = serve_until_sent(&s);
    else if (err == P2P_OK)
        event(&s, "done", "has received the text");
    p2p_conn_close(s.conn);
    p2p_discovery_close(s.discovery);
    p2p_identity_close(s.identity);
    return p2p_err_exit_status(err);
}
