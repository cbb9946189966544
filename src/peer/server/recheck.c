#include "peer/server/recheck.h"

#include <arpa/inet.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/grants.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "peer/server/loop.h"

enum {
    LOOK_EVERY_MS = 500, /* interval if the kernel does not report changes */
    PAUSE_MS = 100, /* delay before reading: a file may be written in several steps */
    EVENTS_SIZE = 4096,
};

#define KNOWN_PEERS_FILE "known_peers"
#define CHANGES                                                             \
    (IN_CLOSE_WRITE | IN_MODIFY | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | \
     IN_CREATE | IN_MOVE_SELF | IN_DELETE_SELF)

struct recheck {
    struct server *server;
    pthread_t thread;
    int event_fd, inotify_fd;
    bool started;
    _Atomic bool ending;
    bool has_failed; /* the grants could not be read: they are read again */
    bool is_told; /* the kernel reports every change; otherwise the files are checked at
                   * intervals */
};

void
recheck_poke(struct recheck *r)
{
    uint64_t one = 1;
    ssize_t n;

    if (r == NULL)
        return;
    n = write(r->event_fd, &one, sizeof(one));
    (void)n; /* if it is full, the thread will check anyway */
}

/* ---- Who is here ---- */

static void
review(struct server *s, const struct p2p_id *id)
{
    char hex[P2P_ID_HEX_LEN + 1];
    struct access_standing standing;

    access_look(s->opt.access, id, &standing);
    if (!clients_judge(s->clients, id, &standing))
        return;
    p2p_hex_format(id->b, sizeof(id->b), hex);
    p2p_log_info("closed the connections of a peer that may no longer download peer=%s",
                 hex);
}

static void
review_all(struct server *s)
{
    struct p2p_id *ids;
    size_t count;

    if (clients_ids(s->clients, &ids, &count) != P2P_OK) {
        p2p_log_error("out of memory: cannot find the connections of blocked peers");
        return;
    }
    for (size_t i = 0; i < count; i++)
        review(s, &ids[i]);
    free(ids);
    for (unsigned i = 0; i < s->loop_count; i++)
        loop_access_changed(s->loops[i]);
}

/* ---- Where known peers were met ---- */

/* Host names are not resolved: their address today proves nothing. */
static bool
source_of_address(const char *address, struct admission_source *out)
{
    struct p2p_addr addr;
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (address[0] == '\0' || p2p_addr_parse(address, 0, &addr) != P2P_OK)
        return false;
    if (inet_pton(AF_INET, addr.host, &v4.sin_addr) == 1)
        admission_source_from((const struct sockaddr *)&v4, out);
    else if (inet_pton(AF_INET6, addr.host, &v6.sin6_addr) == 1)
        admission_source_from((const struct sockaddr *)&v6, out);
    else
        return false;
    return true;
}

static size_t
sources_of_peer(const struct p2p_known_peer *peer, struct admission_source *out)
{
    size_t n = 0;

    if (peer->trust != P2P_TRUST_TRUSTED && peer->trust != P2P_TRUST_SEEN)
        return 0;
    for (int i = 0; i < P2P_PEER_ADDRESSES_MAX; i++)
        n += source_of_address(peer->addresses[i], &out[n]);
    return n;
}

static void
learn_sources(struct server *s)
{
    struct admission_source *sources = NULL;
    struct p2p_known_peer *peers = NULL;
    size_t peer_count = 0, count = 0;

    if (p2p_known_list(s->opt.identity, &peers, &peer_count) == P2P_OK &&
        peer_count > 0)
        sources = calloc(peer_count * P2P_PEER_ADDRESSES_MAX, sizeof(*sources));
    for (size_t i = 0; i < peer_count && sources != NULL; i++)
        count += sources_of_peer(&peers[i], sources + count);
    free(peers);
    admission_know(s->admission, sources, count);
}

static void
look(struct recheck *r)
{
    struct server *s = r->server;
    bool changed;

    s->access_generation++; /* before the lists are read */
    r->has_failed = access_reload(s->opt.access, &changed) != P2P_OK;
    review_all(s);
    learn_sources(s);
    if (changed && s->opt.on_rules != NULL)
        s->opt.on_rules(s->opt.arg);
}

/* ---- When to look ---- */

/* SQLite commits when it removes the journal. A reader writes nothing, but the kernel
 * reports that it closes the file. */
static bool
is_about_grants(const struct inotify_event *event)
{
    return strncmp(event->name, P2P_GRANTS_FILE, strlen(P2P_GRANTS_FILE)) == 0 &&
           (event->mask & ~(uint32_t)IN_CLOSE_WRITE) != 0;
}

/* Events are only a reason to check the files. A folder that was removed sends no more
 * events. */
static bool
drain(struct recheck *r)
{
    _Alignas(struct inotify_event) char buffer[EVENTS_SIZE];
    const char *name = r->server->opt.allow_file;
    bool is_ours = false;
    ssize_t len;

    name = name != NULL && strrchr(name, '/') != NULL ? strrchr(name, '/') + 1 : name;
    while ((len = read(r->inotify_fd, buffer, sizeof(buffer))) > 0) {
        for (char *at = buffer; at < buffer + len;) {
            const struct inotify_event *event = (const void *)at;
            if (event->mask & (IN_IGNORED | IN_MOVE_SELF | IN_DELETE_SELF))
                r->is_told = false;
            is_ours |= event->len == 0 || strcmp(event->name, KNOWN_PEERS_FILE) == 0 ||
                       is_about_grants(event) ||
                       (name != NULL && strcmp(event->name, name) == 0);
            at += sizeof(*event) + event->len;
        }
    }
    return is_ours;
}

static bool
wait_for_news(struct recheck *r)
{
    struct pollfd fds[] = {{.fd = r->event_fd, .events = POLLIN},
                           {.fd = r->inotify_fd, .events = POLLIN}};
    int n = poll(fds, 2, r->is_told && !r->has_failed ? -1 : LOOK_EVERY_MS);
    uint64_t count;

    if (n == 0)
        return true;
    if (n < 0)
        return false;
    if (fds[0].revents != 0 && read(r->event_fd, &count, sizeof(count)) > 0)
        return true;
    return fds[1].revents != 0 && drain(r);
}

static void *
recheck_main(void *arg)
{
    struct recheck *r = arg;

    while (!r->ending) {
        if (!wait_for_news(r) || r->ending)
            continue;
        poll(NULL, 0, PAUSE_MS);
        look(r);
    }
    return NULL;
}

/* A link may be changed to point elsewhere, and its target may change. */
static bool
watch_file(int fd, const char *path)
{
    char folder[PATH_MAX];
    struct stat st;

    if (path == NULL)
        return true;
    if (strlen(path) >= sizeof(folder) || lstat(path, &st) != 0 || S_ISLNK(st.st_mode))
        return false;
    memcpy(folder, path, strlen(path) + 1);
    return inotify_add_watch(fd, dirname(folder), CHANGES) >= 0;
}

static bool
watch(struct recheck *r)
{
    const struct server_options *opt = &r->server->opt;

    r->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return r->inotify_fd >= 0 &&
           inotify_add_watch(r->inotify_fd, opt->keys_dir, CHANGES) >= 0 &&
           watch_file(r->inotify_fd, opt->allow_file);
}

enum p2p_err
recheck_new(struct server *s, struct recheck **out)
{
    struct recheck *r = calloc(1, sizeof(*r));

    *out = r;
    if (r == NULL)
        return P2P_ERR_NOMEM;
    r->server = s;
    r->inotify_fd = -1;
    r->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->event_fd < 0)
        return P2P_ERR_SYS;
    r->is_told = watch(r);
    recheck_poke(r); /* the state at the start */
    return P2P_OK;
}

enum p2p_err
recheck_start(struct recheck *r)
{
    if (pthread_create(&r->thread, NULL, recheck_main, r) != 0)
        return P2P_ERR_SYS;
    r->started = true;
    return P2P_OK;
}

void
recheck_free(struct recheck *r)
{
    if (r == NULL)
        return;
    r->ending = true;
    recheck_poke(r);
    if (r->started)
        pthread_join(r->thread, NULL);
    p2p_fd_close(&r->inotify_fd);
    p2p_fd_close(&r->event_fd);
    free(r);
}
