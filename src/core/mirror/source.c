/* The peer of a mirror: where it is, and what it has. */
#include <stdlib.h>
#include <string.h>

#include "core/mirror/mirror_internal.h"
#include "p2p/array.h"
#include "p2p/clock.h"
#include "p2p/discovery.h"
#include "p2p/mdns.h"
#include "p2p/rank.h"

#define CONNECT_MS    15000
#define LIST_MS       (20 * 60 * 1000)
#define BROWSE_MS     1000
#define NEIGHBORS_MAX 64
#define FILES_MAX     1000000

/* ---- Where it is ---- */

static void
add_address(struct p2p_mirror_source *s, const struct p2p_addr *addr)
{
    for (size_t i = 0; i < s->at_count; i++)
        if (p2p_addr_equal(&s->at[i], addr))
            return;
    if (s->at_count < sizeof(s->at) / sizeof(s->at[0]))
        s->at[s->at_count++] = *addr;
}

static void
ask_registries(const struct p2p_keeper_options *opt, const struct p2p_mirror *job,
               struct p2p_mirror_source *s)
{
    struct p2p_peer_list peers = {.count = 0};
    struct p2p_addr others[P2P_PEER_OTHERS_MAX];

    if (opt->reach == NULL || opt->reach->discovery == NULL ||
        p2p_discovery_peers(opt->reach->discovery, &peers) != P2P_OK)
        return;
    for (size_t i = 0; i < peers.count; i++) {
        if (!p2p_id_equal(&peers.at[i].id, &job->peer))
            continue;
        add_address(s, &peers.at[i].addr);
        size_t n = p2p_addr_list_read(peers.at[i].others, others, P2P_PEER_OTHERS_MAX);
        for (size_t k = 0; k < n; k++)
            add_address(s, &others[k]);
    }
    p2p_peer_list_clear(&peers);
}

static void
ask_neighbors(const struct p2p_mirror *job, struct p2p_mirror_source *s)
{
    struct p2p_mdns_peer *found = calloc(NEIGHBORS_MAX, sizeof(*found));
    size_t count = 0;

    if (found == NULL ||
        p2p_mdns_browse(BROWSE_MS, found, NEIGHBORS_MAX, &count) != P2P_OK)
        count = 0;
    for (size_t i = 0; i < count; i++)
        if (p2p_id_equal(&found[i].id, &job->peer))
            add_address(s, &found[i].addr);
    free(found);
}

static enum p2p_err
try_addresses(const struct p2p_keeper_options *opt, const struct p2p_mirror *job,
              struct p2p_mirror_source *s)
{
    const struct p2p_conn_options options = {
        .identity = opt->identity,
        .addr = s->at[0],
        .expected = &job->peer,
        .expected_by_user = true,
        .protocol = 2,
        .timeout_ms = CONNECT_MS,
        .others = s->at + 1,
        .other_count = s->at_count > 0 ? s->at_count - 1 : 0,
        .reach = opt->reach,
    };

    enum p2p_err err =
        s->at_count > 0 ? p2p_conn_open(&options, &s->conn) : P2P_ERR_UNREACHABLE;

    if (err == P2P_OK)
        p2p_conn_remember(s->conn); /* the user has named this peer */
    return err;
}

enum p2p_err
p2p_mirror_connect(const struct p2p_keeper_options *opt, const struct p2p_mirror *job,
                   struct p2p_mirror_source *s)
{
    struct p2p_addr at[P2P_PEER_ADDRESSES_MAX];
    size_t count = 0, before;
    enum p2p_err err;

    if (job->address[0] != '\0')
        count = p2p_addr_parse(job->address, 0, &at[0]) == P2P_OK;
    else
        count = p2p_rank_remembered(opt->identity, &job->peer, at);
    for (size_t i = 0; i < count; i++)
        add_address(s, &at[i]);
    err = try_addresses(opt, job, s);
    if (err == P2P_OK || job->address[0] != '\0')
        return err;
    before = s->at_count;
    ask_registries(opt, job, s);
    ask_neighbors(job, s);
    return s->at_count > before ? try_addresses(opt, job, s) : err;
}

/* ---- What it has ---- */

const char *
p2p_mirror_inner(const struct p2p_mirror *job, const char *name)
{
    size_t len = strlen(job->folder);

    if (len == 0)
        return name;
    return strncmp(name, job->folder, len) == 0 && name[len] == '/' ? name + len + 1
                                                                    : NULL;
}

enum p2p_err
p2p_mirror_add_file(struct p2p_mirror_source *s, const struct p2p_mirror_file *file)
{
    if (s->count == FILES_MAX)
        return P2P_ERR_TOO_LARGE;
    struct p2p_mirror_file *grown =
        p2p_array_room(s->files, s->count, &s->room, sizeof(*grown));
    if (grown == NULL)
        return P2P_ERR_NOMEM;
    s->files = grown;
    s->files[s->count] = *file;
    if ((s->files[s->count].name = strdup(file->name)) == NULL)
        return P2P_ERR_NOMEM;
    s->bytes += file->size;
    s->count++;
    return P2P_OK;
}

struct reading {
    const struct p2p_mirror *job;
    struct p2p_mirror_source *s;
};

static enum p2p_err
add_file(void *arg, const char *name, const struct p2p_list_entry *entry)
{
    const struct reading *r = arg;
    const char *inner = p2p_mirror_inner(r->job, name);
    const struct p2p_mirror_file file = {
        .name = (char *)(uintptr_t)inner,
        .root = entry->root,
        .size = entry->size,
        .mtime_s = entry->mtime_s,
    };

    return inner != NULL ? p2p_mirror_add_file(r->s, &file) : P2P_OK;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct p2p_mirror_file *)a)->name,
                  ((const struct p2p_mirror_file *)b)->name);
}

/* A peer that lists a name twice contradicts itself. */
static enum p2p_err
check_names(const struct p2p_mirror_source *s)
{
    for (size_t i = 1; i < s->count; i++)
        if (strcmp(s->files[i - 1].name, s->files[i].name) == 0)
            return P2P_ERR_PROTOCOL;
    return P2P_OK;
}

enum p2p_err
p2p_mirror_read_list(const struct p2p_mirror *job, struct p2p_mirror_source *s)
{
    struct reading r = {.job = job, .s = s};
    const struct p2p_list_visitor visitor = {.file = add_file, .arg = &r};
    enum p2p_err err = p2p_conn_list_all(s->conn, p2p_now_ms() + LIST_MS, &visitor);

    if (err != P2P_OK)
        return err;
    if (s->count > 0)
        qsort(s->files, s->count, sizeof(*s->files), by_name);
    return check_names(s);
}

void
p2p_mirror_source_clear(struct p2p_mirror_source *s)
{
    p2p_conn_close(s->conn);
    for (size_t i = 0; i < s->count; i++)
        free(s->files[i].name);
    free(s->files);
    *s = (struct p2p_mirror_source){.conn = NULL};
}
