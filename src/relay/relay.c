#include "relay/relay.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/io.h"
#include "p2p/log.h"
#include "relay/relay_internal.h"

enum {
    EVENTS_PER_TURN = 64,
    LOOK_MS = 1000,
    PIPE_MIN = 4096,
    PIPE_MAX = 256 << 10,
    BULK_BYTES = 16 << 10, /* moved in one turn: a file goes through */
    GATHER_US = 2000,
};

const char *
relay_refusal_name(enum relay_refusal why)
{
    static const char *const names[RELAY_REFUSALS] = {
        [RELAY_BAD_TOKEN] = "bad_token", [RELAY_EXPIRED] = "expired",
        [RELAY_USED] = "used",           [RELAY_ALONE] = "alone",
        [RELAY_BUSY] = "busy",           [RELAY_QUOTA] = "quota",
    };

    return (unsigned)why < RELAY_REFUSALS ? names[why] : "unknown";
}

void
relay_count_refusal(struct relay *r, enum relay_refusal why)
{
    r->stats.refused[why]++;
}

/* ---- sessions ---- */

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
relay_join(struct relay *r, struct client *caller, struct client *callee)
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
        relay_count_refusal(r, RELAY_BUSY);
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

/* One turn for each session that has something to do. Returns the bytes that came in.
 */
static uint64_t
run_sessions(struct relay *r)
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

static void
expire_sessions(struct relay *r, uint64_t now_ms)
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

/* ---- turns ---- */

/* New limits of all sessions together apply at once. New limits of one session apply to
 * later sessions. */
static void
apply_limits(struct relay *r)
{
    struct relay_limits *limits = &r->opt.limits;

    p2p_lock(&r->lock);
    *limits = r->new_limits;
    p2p_unlock(&r->lock);
    p2p_rate_set(&r->rate, limits->rate_in_total, p2p_now_us());
    accounts_set_limits(r->accounts, &(struct accounts_limits){
                                         .sessions_per_peer = limits->max_per_peer,
                                         .quota_per_peer = limits->quota_per_peer,
                                         .quota_in_total = limits->quota_in_total,
                                         .max = RELAY_ACCOUNTS_MAX,
                                     });
}

static void
resume_accept(struct relay *r, uint64_t now_ms)
{
    struct epoll_event on = {.events = EPOLLIN, .data.ptr = &r->listener_watch};

    if (r->accept_again_ms == 0 || now_ms < r->accept_again_ms)
        return;
    r->accept_again_ms = 0;
    epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->opt.listener, &on);
}

/* At the limits of time. */
static void
look(struct relay *r)
{
    uint64_t now_ms = p2p_now_ms();

    if (now_ms < r->next_look_ms)
        return;
    r->next_look_ms = now_ms + r->opt.look_ms;
    clients_expire(r, now_ms);
    expire_sessions(r, now_ms);
    (void)tickets_expire(r->tickets, p2p_time_s());
}

/* Milliseconds until there is something to do without an event. */
static int
sleep_ms(const struct relay *r)
{
    uint64_t now_us = p2p_now_us(), next_us = now_us + 1000ull * r->opt.look_ms;
    const struct session *s;

    if (TAILQ_EMPTY(&r->clients) && TAILQ_EMPTY(&r->sessions))
        return r->accept_again_ms != 0 ? (int)r->opt.look_ms : -1;
    TAILQ_FOREACH(s, &r->sessions, link)
    {
        if (s->is_due)
            return 0;
        if (s->resume_at_us != 0 && s->resume_at_us < next_us)
            next_us = s->resume_at_us;
    }
    return next_us <= now_us ? 0 : (int)((next_us - now_us) / 1000) + 1;
}

static void
on_session_event(struct session_side *side, uint32_t events)
{
    bool has_failed = (events & (EPOLLERR | EPOLLHUP)) != 0;

    side->end.readable |= has_failed || (events & (EPOLLIN | EPOLLRDHUP)) != 0;
    side->end.writable |= has_failed || (events & EPOLLOUT) != 0;
    side->session->is_due = true;
}

static void
on_wake(struct relay *r)
{
    eventfd_t count;

    (void)!eventfd_read(r->wake_fd, &count);
    if (atomic_exchange(&r->has_new_limits, false))
        apply_limits(r);
}

/* Packets arrive one by one, and to be woken for each costs more than to move it. While
 * a file goes through, the next turn waits for more to arrive; single messages do not
 * wait. Measured at 400 Mbit/s without offloads: a third of the CPU time, the same
 * rate. */
static void
gather(const struct relay *r, uint64_t moved)
{
    if (moved >= BULK_BYTES && sleep_ms(r) != 0)
        usleep(GATHER_US);
}

/* Sessions are ended after the events were read, clients while they are read: an event
 * of a client that an earlier one has ended must not be looked at. So at most one
 * client is handled for each epoll_wait. */
static void
turn(struct relay *r)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int n = epoll_wait(r->epoll_fd, events, EVENTS_PER_TURN, sleep_ms(r));
    struct watched *client = NULL;

    for (int i = 0; i < n; i++) {
        struct watched *watched = events[i].data.ptr;
        if (watched->kind == WATCHED_SESSION)
            on_session_event((struct session_side *)watched, events[i].events);
        else if (watched->kind == WATCHED_WAKE)
            on_wake(r);
        else if (client == NULL)
            client = watched; /* level-triggered: the others are told again */
    }
    if (client != NULL && client->kind == WATCHED_CLIENT)
        client_on_event(r, (struct client *)client);
    else if (client != NULL)
        clients_accept(r);
    gather(r, run_sessions(r));
    look(r);
    resume_accept(r, p2p_now_ms());
}

static void *
relay_main(void *arg)
{
    struct relay *r = arg;

    while (!r->is_stopping)
        turn(r);
    return NULL;
}

/* ---- life ---- */

static enum p2p_err
open_parts(struct relay *r)
{
    const struct accounts_limits none = {.max = RELAY_ACCOUNTS_MAX};
    struct epoll_event on_listen = {.events = EPOLLIN, .data.ptr = &r->listener_watch};
    struct epoll_event on_wake_up = {.events = EPOLLIN, .data.ptr = &r->wake_watch};
    enum p2p_err err;

    if ((err = tickets_new(RELAY_TICKETS_MAX, &r->tickets)) != P2P_OK ||
        (err = accounts_new(&none, &r->accounts)) != P2P_OK)
        return err;
    apply_limits(r);
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->epoll_fd < 0 || r->wake_fd < 0 ||
        epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->opt.listener, &on_listen) != 0 ||
        epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->wake_fd, &on_wake_up) != 0 ||
        pthread_create(&r->thread, NULL, relay_main, r) != 0)
        return P2P_ERR_SYS;
    r->is_started = true;
    return P2P_OK;
}

enum p2p_err
relay_open(const struct relay_options *opt, struct relay **out)
{
    struct relay *r = calloc(1, sizeof(*r));
    enum p2p_err err;

    *out = NULL;
    if (r == NULL)
        return P2P_ERR_NOMEM;
    r->opt = *opt;
    if (r->opt.look_ms == 0)
        r->opt.look_ms = LOOK_MS;
    r->epoll_fd = r->wake_fd = -1;
    r->listener_watch.kind = WATCHED_LISTENER;
    r->wake_watch.kind = WATCHED_WAKE;
    TAILQ_INIT(&r->clients);
    TAILQ_INIT(&r->sessions);
    p2p_mutex_init(&r->lock);
    r->new_limits = opt->limits;
    p2p_rate_init(&r->rate, 0, p2p_now_us());
    if ((err = open_parts(r)) != P2P_OK) {
        relay_close(r);
        return err;
    }
    *out = r;
    return P2P_OK;
}

void
relay_set_limits(struct relay *r, const struct relay_limits *limits)
{
    p2p_lock(&r->lock);
    r->new_limits = *limits;
    p2p_unlock(&r->lock);
    r->has_new_limits = true;
    (void)eventfd_write(r->wake_fd, 1);
}

void
relay_close(struct relay *r)
{
    struct session *s;

    if (r == NULL)
        return;
    r->is_stopping = true;
    if (r->is_started) {
        (void)eventfd_write(r->wake_fd, 1);
        pthread_join(r->thread, NULL);
    }
    clients_close(r);
    while ((s = TAILQ_FIRST(&r->sessions)) != NULL)
        end_session(r, s, "ended by the stop of the relay");
    tickets_free(r->tickets);
    accounts_free(r->accounts);
    p2p_rate_clear(&r->rate);
    p2p_mutex_clear(&r->lock);
    p2p_fd_close(&r->opt.listener);
    p2p_fd_close(&r->epoll_fd);
    p2p_fd_close(&r->wake_fd);
    p2p_wipe(&r->opt.key, sizeof(r->opt.key));
    free(r);
}

void
relay_stats(struct relay *r, struct relay_stats *out)
{
    *out = (struct relay_stats){
        .sessions = r->stats.sessions,
        .waiting = r->stats.waiting,
        .sessions_total = r->stats.sessions_total,
        .bytes_total = r->stats.bytes_total,
        .accounts = r->stats.accounts,
    };
    for (int i = 0; i < RELAY_REFUSALS; i++)
        out->refused[i] = r->stats.refused[i];
}
