/*
 * Neighbors: peers added by hand, and peers that announce themselves on the local
 * network (mDNS). No registry knows what they share, so each of them is asked (LIST):
 * when it is met first, and once a minute while a page is open.
 */
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/lock.h"
#include "p2p/log.h"
#include "p2p/mdns.h"
#include "p2p/net.h"
#include "ui/peers/peers_internal.h"
#include "ui/reply/jobs.h"
#include "ui/state/store.h"
#include "ui/state/watch.h"

#define NEIGHBORS_MAX 64
#define LIST_EVERY_MS 60000
#define LOOK_EVERY_MS 10000
#define BROWSE_MS     500
#define NAMES_MAX     10000
/* Limits in bytes for the names of one peer that was added by hand, of one that
 * announced itself, and of all that announced themselves. A name costs NAME_COST in
 * addition to its bytes. */
#define HAND_BYTES_MAX      (4u * 1024 * 1024)
#define NEIGHBORS_BYTES_MAX (1024u * 1024)
#define ALL_BYTES_MAX       (16u * 1024 * 1024)
#define NAME_COST           64
/* Any device on the network can announce itself, so the time for one neighbor is
 * limited. */
#define LIST_PATIENCE_MS 5000

/* ---- the list; under the lock ---- */

static struct ui_peer *
find(struct ui_peers *p, const struct p2p_id *id) P2P_REQUIRES(ui_peers_lock)
{
    for (size_t i = 0; i < p->neighbor_count; i++)
        if (p2p_id_equal(&p->neighbors[i].id, id))
            return &p->neighbors[i];
    return NULL;
}

/* Makes room for a peer that the user added. */
static void
drop_announced(struct ui_peers *p) P2P_REQUIRES(ui_peers_lock)
{
    for (size_t i = p->neighbor_count; i-- > 0;)
        if (p->neighbors[i].found_by == UI_BY_MDNS) {
            ui_peer_clear(&p->neighbors[i]);
            p->neighbors[i] = p->neighbors[--p->neighbor_count];
            return;
        }
}

static size_t
bytes_of(const struct ui_peer *peer)
{
    size_t bytes = peer->file_count * NAME_COST;

    for (size_t i = 0; i < peer->file_count; i++)
        bytes += strlen(peer->files[i]);
    return bytes;
}

/* How many bytes of names a neighbor may have, given what the others have. */
static size_t
allowance(struct ui_peers *p, const struct p2p_id *id, enum ui_found_by found_by)
{
    size_t used = 0, left;

    if (found_by == UI_BY_HAND)
        return HAND_BYTES_MAX;
    p2p_lock(&p->lock);
    for (size_t i = 0; i < p->neighbor_count; i++)
        if (p->neighbors[i].found_by == UI_BY_MDNS &&
            !p2p_id_equal(&p->neighbors[i].id, id))
            used += bytes_of(&p->neighbors[i]);
    p2p_unlock(&p->lock);
    left = used < ALL_BYTES_MAX ? ALL_BYTES_MAX - used : 0;
    return left < NEIGHBORS_BYTES_MAX ? left : NEIGHBORS_BYTES_MAX;
}

static struct ui_peer *
add(struct ui_peers *p, const struct p2p_id *id, const struct p2p_addr *addr,
    enum ui_found_by found_by) P2P_REQUIRES(ui_peers_lock)
{
    struct ui_peer *peer = find(p, id);

    if (peer != NULL && peer->found_by == UI_BY_HAND && found_by == UI_BY_MDNS)
        return peer; /* any device can announce anything, so an entry of the user is not
                        changed */
    if (peer == NULL && p->neighbor_count == NEIGHBORS_MAX && found_by == UI_BY_HAND)
        drop_announced(p);
    if (peer == NULL && p->neighbor_count < NEIGHBORS_MAX) {
        struct ui_peer *list =
            realloc(p->neighbors, (p->neighbor_count + 1) * sizeof(*list));
        if (list == NULL)
            return NULL;
        p->neighbors = list;
        peer = &list[p->neighbor_count++];
        *peer = (struct ui_peer){.id = *id, .found_by = found_by};
    }
    if (peer != NULL)
        peer->addr = *addr;
    return peer;
}

static void
load_one(void *arg, const struct ui_note *note) P2P_REQUIRES(ui_peers_lock)
{
    struct p2p_addr addr;
    struct p2p_id id;

    if (p2p_hex_parse(note->key, id.b, sizeof(id.b)) == P2P_OK &&
        p2p_addr_parse(note->value, 0, &addr) == P2P_OK)
        add(arg, &id, &addr, UI_BY_HAND);
}

void
ui_neighbors_load(struct ui_peers *p)
{
    ui_store_load_notes(p->parts.store, "peer", load_one, p);
}

/* ---- asking them ---- */

struct names {
    char **at;
    struct ui_content *contents;
    size_t count, cap;
    size_t bytes_left;
};

static bool
make_room(struct names *n)
{
    size_t cap = n->cap > 0 ? n->cap * 2 : 64;
    char **at = realloc(n->at, cap * sizeof(*at));
    struct ui_content *contents;

    if (at == NULL)
        return false;
    n->at = at;
    if ((contents = realloc(n->contents, cap * sizeof(*contents))) == NULL)
        return false;
    n->contents = contents;
    n->cap = cap;
    return true;
}

static enum p2p_err
add_name(void *arg, const char *name, const struct p2p_list_entry *entry)
{
    struct names *n = arg;
    size_t cost = strlen(name) + NAME_COST;

    if (n->count == NAMES_MAX || cost > n->bytes_left)
        return P2P_ERR_TOO_LARGE;
    n->bytes_left -= cost;
    if (n->count == n->cap && !make_room(n))
        return P2P_ERR_NOMEM;
    if ((n->at[n->count] = strdup(name)) == NULL)
        return P2P_ERR_NOMEM;
    n->contents[n->count++] =
        (struct ui_content){.size = entry->size, .root = entry->root};
    return P2P_OK;
}

/* Reads all pages. If a peer has more names than are kept, or than it can send in time,
 * the rest is left out. */
static enum p2p_err
list_names(struct p2p_conn *conn, struct names *n)
{
    const struct p2p_list_visitor visitor = {.file = add_name, .arg = n};
    enum p2p_err err =
        p2p_conn_list_all(conn, p2p_now_ms() + LIST_PATIENCE_MS, &visitor);

    return err == P2P_ERR_TOO_LARGE || err == P2P_ERR_TIMEOUT ? P2P_OK : err;
}

static void
keep(struct ui_peers *p, const struct ui_source *who, enum ui_found_by found_by,
     const struct p2p_about *about, struct names *n)
{
    struct ui_peer *peer;

    p2p_lock(&p->lock);
    if ((peer = add(p, &who->id, &who->addr, found_by)) != NULL) {
        struct ui_peer old = *peer;
        peer->files = n->at;
        peer->contents = n->contents;
        peer->file_count = peer->files_total = n->count;
        peer->last_seen_s = p2p_time_s();
        if (about != NULL)
            peer->about = *about;
        ui_peer_clear(&old);
        memset(n, 0, sizeof(*n));
    }
    p2p_unlock(&p->lock);
    for (size_t i = 0; i < n->count; i++)
        free(n->at[i]);
    free(n->at);
    free(n->contents);
}

/* Connects to the peer at this address (it must be `who->id` if that is known), and
 * keeps its list of files. */
static enum p2p_err
meet(struct ui_peers *p, struct ui_source *who, enum ui_found_by found_by)
{
    struct p2p_conn *conn = NULL;
    struct names n = {0};
    enum p2p_err err =
        ui_peers_connect(p, &who->addr, who->id_known ? &who->id : NULL, &conn);

    if (err != P2P_OK)
        return err;
    who->id = *p2p_conn_peer(conn);
    n.bytes_left = allowance(p, &who->id, found_by);
    if (p2p_id_equal(&who->id, p2p_identity_id(p->parts.identity)))
        err = P2P_ERR_EXISTS;
    else if (list_names(conn, &n) != P2P_OK)
        p2p_log_info("cannot list the files of a peer on the local network");
    if (err == P2P_OK && found_by == UI_BY_HAND)
        p2p_conn_remember(conn);
    if (err == P2P_OK)
        keep(p, who, found_by, p2p_conn_about(conn), &n);
    p2p_conn_close(conn);
    return err;
}

/* ---- mDNS ---- */

static bool
is_announced(const struct p2p_mdns_peer *found, size_t count, const struct p2p_id *id)
{
    for (size_t i = 0; i < count; i++)
        if (p2p_id_equal(&found[i].id, id))
            return true;
    return false;
}

/* Under the lock. What the peer itself said counts more than its announcement. */
static void
add_announced(struct ui_peers *p, const struct p2p_mdns_peer *found)
    P2P_REQUIRES(ui_peers_lock)
{
    struct ui_peer *peer = add(p, &found->id, &found->addr, UI_BY_MDNS);

    if (peer != NULL && peer->about.name[0] == '\0')
        (void)p2p_about_set_name(&peer->about, found->name, strlen(found->name));
}

/* Under the lock. Removes neighbors that have announced their end; those added by hand
 * stay. */
static void
take_announced(struct ui_peers *p, const struct p2p_mdns_peer *found, size_t count)
    P2P_REQUIRES(ui_peers_lock)
{
    for (size_t i = p->neighbor_count; i-- > 0;)
        if (p->neighbors[i].found_by == UI_BY_MDNS &&
            !is_announced(found, count, &p->neighbors[i].id)) {
            ui_peer_clear(&p->neighbors[i]);
            p->neighbors[i] = p->neighbors[--p->neighbor_count];
        }
    for (size_t i = 0; i < count; i++)
        if (!p2p_id_equal(&found[i].id, p2p_identity_id(p->parts.identity)))
            add_announced(p, &found[i]);
}

static void
browse(struct ui_peers *p)
{
    struct p2p_mdns_peer found[NEIGHBORS_MAX];
    size_t count = 0;

    if (p2p_mdns_browse(BROWSE_MS, found, NEIGHBORS_MAX, &count) != P2P_OK)
        return;
    p2p_lock(&p->lock);
    take_announced(p, found, count);
    p2p_unlock(&p->lock);
}

/* ---- asking all of them ---- */

struct target {
    struct ui_source who;
    enum ui_found_by found_by;
};

/* Under the lock. Lists neighbors that were never asked, and all of them once a minute.
 */
static size_t
choose(struct ui_peers *p, struct target *out) P2P_REQUIRES(ui_peers_lock)
{
    bool all = p->neighbor_asked_ms == 0 ||
               p2p_now_ms() - p->neighbor_asked_ms >= LIST_EVERY_MS;
    size_t count = 0;

    if (all)
        p->neighbor_asked_ms = p2p_now_ms();
    for (size_t i = 0; i < p->neighbor_count; i++) {
        struct ui_peer *peer = &p->neighbors[i];
        if (!all && (peer->is_asked || peer->last_seen_s > 0))
            continue;
        peer->is_asked = true;
        out[count++] = (struct target){
            .who = {.addr = peer->addr, .id = peer->id, .id_known = true},
            .found_by = peer->found_by};
    }
    return count;
}

/*
 * Runs on a worker, because it takes ten seconds to be sure that a neighbor is gone.
 */
static void
look(void *context, void *arg)
{
    struct ui_peers *p = context;
    struct target targets[NEIGHBORS_MAX];
    size_t count;

    (void)arg;
    browse(p);
    p2p_lock(&p->lock);
    count = choose(p, targets);
    p2p_unlock(&p->lock);
    for (size_t i = 0; i < count && !p->is_stopping; i++) {
        enum p2p_err err = meet(p, &targets[i].who, targets[i].found_by);
        if (err != P2P_OK)
            p2p_log_debug("a peer on the local network cannot be reached error=%s",
                          p2p_err_name(err));
    }
    p2p_lock(&p->lock);
    p->is_asking_neighbors = false;
    p->made_ms = 0; /* the snapshot does not have these files yet */
    p2p_unlock(&p->lock);
    if (count > 0)
        ui_watch_report(p->parts.watch, UI_NEWS_PEERS);
}

void
ui_neighbors_look(struct ui_peers *p)
{
    static const struct ui_job_kind kind = {look, NULL, free, false};
    bool is_due;

    p2p_lock(&p->lock);
    is_due = !p->is_asking_neighbors && p->jobs != NULL &&
             (p->browsed_ms == 0 || p2p_now_ms() - p->browsed_ms >= LOOK_EVERY_MS);
    if (is_due) {
        p->browsed_ms = p2p_now_ms();
        p->is_asking_neighbors = true;
    }
    p2p_unlock(&p->lock);
    if (is_due && !ui_job_spawn(p->jobs, &kind, p, malloc(1))) {
        p2p_lock(&p->lock);
        p->is_asking_neighbors = false;
        p2p_unlock(&p->lock);
    }
}

/* ---- by hand ---- */

/* A neighbor that mDNS had found is kept from now on. */
static void
make_lasting(struct ui_peers *p, const struct p2p_id *id)
{
    struct ui_peer *peer;

    p2p_lock(&p->lock);
    if ((peer = find(p, id)) != NULL)
        peer->found_by = UI_BY_HAND;
    p2p_unlock(&p->lock);
}

enum p2p_err
ui_neighbors_add(struct ui_peers *p, const struct p2p_addr *addr, struct p2p_id *id)
{
    char hex[P2P_ID_HEX_LEN + 1], text[P2P_HOST_MAX + 16];
    struct ui_source who = {.addr = *addr};
    enum p2p_err err = meet(p, &who, UI_BY_HAND);

    if (err != P2P_OK)
        return err;
    *id = who.id;
    make_lasting(p, id);
    p2p_hex_format(id->b, sizeof(id->b), hex);
    ui_store_put_note(p->parts.store, &(struct ui_note){.kind = "peer",
                                                        .key = hex,
                                                        .value = p2p_addr_format(
                                                            addr, text, sizeof(text)),
                                                        .time_s = p2p_time_s()});
    return P2P_OK;
}

void
ui_peers_drop(struct ui_peers *p, const struct p2p_id *id)
{
    char hex[P2P_ID_HEX_LEN + 1];
    struct ui_peer *peer;

    p2p_hex_format(id->b, sizeof(id->b), hex);
    ui_store_remove_note(p->parts.store, "peer", hex);
    p2p_lock(&p->lock);
    if ((peer = find(p, id)) != NULL) {
        ui_peer_clear(peer);
        *peer = p->neighbors[--p->neighbor_count];
    }
    p->made_ms = 0; /* the snapshot still has it */
    p2p_unlock(&p->lock);
}
