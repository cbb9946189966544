/* The questions of a connection before it fetches: does this source have the same file,
 * and what is the file's layer? */
#include "core/download/download_internal.h"

#include <stdlib.h>
#include <string.h>

#include "p2p/lock.h"
#include "p2p/log.h"

static enum p2p_err
ask_meta(struct dl_worker *w, bool by_root, struct p2p_meta *meta)
{
    struct p2p_download *dl = w->dl;
    struct p2p_digest root;

    p2p_lock(&dl->lock);
    by_root |= dl->root_asked || dl->meta_known;
    root = dl->meta.root;
    p2p_unlock(&dl->lock);
    if (by_root && dl->protocol != 1)
        return p2p_conn_meta_by_root(w->conn, &root, meta);
    return p2p_conn_meta_by_name(w->conn, dl->name, meta);
}

static bool
is_same_file(const struct p2p_download *dl, const struct p2p_meta *meta)
{
    if (dl->meta.geometry.size != meta->geometry.size)
        return false;
    if (dl->protocol == 1)
        return dl->meta.geometry.chunk_size == meta->geometry.chunk_size &&
               memcmp(&dl->meta.sha256, &meta->sha256, sizeof(meta->sha256)) == 0;
    return memcmp(&dl->meta.root, &meta->root, sizeof(meta->root)) == 0;
}

/* Lock held in agree: the first source to answer says what the file is, and the others
 * must agree. */
/* The root proves the bytes. The size is only the source's statement until all bytes
 * are here. */
static bool
is_size_announced(const struct p2p_download *dl, uint64_t size)
{
    uint64_t announced = dl->announced_size;

    if (!dl->size_announced || size == announced)
        return true;
    return !dl->root_asked && size <= 2 * announced + P2P_DOWNLOAD_GROWTH_MAX;
}

static enum p2p_err
agree(struct dl_worker *w, const struct p2p_meta *meta)
{
    struct p2p_download *dl = w->dl;
    struct dl_source *s = &dl->sources[w->source];

    if (!is_size_announced(dl, meta->geometry.size)) {
        s->meta = *meta;
        return P2P_ERR_WRONG_SIZE;
    }

    s->meta = *meta;
    if (!dl->meta_known) {
        dl->meta = *meta;
        dl->meta_known = true;
    }
    if (!is_same_file(dl, meta)) {
        s->disagreed = true;
        return P2P_ERR_NOT_FOUND;
    }
    if (meta->sha256_known && !dl->meta.sha256_known) {
        dl->meta.sha256 = meta->sha256;
        dl->meta.sha256_known = true;
    }
    s->agreed = s->had = true;
    s->disagreed = false;
    return P2P_OK;
}

/* The name is gone, but what was downloaded so far may be there under another one. */
static enum p2p_err
ask_moved(struct dl_worker *w, struct p2p_meta *meta)
{
    struct p2p_download *dl = w->dl;

    p2p_lock(&dl->lock);
    bool is_possible = dl->protocol != 1 && !dl->root_asked && !dl->meta_known &&
                       dl->old_layer != NULL;
    struct p2p_digest root = dl->old_root;
    p2p_unlock(&dl->lock);
    return is_possible ? p2p_conn_meta_by_root(w->conn, &root, meta)
                       : P2P_ERR_NOT_FOUND;
}

static enum p2p_err
learn_meta(struct dl_worker *w)
{
    struct p2p_download *dl = w->dl;
    struct p2p_meta meta;
    enum p2p_err err;

    p2p_lock(&dl->lock);
    struct dl_source *s = &dl->sources[w->source];
    bool agreed = s->agreed;
    if (dl->protocol != 1) {
        s->id = *p2p_conn_peer(w->conn);
        s->id_known = true;
    }
    p2p_unlock(&dl->lock);
    if (agreed) /* another connection to this source has asked already */
        return P2P_OK;
    err = ask_meta(w, false, &meta);
    if (err == P2P_ERR_NOT_FOUND)
        err = ask_moved(w, &meta);
    p2p_lock(&dl->lock);
    s->disagreed = err == P2P_ERR_NOT_FOUND && dl->meta_known && !dl->root_asked;
    if (err == P2P_OK)
        err = agree(w, &meta);
    pthread_cond_broadcast(
        &dl->changed); /* the control thread may start more connections now */
    bool other_file = s->disagreed && err == P2P_ERR_NOT_FOUND;
    p2p_unlock(&dl->lock);
    if (!other_file || !meta.root_known)
        return err;
    /* The source has another file under this name. It may have ours under another name.
     */
    err = ask_meta(w, true, &meta);
    p2p_lock(&dl->lock);
    if (err == P2P_OK)
        err = agree(w, &meta);
    p2p_unlock(&dl->lock);
    return err;
}

/* Lock held on entry and exit, released in between. One worker asks for the layer, the
 * others wait for it. */
static enum p2p_err
fetch_layer(struct dl_worker *w)
{
    struct p2p_download *dl = w->dl;
    struct p2p_digest *layer = NULL;
    struct p2p_meta meta = dl->meta;
    struct p2p_journal_info info;
    struct p2p_chunks geometry;
    enum p2p_err err;

    /* The layer has this source's chunk size, so this becomes the chunk size of the
     * download. */
    meta.geometry = dl->sources[w->source].meta.geometry;
    dl->layer_wanted = true;
    p2p_dl_journal_info(dl, &info);
    p2p_unlock(&dl->lock);
    /* Checks the file system and its space before it takes memory for the layer, so
     * that a file too large for the disk costs nothing. */
    err = p2p_journal_check_room(dl->downloads, &info);
    if (err != P2P_ERR_TOO_LARGE) { /* a lie of this source, and not our problem */
        enum p2p_err target = p2p_dl_check_target(dl);
        err = target != P2P_OK ? target : err;
    }
    if (err == P2P_OK)
        err = p2p_conn_layer(w->conn, &meta, &geometry, &layer);
    p2p_lock(&dl->lock);
    dl->layer_wanted = false;
    if (err == P2P_OK) {
        dl->meta.geometry = geometry;
        dl->layer = layer;
        dl->layer_known = true;
    }
    pthread_cond_broadcast(&dl->changed);
    return err;
}

static enum p2p_err
learn_layer(struct dl_worker *w)
{
    struct p2p_download *dl = w->dl;
    enum p2p_err err = P2P_OK;

    p2p_lock(&dl->lock);
    if (dl->protocol == 1)
        dl->layer_known = true;
    while (!w->stop && !dl->layer_known && dl->layer_wanted)
        p2p_dl_wait(dl, 1000);
    if (!w->stop && !dl->layer_known && !dl->looked) {
        dl->layer_wanted = true;
        p2p_dl_look(dl);
        dl->layer_wanted = false;
    }
    if (!w->stop && !dl->layer_known && !dl->present)
        err = fetch_layer(w);
    pthread_cond_broadcast(&dl->changed);
    while (err == P2P_OK && !w->stop && !dl->ready)
        p2p_dl_wait(dl, 1000);
    if (w->stop)
        err = P2P_ERR_CANCELLED;
    p2p_unlock(&dl->lock);
    return err;
}

enum p2p_err
p2p_dl_learn(struct dl_worker *w)
{
    enum p2p_err err = learn_meta(w);

    return err == P2P_OK ? learn_layer(w) : err;
}
