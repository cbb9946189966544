/* The first requests of a connection: finds out whether this source has the same file,
 * and gets the file's layer. */
#include "core/download/file.h"
#include "core/download/target.h"

#include <stdlib.h>
#include <string.h>

#include "p2p/log.h"

void
p2p_dl_journal_info(const struct p2p_download *dl, struct p2p_journal_info *info)
{
    const struct p2p_meta *meta = &dl->file->meta;

    *info = (struct p2p_journal_info){
        .root = meta->root_known ? meta->root : meta->sha256,
        .geometry = meta->geometry,
        .keep_free = dl->opt.keep_free,
        .zero_bytes = dl->file->zero_bytes,
    };
    memcpy(info->name, dl->opt.save_as, sizeof(info->name));
}

static enum p2p_err
ask_meta(struct dl_worker *w, bool by_root, struct p2p_meta *meta)
{
    struct p2p_download *dl = w->dl;
    struct p2p_digest root;

    p2p_lock(&dl->lock);
    by_root |= dl->opt.root_asked || dl->file->meta_known;
    by_root &= dl->file->meta.root_known; /* protocol 1 has none */
    root = dl->file->meta.root;
    p2p_unlock(&dl->lock);
    if (by_root)
        return p2p_conn_meta_by_root(w->conn, &root, meta);
    return p2p_conn_meta_by_name(w->conn, dl->opt.name, meta);
}

static bool
is_same_file(const struct p2p_download *dl, const struct p2p_meta *meta)
{
    if (dl->file->meta.geometry.size != meta->geometry.size)
        return false;
    if (!dl->file->meta.root_known)
        return dl->file->meta.geometry.chunk_size == meta->geometry.chunk_size &&
               memcmp(&dl->file->meta.sha256, &meta->sha256, sizeof(meta->sha256)) == 0;
    return memcmp(&dl->file->meta.root, &meta->root, sizeof(meta->root)) == 0;
}

/* The root proves the bytes. The size is only the source's statement until all bytes
 * are here. */
static bool
is_size_announced(const struct p2p_download *dl, uint64_t size)
{
    uint64_t announced = dl->opt.announced_size;

    if (!dl->opt.size_announced || size == announced)
        return true;
    return !dl->opt.root_asked && size <= 2 * announced + P2P_DOWNLOAD_GROWTH_MAX;
}

/* The first source that answers decides what the file is, and the others must agree. */
static enum p2p_err
agree(struct dl_worker *w, const struct p2p_meta *meta) P2P_REQUIRES(p2p_dl_lock)
{
    struct p2p_download *dl = w->dl;
    struct dl_source *s = &dl->swarm.sources[w->source];

    if (!is_size_announced(dl, meta->geometry.size)) {
        s->meta = *meta;
        return P2P_ERR_WRONG_SIZE;
    }

    s->meta = *meta;
    if (!dl->file->meta_known) {
        dl->file->meta = *meta;
        dl->file->meta_known = true;
    }
    if (!is_same_file(dl, meta)) {
        s->disagreed = true;
        return P2P_ERR_NOT_FOUND;
    }
    if (meta->sha256_known && !dl->file->meta.sha256_known) {
        dl->file->meta.sha256 = meta->sha256;
        dl->file->meta.sha256_known = true;
    }
    s->agreed = true;
    s->had = meta->root_known; /* it can be requested again by its root */
    s->disagreed = false;
    return P2P_OK;
}

/* The name is gone, but the content may be there under another name. */
static enum p2p_err
ask_moved(struct dl_worker *w, struct p2p_meta *meta)
{
    struct p2p_download *dl = w->dl;

    p2p_lock(&dl->lock);
    bool is_possible =
        !dl->opt.root_asked && !dl->file->meta_known && dl->file->old_layer != NULL;
    struct p2p_digest root = dl->file->old_root;
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
    struct dl_source *s = &dl->swarm.sources[w->source];
    bool agreed = s->agreed;
    if (p2p_conn_peer(w->conn) != NULL) { /* protocol 1 proves nothing */
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
    s->features = p2p_conn_features(w->conn);
    s->disagreed =
        err == P2P_ERR_NOT_FOUND && dl->file->meta_known && !dl->opt.root_asked;
    if (err == P2P_OK)
        err = agree(w, &meta);
    p2p_dl_wake(dl); /* the control thread may start more connections now */
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

/* ---- The layer: one worker asks for it, the others wait ---- */

static void
set_layer(struct p2p_download *dl, struct p2p_digest *layer, uint64_t zero_bytes)
{
    p2p_lock(&dl->lock);
    dl->file->layer = layer;
    dl->file->zero_bytes = zero_bytes;
    dl->file->layer_known = true;
    p2p_unlock(&dl->lock);
}

/* A file with more chunks is not taken for a sparse one: 32 MiB of hashes. */
#define SPARSE_CHUNKS_MAX (1ull << 20)

/* Checks the file system before it takes memory for the layer, so that a file too large
 * for the disk costs nothing. The file may be sparse: the layer shows that, and the
 * space is checked again when the journal is opened. */
static enum p2p_err
check_disk(struct p2p_download *dl, uint64_t chunks)
{
    struct p2p_journal_info info;
    enum p2p_err err = p2p_dl_check_target(dl);

    if (err != P2P_OK)
        return err;
    p2p_lock(&dl->lock);
    p2p_dl_journal_info(dl, &info);
    p2p_unlock(&dl->lock);
    err = p2p_journal_check_room(dl->opt.downloads, &info);
    if (err == P2P_ERR_DISK_TOO_SMALL && chunks > SPARSE_CHUNKS_MAX)
        return err;
    return err == P2P_ERR_DISK_FULL || err == P2P_ERR_DISK_TOO_SMALL ? P2P_OK : err;
}

/* The layer has this source's chunk size, so this becomes the chunk size of the
 * download. */
static enum p2p_err
fetch_layer(struct dl_worker *w)
{
    struct p2p_download *dl = w->dl;
    struct p2p_digest *layer = NULL;
    struct p2p_chunks geometry;
    uint64_t zero_bytes = 0;
    enum p2p_err err;

    p2p_lock(&dl->lock);
    struct p2p_meta meta = dl->file->meta;
    meta.geometry = dl->swarm.sources[w->source].meta.geometry;
    p2p_unlock(&dl->lock);
    err = check_disk(dl, meta.geometry.count);
    if (err == P2P_OK)
        err = p2p_conn_layer(w->conn, &meta, &geometry, &layer);
    if (err == P2P_OK)
        err = p2p_journal_zero_bytes(&geometry, layer, &zero_bytes);
    if (err != P2P_OK) {
        free(layer);
        return err;
    }
    p2p_lock(&dl->lock);
    dl->file->meta.geometry = geometry;
    p2p_unlock(&dl->lock);
    set_layer(dl, layer, zero_bytes);
    return P2P_OK;
}

/* True if this worker must get the layer. False: it is known, or another worker has
 * found that the file is there already, or this one must stop. */
static bool
take_turn(struct dl_worker *w)
{
    struct p2p_download *dl = w->dl;
    struct dl_file *file = dl->file;

    p2p_lock(&dl->lock);
    while (!w->stop && !file->layer_known && file->layer_wanted)
        p2p_dl_wait(dl, 1000);
    bool is_mine = !w->stop && !file->layer_known && !file->present;
    file->layer_wanted |= is_mine;
    p2p_unlock(&dl->lock);
    return is_mine;
}

static void
end_turn(struct p2p_download *dl)
{
    p2p_lock(&dl->lock);
    dl->file->layer_wanted = false;
    p2p_dl_wake(dl);
    p2p_unlock(&dl->lock);
}

/* True if the file is not there already. Checks only once. */
static bool
is_missing(struct p2p_download *dl)
{
    p2p_lock(&dl->lock);
    bool looked = dl->file->looked;
    p2p_unlock(&dl->lock);
    if (!looked)
        p2p_dl_look(dl);
    p2p_lock(&dl->lock);
    bool present = dl->file->present;
    p2p_unlock(&dl->lock);
    return !present;
}

static enum p2p_err
find_layer(struct dl_worker *w)
{
    struct p2p_download *dl = w->dl;

    if (!dl->file->meta.root_known) { /* protocol 1: there is none */
        enum p2p_err err = p2p_dl_check_target(dl);
        if (err == P2P_OK)
            set_layer(dl, NULL, 0);
        return err;
    }
    if (!is_missing(dl) || p2p_dl_worker_is_stopped(w))
        return P2P_OK;
    return fetch_layer(w);
}

/* Waits until the control thread has opened the journal. */
static enum p2p_err
wait_until_ready(struct dl_worker *w)
{
    struct p2p_download *dl = w->dl;

    p2p_lock(&dl->lock);
    while (!w->stop && !dl->file->ready)
        p2p_dl_wait(dl, 1000);
    enum p2p_err err = w->stop ? P2P_ERR_CANCELLED : P2P_OK;
    p2p_unlock(&dl->lock);
    return err;
}

static enum p2p_err
learn_layer(struct dl_worker *w)
{
    enum p2p_err err = P2P_OK;

    if (take_turn(w)) {
        err = find_layer(w);
        end_turn(w->dl);
    }
    return err == P2P_OK ? wait_until_ready(w) : err;
}

enum p2p_err
p2p_dl_learn(struct dl_worker *w)
{
    enum p2p_err err = learn_meta(w);

    return err == P2P_OK ? learn_layer(w) : err;
}
