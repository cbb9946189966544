#include "peer/server/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "p2p/crypto.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "peer/server/serve.h"

enum {
    EVENTS_PER_TURN = 256,
    WAITING_LOOK_MS = 10, /* a place may become free in another loop meanwhile */
};

/* Marks the two descriptors in epoll's data pointers that are not connections. */
char loop_is_listener;
static char is_eventfd;

enum p2p_err
loop_new(struct server *s, int listen_fd, struct loop **out)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    struct epoll_event on_listen = {.events = EPOLLIN, .data.ptr = &loop_is_listener};
    struct epoll_event on_event = {.events = EPOLLIN, .data.ptr = &is_eventfd};

    *out = NULL;
    if (loop == NULL) {
        close(listen_fd);
        return P2P_ERR_NOMEM;
    }
    loop->server = s;
    loop->listen_fd = listen_fd;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->stop_at_ms = P2P_NO_DEADLINE;
    loop->rules = access_rules(s->opt.access);
    p2p_mutex_init(&loop->inbox_lock);
    TAILQ_INIT(&loop->all);
    TAILQ_INIT(&loop->run);
    TAILQ_INIT(&loop->throttled);
    TAILQ_INIT(&loop->waiting);
    TAILQ_INIT(&loop->parked);
    loop->parked_until_ms = P2P_NO_DEADLINE;
    TAILQ_INIT(&loop->graveyard);
    for (int i = 0; i < CONN_TIMERS; i++)
        TAILQ_INIT(&loop->timers[i]);
    STAILQ_INIT(&loop->arrived);
    STAILQ_INIT(&loop->finished);
    loop->scratch_size = serve_scratch_size(s);
    loop->scratch = malloc(loop->scratch_size);
    loop->compressor = compressor_new(s->opt.compress);
    if (loop->epoll_fd < 0 || loop->event_fd < 0 || loop->scratch == NULL ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, listen_fd, &on_listen) != 0 ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->event_fd, &on_event) != 0) {
        loop_free(loop);
        return P2P_ERR_SYS;
    }
    *out = loop;
    return P2P_OK;
}

void
loop_free(struct loop *loop)
{
    struct conn *c;
    struct loop_parcel *parcel;

    if (loop == NULL)
        return;
    while ((c = TAILQ_FIRST(&loop->all)) != NULL) {
        c->working = false;
        conn_close(c, P2P_ERR_CLOSED);
    }
    while ((c = TAILQ_FIRST(&loop->graveyard)) != NULL) {
        TAILQ_REMOVE(&loop->graveyard, c, all_link);
        conn_free(c);
    }
    while ((parcel = STAILQ_FIRST(&loop->arrived)) != NULL) {
        STAILQ_REMOVE_HEAD(&loop->arrived, link);
        close(parcel->fd);
        free(parcel);
    }
    p2p_fd_close(&loop->listen_fd);
    p2p_fd_close(&loop->event_fd);
    p2p_fd_close(&loop->epoll_fd);
    p2p_mutex_clear(&loop->inbox_lock);
    compressor_free(loop->compressor);
    p2p_access_put(loop->rules);
    free(loop->scratch);
    free(loop);
}

unsigned
loop_load(const struct loop *loop)
{
    return loop->load;
}

/* ---- From other threads ---- */

void
loop_wake(struct loop *loop)
{
    uint64_t one = 1;
    ssize_t n = write(loop->event_fd, &one, sizeof(one));

    (void)n; /* if it is full, the loop is awake already */
}

static void
post_job(struct job *job)
{
    struct loop *loop = ((struct conn_job *)job)->conn->loop;

    p2p_lock(&loop->inbox_lock);
    STAILQ_INSERT_TAIL(&loop->finished, job, link);
    p2p_unlock(&loop->inbox_lock);
    loop_wake(loop);
}

enum p2p_err
loop_submit(struct workers *w, struct conn_job *job, void (*run)(struct job *job))
{
    enum p2p_err err;

    job->job.run = run;
    job->job.done = post_job;
    job->conn->working = true;
    if ((err = workers_submit(w, &job->job)) != P2P_OK)
        job->conn->working = false;
    return err;
}

void
loop_files_changed(struct loop *loop)
{
    loop->files_changed = true;
    loop_wake(loop);
}

void
loop_access_changed(struct loop *loop)
{
    loop->access_changed = true;
    loop_wake(loop);
}

void
loop_on_revoked(void *loop)
{
    ((struct loop *)loop)->has_revoked = true;
    loop_wake(loop);
}

void
loop_join(struct loop *loop)
{
    if (loop->started)
        pthread_join(loop->thread, NULL);
    loop->started = false;
}

/* ---- Timers, run queue, throttling ---- */

static uint64_t
timer_length(const struct loop *loop, enum conn_timer timer)
{
    const struct server_options *opt = &loop->server->opt;

    switch (timer) {
    case TIMER_FIRST:
        return opt->handshake_timeout_ms < P2P_HANDSHAKE_FIRST_TIMEOUT_MS
                   ? opt->handshake_timeout_ms
                   : P2P_HANDSHAKE_FIRST_TIMEOUT_MS;
    case TIMER_HANDSHAKE:
        return opt->handshake_timeout_ms;
    case TIMER_IDLE:
        return opt->idle_timeout_ms;
    default:
        return opt->stall_timeout_ms;
    }
}

void
loop_set_timer_at(struct loop *loop, struct conn *c, enum conn_timer timer,
                  uint64_t at_ms)
{
    struct conn_list *list = &loop->timers[timer];
    struct conn *before;

    if (c->has_timer)
        TAILQ_REMOVE(&loop->timers[c->timer], c, timer_link);
    c->has_timer = true;
    c->timer = timer;
    c->timer_at_ms = at_ms;
    before = TAILQ_LAST(list, conn_list);
    while (before != NULL && before->timer_at_ms > at_ms)
        before = TAILQ_PREV(before, conn_list, timer_link);
    if (before == NULL)
        TAILQ_INSERT_HEAD(list, c, timer_link);
    else
        TAILQ_INSERT_AFTER(list, before, c, timer_link);
}

void
loop_set_timer(struct loop *loop, struct conn *c, enum conn_timer timer)
{
    loop_set_timer_at(loop, c, timer, p2p_now_ms() + timer_length(loop, timer));
}

void
loop_run_soon(struct loop *loop, struct conn *c)
{
    if (c->in_run || c->is_throttled || c->state == CONN_CLOSED)
        return;
    c->in_run = true;
    TAILQ_INSERT_TAIL(&loop->run, c, run_link);
}

void
loop_throttle(struct loop *loop, struct conn *c, uint64_t wait_us)
{
    uint64_t until = p2p_now_ms() * 1000 + wait_us;

    if (TAILQ_EMPTY(&loop->throttled) || until < loop->throttled_until_us)
        loop->throttled_until_us = until;
    if (c->in_run)
        TAILQ_REMOVE(&loop->run, c, run_link);
    c->in_run = false;
    if (c->is_throttled)
        return;
    if (loop->throttled_again != NULL && !c->had_turn)
        TAILQ_INSERT_BEFORE(loop->throttled_again, c, run_link);
    else
        TAILQ_INSERT_TAIL(&loop->throttled, c, run_link);
    if (loop->throttled_again == NULL && c->had_turn)
        loop->throttled_again = c;
    c->is_throttled = true;
    c->had_turn = false;
}

void
loop_unthrottle(struct loop *loop, struct conn *c)
{
    if (loop->throttled_again == c)
        loop->throttled_again = TAILQ_NEXT(c, run_link);
    TAILQ_REMOVE(&loop->throttled, c, run_link);
    c->is_throttled = false;
}

void
loop_park(struct loop *loop, struct conn *c)
{
    if (!c->is_parked)
        TAILQ_INSERT_TAIL(&loop->parked, c, park_link);
    c->is_parked = true;
}

void
loop_park_until(struct loop *loop, struct conn *c, uint64_t until_ms)
{
    loop_park(loop, c);
    if (until_ms < loop->parked_until_ms)
        loop->parked_until_ms = until_ms;
}

static void
release_parked(struct loop *loop)
{
    struct conn *c;

    if (!atomic_exchange(&loop->files_changed, false) &&
        p2p_now_ms() < loop->parked_until_ms)
        return;
    loop->parked_until_ms = P2P_NO_DEADLINE;
    while ((c = TAILQ_FIRST(&loop->parked)) != NULL) {
        TAILQ_REMOVE(&loop->parked, c, park_link);
        c->is_parked = false;
        requests_resume(&c->requests);
        loop_run_soon(loop, c);
    }
}

static void
release_throttled(struct loop *loop)
{
    struct conn *c;

    if (p2p_now_ms() * 1000 < loop->throttled_until_us)
        return;
    while ((c = TAILQ_FIRST(&loop->throttled)) != NULL) {
        loop_unthrottle(loop, c);
        loop_run_soon(loop, c);
    }
}

/* ---- Closing what has to go ---- */

/* There are few unfinished handshakes: admission limits them. */
static void
close_revoked(struct loop *loop)
{
    static const enum conn_timer timers[] = {TIMER_FIRST, TIMER_HANDSHAKE};

    if (!atomic_exchange(&loop->has_revoked, false))
        return;
    for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
        struct conn *c, *next;
        for (c = TAILQ_FIRST(&loop->timers[timers[i]]); c != NULL; c = next) {
            next = TAILQ_NEXT(c, timer_link);
            if (admission_is_revoked(&c->ticket))
                conn_close(c, P2P_ERR_BUSY);
        }
    }
}

static void
recheck_all(struct loop *loop)
{
    struct conn *c, *next;

    if (!atomic_exchange(&loop->access_changed, false))
        return;
    p2p_access_put(loop->rules);
    loop->rules = access_rules(loop->server->opt.access);
    for (c = TAILQ_FIRST(&loop->all); c != NULL; c = next) {
        next = TAILQ_NEXT(c, all_link);
        conn_recheck(c);
    }
}

static bool
close_first_stranger(struct conn_list *list, const struct conn *asking,
                     uint64_t due_before_ms)
{
    struct conn *c = TAILQ_FIRST(list);

    while (c != NULL && (c == asking || c->in_run || !c->is_stranger))
        c = TAILQ_NEXT(c, timer_link);
    if (c == NULL || c->timer_at_ms > due_before_ms)
        return false;
    conn_close(c, P2P_ERR_BUSY);
    return true;
}

bool
loop_close_idle_stranger(struct loop *loop, const struct conn *asking)
{
    uint64_t stalled_ms =
        p2p_now_ms() + timer_length(loop, TIMER_STALL) - LOOP_STALLED_MS;

    return close_first_stranger(&loop->timers[TIMER_IDLE], asking, P2P_NO_DEADLINE) ||
           close_first_stranger(&loop->timers[TIMER_STALL], asking, stalled_ms);
}

static void
expire(struct loop *loop)
{
    uint64_t now = p2p_now_ms();

    for (int i = 0; i < CONN_TIMERS; i++) {
        struct conn *c;
        while ((c = TAILQ_FIRST(&loop->timers[i])) != NULL && c->timer_at_ms <= now)
            conn_on_timer(c); /* closes it or sets a new timer */
    }
}

/* The timeout of epoll in milliseconds: until the first deadline. */
static int
sleep_ms(const struct loop *loop)
{
    uint64_t now = p2p_now_ms(), next = loop->stop_at_ms;

    if (!TAILQ_EMPTY(&loop->run))
        return 0;
    for (int i = 0; i < CONN_TIMERS; i++) {
        const struct conn *c = TAILQ_FIRST(&loop->timers[i]);
        if (c != NULL && c->timer_at_ms < next)
            next = c->timer_at_ms;
    }
    if (loop->parked_until_ms < next)
        next = loop->parked_until_ms;
    if (!TAILQ_EMPTY(&loop->waiting) && now + WAITING_LOOK_MS < next)
        next = now + WAITING_LOOK_MS;
    if (loop->accept_paused && loop->accept_again_ms < next)
        next = loop->accept_again_ms;
    if (!TAILQ_EMPTY(&loop->throttled) && loop->throttled_until_us / 1000 + 1 < next)
        next = loop->throttled_until_us / 1000 + 1;
    if (next == P2P_NO_DEADLINE)
        return -1;
    if (next <= now)
        return 0;
    return next - now > 60000 ? 60000 : (int)(next - now);
}

/* ---- The turn ---- */

static void
take_inbox(struct loop *loop)
{
    STAILQ_HEAD(, loop_parcel) arrived = STAILQ_HEAD_INITIALIZER(arrived);
    STAILQ_HEAD(, job) finished = STAILQ_HEAD_INITIALIZER(finished);
    struct loop_parcel *parcel;
    struct job *job;
    uint64_t count;
    ssize_t n = read(loop->event_fd, &count, sizeof(count));

    (void)n;
    p2p_lock(&loop->inbox_lock);
    STAILQ_CONCAT(&arrived, &loop->arrived);
    STAILQ_CONCAT(&finished, &loop->finished);
    p2p_unlock(&loop->inbox_lock);
    while ((parcel = STAILQ_FIRST(&arrived)) != NULL) {
        STAILQ_REMOVE_HEAD(&arrived, link);
        loop_adopt(loop, parcel->fd, &parcel->from,
                   parcel->has_caller ? &parcel->caller : NULL,
                   parcel->has_guest ? &parcel->guest : NULL);
        free(parcel);
    }
    while ((job = STAILQ_FIRST(&finished)) != NULL) {
        struct conn_job *done = (struct conn_job *)job;
        STAILQ_REMOVE_HEAD(&finished, link);
        done->conn->working = false;
        if (done->conn->state != CONN_CLOSED)
            done->resume(done->conn);
    }
}

static void
run_once(struct loop *loop)
{
    /* Connections that need another turn are put behind this mark. */
    struct conn *last = TAILQ_LAST(&loop->run, conn_list), *c;

    while (last != NULL && (c = TAILQ_FIRST(&loop->run)) != NULL) {
        TAILQ_REMOVE(&loop->run, c, run_link);
        c->in_run = false;
        conn_run(c);
        if (c == last)
            break;
    }
}

static void
bury(struct loop *loop)
{
    struct conn *c, *next;

    for (c = TAILQ_FIRST(&loop->graveyard); c != NULL; c = next) {
        next = TAILQ_NEXT(c, all_link);
        if (c->working)
            continue;
        TAILQ_REMOVE(&loop->graveyard, c, all_link);
        conn_free(c);
    }
}

static void
begin_stop(struct loop *loop)
{
    struct conn *c, *next;

    loop->stop_at_ms = p2p_now_ms() + loop->server->grace_ms;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, loop->listen_fd, NULL);
    p2p_fd_close(&loop->listen_fd);
    for (c = TAILQ_FIRST(&loop->all); c != NULL; c = next) {
        next = TAILQ_NEXT(c, all_link);
        conn_shut_down(c);
    }
}

static bool
is_over(const struct loop *loop)
{
    return loop->stop_at_ms != P2P_NO_DEADLINE &&
           (TAILQ_EMPTY(&loop->all) || p2p_now_ms() >= loop->stop_at_ms);
}

static void
turn(struct loop *loop)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_TURN, sleep_ms(loop));

    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == &loop_is_listener)
            loop_accept(loop);
        else if (events[i].data.ptr == &is_eventfd)
            take_inbox(loop);
        else
            conn_on_events(events[i].data.ptr, events[i].events);
    }
    if (loop->server->stopping && loop->stop_at_ms == P2P_NO_DEADLINE)
        begin_stop(loop);
    loop_resume_accept(loop);
    release_throttled(loop);
    release_parked(loop);
    close_revoked(loop);
    recheck_all(loop);
    run_once(loop);
    expire(loop);
    loop_admit_waiting(loop);
    bury(loop);
}

static void *
loop_main(void *arg)
{
    struct loop *loop = arg;

    while (!is_over(loop))
        turn(loop);
    return NULL;
}

enum p2p_err
loop_start(struct loop *loop)
{
    if (pthread_create(&loop->thread, NULL, loop_main, loop) != 0)
        return P2P_ERR_SYS;
    loop->started = true;
    return P2P_OK;
}
