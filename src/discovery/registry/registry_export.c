/* Encodes peers for snapshots and for other registries. */
#include <stdlib.h>
#include <string.h>

#include "discovery/index/fold.h"
#include "discovery/registry/registry_internal.h"
#include "p2p/lock.h"

/* Borrows names from the catalogue: valid only while the lock is held. */
static bool
fill_entries(const struct registry *r, const struct peer *p, struct record *rec)
{
    const struct catalogue *c = &r->catalogue;

    rec->entries = calloc(p->count + 1u, sizeof(*rec->entries));
    if (rec->entries == NULL)
        return false;
    for (; rec->count < p->count; rec->count++) {
        const struct file *f = catalogue_file(c, p->files[rec->count]);
        struct p2p_reg_entry *e = &rec->entries[rec->count];

        e->name.at = fold_spelling(catalogue_name(c, f->name)->text);
        e->name.len = strlen(e->name.at);
        if (f->content == SLAB_NONE)
            continue;
        e->size = catalogue_content(c, f->content)->size;
        e->root = catalogue_content(c, f->content)->root;
        e->sha256 = catalogue_content(c, f->content)->sha256;
    }
    qsort(rec->entries, rec->count, sizeof(*rec->entries), record_compare_entries);
    return true;
}

static enum p2p_err
encode_peer(const struct registry *r, uint32_t at, uint8_t **bytes, size_t *len)
{
    const struct peer *p = peer_at(r, at);
    struct record rec = {.has_content = p->has_content};
    struct registry_peer view;
    enum p2p_err err = P2P_ERR_NOMEM;

    registry_fill_peer(r, at, &view);
    rec.id = p->id;
    memcpy(rec.ip, view.ip, sizeof(rec.ip));
    rec.port = p->port;
    rec.protocols = p->protocols;
    rec.is_ip_claimed = p->is_ip_claimed;
    rec.is_signed = p->key != NULL;
    rec.stamp = p->stamp;
    if (rec.is_signed) {
        rec.seq = p->seq;
        rec.expires_at_s = p->expires_at_s;
        rec.key = *p->key;
    }
    if (fill_entries(r, p, &rec))
        err = record_encode(&rec, bytes, len);
    record_clear(&rec);
    return err;
}

/* Converts a time of CLOCK_MONOTONIC to the time of day. */
static uint64_t
until_s(uint64_t ms)
{
    uint64_t now_ms = p2p_now_ms();

    return ms > now_ms ? p2p_time_s() + (ms - now_ms + 999) / 1000 : 0;
}

static bool
export_tombstone(struct registry *r, uint32_t at, registry_visit_export *visit,
                 void *arg)
{
    struct registry_exported out = {.addresses = ""};
    const struct tombstone *stone;
    bool is_used;

    p2p_read_lock(&r->lock);
    stone = tombstone_at(&r->tombstones, at);
    is_used = stone->until_ms > p2p_now_ms();
    out.id = stone->id;
    out.seq = stone->seq;
    out.seq_until_s = until_s(stone->until_ms);
    p2p_rw_unlock(&r->lock);
    return !is_used || visit(arg, &out);
}

/* Also true if there was nothing to visit. */
static bool
export_at(struct registry *r, uint32_t at, registry_visit_export *visit, void *arg)
{
    struct registry_exported out = {0};
    enum p2p_err err = P2P_OK;
    uint8_t *bytes = NULL;
    char addresses[RECORD_ADDRESSES_MAX + 1] = "";
    bool goes_on = true;
    struct peer *p;
    bool is_used;

    p2p_read_lock(&r->lock);
    p = peer_at(r, at);
    if ((is_used = p->is_used)) {
        out.id = p->id;
        out.heard_ms = p->heard_ms;
        out.seq = p->seq;
        out.seq_until_s = until_s(p->guard_ms);
        out.about = p->about;
        if (p->addresses != NULL)
            memcpy(addresses, p->addresses, strlen(p->addresses) + 1);
        err = encode_peer(r, at, &bytes, &out.len);
    }
    p2p_rw_unlock(&r->lock);
    out.bytes = bytes;
    out.addresses = addresses;
    if (is_used && err == P2P_OK)
        goes_on = visit(arg, &out);
    free(bytes);
    return goes_on && err == P2P_OK;
}

bool
registry_has_claims(const struct registry_exported *peer)
{
    return peer->about.name[0] != '\0' || peer->addresses[0] != '\0' ||
           peer->about.kind != P2P_ABOUT_UNKNOWN;
}

bool
registry_export(struct registry *r, registry_visit_export *visit, void *arg)
{
    uint32_t used, stones;

    p2p_read_lock(&r->lock);
    used = r->peers.used;
    stones = r->tombstones.slab.used;
    p2p_rw_unlock(&r->lock);
    for (uint32_t i = 0; i < used; i++)
        if (!export_at(r, i, visit, arg))
            return false;
    for (uint32_t i = 0; i < stones; i++)
        if (!export_tombstone(r, i, visit, arg))
            return false;
    return true;
}

bool
registry_export_one(struct registry *r, const struct p2p_id *id,
                    registry_visit_export *visit, void *arg)
{
    uint32_t at, stone;

    p2p_read_lock(&r->lock);
    at = registry_find(r, id);
    stone = tombstones_find(&r->tombstones, id);
    p2p_rw_unlock(&r->lock);
    if (at != SLAB_NONE)
        return export_at(r, at, visit, arg);
    return stone != SLAB_NONE && export_tombstone(r, stone, visit, arg);
}
