/* Sessions from the join of two clients until their end. */
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/log.h"
#include "relay/relay_internal.h"

enum { PIPE_MIN = 4096, PIPE_MAX = 256 << 10 };

static void
log_session(const struct session *s, const char *what)
{
    char from[P2P_ID_HEX_LEN + 1], to[P2P_ID_HEX_LEN + 1];

    p2p_hex_format(s->token.from.b, sizeof(s->token.from.b), from);
    p2p_hex_format(s->token.to.b, sizeof(s->token.to.b), to);
    p2p_log_info("session %s from=%.16s to=%.16s bytes=%llu seconds=%llu", what, from,
                 to, (unsigned long long)s->bytes,
                 (unsigned long long)((p2p_now_ms() - s->started_ms) / 1000));
}

static void
end_session(struct relay *r, struct session *s, const char *why)
{
    log_session(s, why);
    TAILQ_REMOVE(&r->sessions, s, link);
    r->stats.sessions = --r->session_count;
    accounts_close(r->accounts, &s->bill);
    session_free(s); /* closing the descriptors takes them out of epoll */
}

static size_t
pipe_size(const struct relay_limits *limits)
{
    uint64_t share = limits->max_memory / 2 / limits->max_sessions;
    size_t size = PIPE_MIN;

    while (size < PIPE_MAX && size * 2 <= share)
        size *= 2;
    return size;
}

static uint64_t
rate_now(const struct relay_limits *limits)
{
    time_t now = time(NULL);
    struct tm local;

    localtime_r(&now, &local);
    return p2p_timetable_rate(&limits->rates,
                              (unsigned)(local.tm_hour * 60 + local.tm_min));
}

static enum relay_refusal
refusal_of(enum accounts_verdict verdict)
{
    return verdict == ACCOUNTS_QUOTA ? RELAY_QUOTA : RELAY_BUSY;
}

/* Both have shown their token. P2P_OK, and the clients are gone. */
static enum p2p_err
begin(struct relay *r, struct client *caller, struct client *callee,
      struct accounts_bill *bill)
{
    const struct p2p_relay_token token = caller->token;
    const struct relay_limits *limits = &r->opt.limits;
    uint64_t bytes = token.bytes, other = callee->token.bytes;
    int caller_fd = client_release(r, caller), callee_fd = client_release(r, callee);
    struct session *s;
    enum p2p_err err = session_new(caller_fd, callee_fd, pipe_size(limits),
                                   rate_now(limits), &r->rate, &s);

    if (err != P2P_OK)
        return err;
    s->token = token;
    s->token.bytes = bytes == 0 || (other != 0 && other < bytes) ? other : bytes;
    s->bill = *bill;
    TAILQ_INSERT_TAIL(&r->sessions, s, link);
    r->stats.sessions = ++r->session_count;
    r->stats.sessions_total++;
    memset(bill, 0, sizeof(*bill));
    for (int i = 0; i < 2; i++) {
        struct epoll_event on = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                 .data.ptr = &s->sides[i]};
        if (send(s->sides[i].end.fd, "+\n", 2, MSG_NOSIGNAL | MSG_DONTWAIT) != 2 ||
            epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, s->sides[i].end.fd, &on) != 0) {
            end_session(r, s, "failed");
            return P2P_OK;
        }
    }
    s->is_due = true;
    log_session(s, "begins");
    return P2P_OK;
}

void
sessions_join(struct relay *r, struct client *caller, struct client *callee)
{
    const struct account_key keys[ACCOUNTS_OF_SESSION] = {
        account_key_of_peer(&caller->token.from),
        account_key_of_peer(&caller->token.to),
        caller->source,
        callee->source,
    };
    enum accounts_verdict verdict = ACCOUNTS_BUSY;
    struct accounts_bill bill = {{0}};

    if (r->session_count < r->opt.limits.max_sessions)
        verdict = accounts_open(r->accounts, keys, p2p_time_s(), &bill);
    r->stats.accounts = accounts_count(r->accounts);
    if (verdict != ACCOUNTS_YES) {
        client_refuse(r, caller, refusal_of(verdict));
        client_refuse(r, callee, refusal_of(verdict));
        return;
    }
    if (begin(r, caller, callee, &bill) != P2P_OK) {
        accounts_close(r->accounts, &bill);
        clients_count_refusal(r, RELAY_BUSY);
    }
}

static void
run_one(struct relay *r, struct session *s, uint64_t now_us)
{
    static const char *const ends[] = {
        [SESSION_DONE] = "ended",
        [SESSION_BROKEN] = "broken",
        [SESSION_QUOTA] = "stopped by a quota",
    };
    uint64_t before = s->bytes;
    enum session_end end = session_run(s, r->accounts, now_us, p2p_time_s());

    r->stats.bytes_total += s->bytes - before;
    if (end == SESSION_AGAIN)
        s->is_due = true;
    else if (end != SESSION_RUNS)
        end_session(r, s, ends[end]);
}

uint64_t
sessions_run(struct relay *r)
{
    uint64_t now_us = p2p_now_us(), before = r->stats.bytes_total;
    struct session *s, *next;

    for (s = TAILQ_FIRST(&r->sessions); s != NULL; s = next) {
        next = TAILQ_NEXT(s, link);
        if (s->is_due || (s->resume_at_us != 0 && s->resume_at_us <= now_us))
            run_one(r, s, now_us);
    }
    return r->stats.bytes_total - before;
}

void
sessions_expire(struct relay *r, uint64_t now_ms)
{
    const struct relay_limits *limits = &r->opt.limits;
    struct session *s, *next;

    for (s = TAILQ_FIRST(&r->sessions); s != NULL; s = next) {
        next = TAILQ_NEXT(s, link);
        if (now_ms - s->started_ms >= limits->max_time_ms)
            end_session(r, s, "ended by --max-time");
        else if (now_ms - s->last_byte_ms >= limits->idle_timeout_ms)
            end_session(r, s, "was idle");
    }
}

void
sessions_on_event(struct session_side *side, uint32_t events)
{
    bool has_failed = (events & (EPOLLERR | EPOLLHUP)) != 0;

    side->end.readable |= has_failed || (events & (EPOLLIN | EPOLLRDHUP)) != 0;
    side->end.writable |= has_failed || (events & EPOLLOUT) != 0;
    side->session->is_due = true;
}

void
sessions_close(struct relay *r)
{
    struct session *s;

    while ((s = TAILQ_FIRST(&r->sessions)) != NULL)
        end_session(r, s, "ended by the stop of the relay");
}
