/* The share's own thread. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <sys/stat.h>

#include "core/share/share_internal.h"
#include "p2p/io.h"
#include "p2p/lock.h"
#include "p2p/log.h"

void
p2p_share_wake(struct p2p_share *s)
{
    const uint64_t one = 1;

    if (write(s->mail.wake_fd, &one, sizeof(one)) < 0)
        p2p_log_debug("cannot write to an eventfd"); /* full: it wakes anyway */
}

void
p2p_share_tell(struct p2p_share *s, char slot[P2P_NAME_MAX + 1], const char *name)
{
    p2p_lock(&s->mail.lock);
    strcpy(slot, name); /* checked names only */
    p2p_unlock(&s->mail.lock);
    p2p_share_wake(s);
}

/* ---- Owner or follower ---- */

/* The process that holds the lock is the owner. If there can be no lock (a read-only
 * folder), each process works alone, with an index in memory. */
static bool
try_to_own(struct p2p_share *s)
{
    if (s->lock_fd < 0 && p2p_root_open_private(p2p_share_private(s), "index.lock",
                                                O_RDWR | O_CREAT, &s->lock_fd))
        return true;
    return flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

static void
become_owner(struct p2p_share *s)
{
    enum p2p_err err;

    p2p_watch_close(&s->watch);
    s->is_owner = true;
    atomic_store(&s->is_follower, false);
    p2p_write_lock(&s->catalogue.lock); /* the remaining work was that of the former
                                         * owner */
    s->catalogue.totals.hashing_files = s->catalogue.totals.hashing_bytes = 0;
    p2p_rw_unlock(&s->catalogue.lock);
    err = p2p_share_open_index(s);
    if (err == P2P_ERR_AWAY) { /* it left its path a moment ago: when it is back */
        s->is_owner = false;
        flock(s->lock_fd, LOCK_UN);
        return;
    }
    /* An index in memory has no followers: another process may be able to write one. */
    if (!err && p2p_index_is_in_memory(p2p_share_own_index(s)))
        p2p_fd_close(&s->lock_fd);
    if (!err)
        err = p2p_scan_start(s);
    if (err)
        p2p_log_error("cannot use the shared folder reason=\"%s\"", p2p_err_text(err));
    s->is_broken = err != P2P_OK;
}

/* ---- Rounds ---- */

static void
call_back(struct p2p_share *s, uint64_t now, uint64_t *due_ms)
{
    if (s->callback_due_ms == 0)
        return;
    if (now >= s->callback_due_ms) {
        s->callback_due_ms = 0;
        if (s->on_change)
            s->on_change(s->arg);
    } else if (s->callback_due_ms < *due_ms) {
        *due_ms = s->callback_due_ms;
    }
}

static void
wait_for_events(struct p2p_share *s, uint64_t due_ms)
{
    struct pollfd fds[3] = {
        {.fd = s->mail.wake_fd, .events = POLLIN},
        {.fd = s->watch.fd, .events = POLLIN}, /* poll passes over -1 */
        {.fd = s->mounts.fd, .events = POLLPRI},
    };
    uint64_t now = p2p_now_ms(), count;
    uint64_t wait = due_ms > now ? due_ms - now : 0;

    if (poll(fds, 3, wait < 60000 ? (int)wait : 60000) <= 0)
        return;
    if (fds[0].revents && read(s->mail.wake_fd, &count, sizeof(count)) < 0)
        p2p_log_debug("cannot read from an eventfd");
    if (fds[2].revents && p2p_mounts_have_changed(&s->mounts, p2p_root_fd(s->root)))
        s->owner.is_lost = true; /* other files may be there now */
}

static uint64_t
idle_wanted(struct p2p_share *s)
{
    p2p_lock(&s->mail.lock);
    uint64_t wanted = s->mail.idle_wanted;
    p2p_unlock(&s->mail.lock);
    return wanted;
}

static void
say_idle(struct p2p_share *s, uint64_t wanted)
{
    p2p_lock(&s->mail.lock);
    s->mail.idle_reached = wanted;
    pthread_cond_broadcast(&s->mail.idle);
    p2p_unlock(&s->mail.lock);
}

void *
p2p_share_loop(void *arg)
{
    struct p2p_share *s = arg;

    while (!atomic_load(&s->mail.stop)) {
        uint64_t due_ms = UINT64_MAX;
        /* Read before the round: a request that arrives during the round needs another
         * round. */
        uint64_t wanted = idle_wanted(s);
        p2p_share_look_at_place(s, p2p_now_ms());
        if (!s->is_owner && !p2p_share_is_gone(s) && try_to_own(s))
            become_owner(s);
        if (!s->is_owner)
            atomic_store(&s->is_follower, true);
        bool is_idle =
            s->is_broken || p2p_share_is_gone(s) ||
            (s->is_owner ? p2p_scan_round(s, &due_ms) : p2p_follow_round(s, &due_ms));
        if (s->place_due_ms < due_ms)
            due_ms = s->place_due_ms;
        call_back(s, p2p_now_ms(), &due_ms);
        if (is_idle)
            say_idle(s, wanted);
        wait_for_events(s, due_ms);
    }
    if (s->is_owner)
        p2p_scan_stop(s);
    p2p_mounts_close(&s->mounts);
    p2p_watch_close(&s->watch);
    return NULL;
}
