/*
 * Peers added by hand. No registry tells what they share, so each is asked itself
 * (LIST): when it is added, and once a minute while somebody looks.
 */
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/log.h"
#include "ui/app.h"
#include "ui/peers_internal.h"
#include "ui/store.h"
#include "ui/watch.h"

#define HAND_MAX      64
#define LOOK_EVERY_MS 60000
#define NAMES_MAX     10000

/* ---- the list; under the lock ---- */

static struct ui_peer *
find(struct ui_peers *p, const struct p2p_id *id)
{
    for (size_t i = 0; i < p->by_hand_count; i++)
        if (p2p_id_equal(&p->by_hand[i].id, id))
            return &p->by_hand[i];
    return NULL;
}

static struct ui_peer *
add(struct ui_peers *p, const struct p2p_id *id, const struct p2p_addr *addr)
{
    struct ui_peer *peer = find(p, id);

    if (peer == NULL && p->by_hand_count < HAND_MAX) {
        struct ui_peer *list =
            realloc(p->by_hand, (p->by_hand_count + 1) * sizeof(*list));
        if (list == NULL)
            return NULL;
        p->by_hand = list;
        peer = &list[p->by_hand_count++];
        *peer = (struct ui_peer){.id = *id, .found_by = UI_BY_HAND};
    }
    if (peer != NULL)
        peer->addr = *addr;
    return peer;
}

static void
load_one(void *arg, const struct ui_note *note)
{
    struct p2p_addr addr;
    struct p2p_id id;

    if (p2p_hex_parse(note->key, id.b, sizeof(id.b)) == P2P_OK &&
        p2p_addr_parse(note->value, 0, &addr) == P2P_OK)
        add(arg, &id, &addr);
}

void
ui_hand_load(struct ui_peers *p)
{
    ui_store_load_notes(p->app->store, "peer", load_one, p);
}

/* ---- asking them ---- */

struct names {
    char **at;
    size_t count, cap;
};

static enum p2p_err
add_name(void *arg, const char *name, const struct p2p_list_entry *entry)
{
    struct names *n = arg;
    char *copy;

    (void)entry;
    if (n->count == NAMES_MAX)
        return P2P_ERR_TOO_LARGE;
    if (n->count == n->cap) {
        size_t cap = n->cap > 0 ? n->cap * 2 : 64;
        char **at = realloc(n->at, cap * sizeof(*at));
        if (at == NULL)
            return P2P_ERR_NOMEM;
        n->at = at;
        n->cap = cap;
    }
    if ((copy = strdup(name)) == NULL)
        return P2P_ERR_NOMEM;
    n->at[n->count++] = copy;
    return P2P_OK;
}

/* All pages; a peer with more names than we keep is fine, the rest is left out. */
static enum p2p_err
list_names(struct p2p_conn *conn, struct names *n)
{
    char cursor[P2P_NAME_MAX + 1] = "";
    enum p2p_err err;

    do
        err = p2p_conn_list(conn, cursor, add_name, n);
    while (err == P2P_OK && cursor[0] != '\0');
    return err == P2P_ERR_TOO_LARGE ? P2P_OK : err;
}

static void
keep(struct ui_peers *p, const struct p2p_id *id, const struct p2p_addr *addr,
     struct names *n)
{
    struct ui_peer *peer;

    pthread_mutex_lock(&p->lock);
    if ((peer = add(p, id, addr)) != NULL) {
        struct ui_peer old = *peer;
        peer->files = n->at;
        peer->file_count = n->count;
        peer->last_seen_s = p2p_time_s();
        ui_peer_clear(&old);
        memset(n, 0, sizeof(*n));
    }
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < n->count; i++)
        free(n->at[i]);
    free(n->at);
}

/* Meets whoever is there (or exactly `expected`), and keeps what it shares. */
static enum p2p_err
meet(struct ui_peers *p, const struct p2p_addr *addr, const struct p2p_id *expected,
     struct p2p_id *id)
{
    struct p2p_conn *conn = NULL;
    struct names n = {0};
    enum p2p_err err = ui_peers_connect(p->app, addr, expected, &conn);

    if (err != P2P_OK)
        return err;
    *id = *p2p_conn_peer(conn);
    if (p2p_id_equal(id, p2p_identity_id(p->app->identity)))
        err = P2P_ERR_EXISTS;
    else if (list_names(conn, &n) != P2P_OK)
        p2p_log_info("a peer added by hand did not list its files");
    if (err == P2P_OK)
        keep(p, id, addr, &n);
    p2p_conn_close(conn);
    return err;
}

void
ui_hand_look(struct ui_peers *p)
{
    struct ui_source targets[HAND_MAX];
    size_t count = 0;

    pthread_mutex_lock(&p->lock);
    if (p->hand_looked_ms == 0 || p2p_now_ms() - p->hand_looked_ms >= LOOK_EVERY_MS) {
        p->hand_looked_ms = p2p_now_ms();
        for (; count < p->by_hand_count; count++)
            targets[count] = (struct ui_source){.addr = p->by_hand[count].addr,
                                                .id = p->by_hand[count].id};
    }
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < count; i++) {
        struct p2p_id id;
        enum p2p_err err = meet(p, &targets[i].addr, &targets[i].id, &id);
        if (err != P2P_OK)
            p2p_log_debug("a peer added by hand is away error=%s", p2p_err_name(err));
    }
}

enum p2p_err
ui_peers_add(struct ui_app *app, const struct p2p_addr *addr, struct p2p_id *id)
{
    char hex[P2P_ID_HEX_LEN + 1], text[P2P_HOST_MAX + 16];
    enum p2p_err err = meet(app->peers, addr, NULL, id);

    if (err != P2P_OK)
        return err;
    p2p_hex_format(id->b, sizeof(id->b), hex);
    ui_store_put_note(app->store, &(struct ui_note){.kind = "peer",
                                                    .key = hex,
                                                    .value = p2p_addr_format(
                                                        addr, text, sizeof(text)),
                                                    .time_s = p2p_time_s()});
    ui_peers_look(app);
    ui_watch_peers(app);
    return P2P_OK;
}

void
ui_peers_drop(struct ui_app *app, const struct p2p_id *id)
{
    char hex[P2P_ID_HEX_LEN + 1];
    struct ui_peers *p = app->peers;
    struct ui_peer *peer;

    p2p_hex_format(id->b, sizeof(id->b), hex);
    ui_store_remove_note(app->store, "peer", hex);
    pthread_mutex_lock(&p->lock);
    if ((peer = find(p, id)) != NULL) {
        ui_peer_clear(peer);
        *peer = p->by_hand[--p->by_hand_count];
    }
    p->made_ms = 0; /* the snapshot still has it */
    pthread_mutex_unlock(&p->lock);
}
