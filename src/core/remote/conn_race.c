#include "core/remote/conn_race.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "p2p/lock.h"

P2P_MUTEX_KIND(race_lock);
struct race;
/* One address. */
struct racer {
    struct race *race;
    struct p2p_conn_options opt;
    enum p2p_path_kind path;
    pthread_t thread;
    /* The connection while it can be interrupted; later the one that succeeded. */
    struct p2p_conn *conn;
    bool has_ended;
    enum p2p_err err;
};
struct race {
    struct racer at[1 + P2P_CONN_OTHERS_MAX + 1 + P2P_REACH_ADDRESSES_MAX];
    size_t count;
    const struct p2p_conn_options *opt;
    struct p2p_ladder ladder;
    int news_fd; /* readable when a racer has ended, or a peer has named addresses */
    struct race_lock lock;
    bool is_over P2P_GUARDED_BY(race_lock); /* the others must stop */
    /* The addresses from the answer to a call, until they are in the line. */
    struct p2p_addr named[P2P_REACH_ADDRESSES_MAX] P2P_GUARDED_BY(race_lock);
    size_t named_count P2P_GUARDED_BY(race_lock);
};

static void
show(void *arg, struct p2p_conn *conn)
{
    struct racer *racer = arg;
    struct race *race = racer->race;

    p2p_lock(&race->lock);
    racer->conn = conn;
    if (race->is_over && conn != NULL)
        p2p_conn_interrupt(conn);
    p2p_unlock(&race->lock);
}

/* On the thread of the racer that calls. */
static void
on_addresses(void *arg, const struct p2p_addr *at, size_t count)
{
    struct racer *racer = arg;
    struct race *race = racer->race;

    p2p_lock(&race->lock);
    for (size_t i = 0; i < count && race->named_count < P2P_REACH_ADDRESSES_MAX; i++)
        race->named[race->named_count++] = at[i];
    p2p_unlock(&race->lock);
    (void)eventfd_write(race->news_fd, 1);
}

static void *
run(void *arg)
{
    struct racer *racer = arg;
    struct race *race = racer->race;
    const struct p2p_conn_watcher watcher = {
        .on_socket = show, .calling = {on_addresses, racer}, .arg = racer};
    struct p2p_conn *conn = NULL;
    enum p2p_err err = p2p_conn_open_one(&racer->opt, racer->path, &watcher, &conn);

    p2p_lock(&race->lock);
    racer->conn = conn;
    racer->err = err;
    racer->has_ended = true;
    p2p_unlock(&race->lock);
    (void)eventfd_write(race->news_fd, 1);
    return NULL;
}

static enum p2p_err
start_next(struct race *race)
{
    struct racer *racer = &race->at[race->ladder.started];
    int rc = pthread_create(&racer->thread, NULL, run, racer);

    race->ladder.started += rc == 0;
    return p2p_err_from_errno(rc);
}

static void
add_racer(struct race *race, enum p2p_path_kind path, const struct p2p_addr *addr)
{
    struct racer *racer = &race->at[race->count++];

    *racer = (struct racer){.race = race, .opt = *race->opt, .path = path};
    racer->opt.addr = *addr;
    racer->opt.other_count = 0;
}

static bool
is_lined_up(const struct race *race, const struct p2p_addr *addr)
{
    for (size_t i = 0; i < race->count; i++)
        if (race->at[i].path == P2P_PATH_DIRECT &&
            p2p_addr_equal(&race->at[i].opt.addr, addr))
            return true;
    return false;
}

/* Addresses that were tried already get no second try. */
static void
line_up_named(struct race *race) P2P_REQUIRES(race_lock)
{
    const size_t room = sizeof(race->at) / sizeof(race->at[0]);
    size_t before = race->count;

    for (size_t i = 0; i < race->named_count && race->count < room; i++)
        if (!is_lined_up(race, &race->named[i]))
            add_racer(race, P2P_PATH_DIRECT, &race->named[i]);
    race->named_count = 0;
    p2p_ladder_name(&race->ladder, race->count - before, p2p_now_ms());
}

/* True if there is a winner, or nobody is left who could win. */
static bool
is_decided(struct race *race, struct racer **winner)
{
    size_t ended = 0;

    p2p_lock(&race->lock);
    line_up_named(race);
    for (size_t i = 0; i < race->ladder.started; i++) {
        struct racer *racer = &race->at[i];

        ended += racer->has_ended;
        if (racer->has_ended && racer->err == P2P_OK && *winner == NULL)
            *winner = racer;
    }
    p2p_unlock(&race->lock);
    race->ladder.failed = ended;
    return *winner != NULL || ended == race->count;
}

/* Waits until a racer has ended, or it is time for the next one. False: the caller
 * wants to stop. */
static bool
wait_for_news(struct race *race, int stop_fd)
{
    struct pollfd fds[] = {{.fd = stop_fd, .events = POLLIN},
                           {.fd = race->news_fd, .events = POLLIN}};
    uint64_t now = p2p_now_ms(), due = p2p_ladder_due_ms(&race->ladder, now);
    eventfd_t ignored;
    int n;

    if (due <= now)
        return true;
    n = poll(fds, 2, due == UINT64_MAX ? -1 : (int)(due - now));

    if (n > 0 && fds[1].revents != 0)
        (void)eventfd_read(race->news_fd, &ignored);
    return n <= 0 || fds[0].revents == 0;
}

/* P2P_OK: `*winner`, or NULL when all have failed. */
static enum p2p_err
drive(struct race *race, int stop_fd, struct racer **winner)
{
    while (!is_decided(race, winner)) {
        uint64_t now = p2p_now_ms();
        enum p2p_err err = P2P_OK;

        if (p2p_ladder_due_ms(&race->ladder, now) <= now)
            err = start_next(race);
        if (err != P2P_OK && race->ladder.started == 0)
            return err;
        if (err != P2P_OK) { /* no more threads: those that run have to do */
            race->count = race->ladder.direct = race->ladder.started;
            race->ladder.has_relay = false;
            race->ladder.named = 0;
        }
        if (!wait_for_news(race, stop_fd))
            return P2P_ERR_CANCELLED;
    }
    return P2P_OK;
}

static bool
may_pass(enum p2p_err err)
{
    return err == P2P_ERR_UNREACHABLE || err == P2P_ERR_TIMEOUT ||
           err == P2P_ERR_CLOSED || err == P2P_ERR_REFUSED || err == P2P_ERR_BUSY ||
           err == P2P_ERR_RATE_LIMITED;
}

static enum p2p_err
verdict(const struct race *race)
{
    for (size_t i = 0; i < race->ladder.started; i++)
        if (race->at[i].err == P2P_ERR_REFUSED) /* so it is there */
            return P2P_ERR_REFUSED;
    for (size_t i = 0; i < race->ladder.started; i++)
        if (may_pass(race->at[i].err))
            return race->at[i].err;
    /* A peer that reads no box is away; NOT_FOUND would be said of its file. */
    return race->at[0].err == P2P_ERR_NOT_FOUND ? P2P_ERR_UNREACHABLE : race->at[0].err;
}

/* Stops and joins all racers; closes their connections but that of the winner. */
static void
end(struct race *race, const struct racer *winner)
{
    p2p_lock(&race->lock);
    race->is_over = true;
    for (size_t i = 0; i < race->ladder.started; i++)
        if (!race->at[i].has_ended && race->at[i].conn != NULL)
            p2p_conn_interrupt(race->at[i].conn);
    p2p_unlock(&race->lock);
    for (size_t i = 0; i < race->ladder.started; i++) {
        pthread_join(race->at[i].thread, NULL);
        if (&race->at[i] != winner && race->at[i].err == P2P_OK)
            p2p_conn_close(race->at[i].conn);
    }
}

static void
line_up(struct race *race, const struct p2p_conn_options *opt)
{
    size_t others =
        opt->other_count < P2P_CONN_OTHERS_MAX ? opt->other_count : P2P_CONN_OTHERS_MAX;
    bool can_call = opt->reach != NULL && opt->reach->discovery != NULL;

    p2p_ladder_init(&race->ladder,
                    opt->reach != NULL ? opt->reach->wish : P2P_WISH_DIRECT, 1 + others,
                    can_call, p2p_now_ms());
    if (opt->is_unreached)
        race->ladder.relay_ms = P2P_LADDER_UNREACHED_MS;
    race->opt = opt;
    for (size_t i = 0; i < race->ladder.direct; i++)
        add_racer(race, P2P_PATH_DIRECT, i == 0 ? &opt->addr : &opt->others[i - 1]);
    if (race->ladder.has_relay)
        add_racer(race, P2P_PATH_RELAY, &opt->addr);
}

enum p2p_err
p2p_conn_race(const struct p2p_conn_options *opt, int stop_fd, struct p2p_conn **out)
{
    struct race race;
    struct racer *winner = NULL;
    enum p2p_err err;

    *out = NULL;
    memset(&race, 0, sizeof(race));
    race.news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (race.news_fd < 0)
        return p2p_err_from_errno(errno);
    p2p_mutex_init(&race.lock);
    line_up(&race, opt);
    err = race.count > 0 ? drive(&race, stop_fd, &winner) : P2P_ERR_UNREACHABLE;
    end(&race, winner);
    if (err == P2P_OK && winner != NULL)
        *out = winner->conn;
    else if (err == P2P_OK)
        err = verdict(&race);
    p2p_mutex_clear(&race.lock);
    close(race.news_fd);
    return err;
}
