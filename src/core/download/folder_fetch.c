/* Downloads small files over one connection: requests several whole files at a time, so
 * that there is no pause between them. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/download/folder.h"
#include "core/download/target.h"
#include "core/journal/journal_file.h"
#include "core/remote/request.h"
#include "p2p/bytes.h"
#include "p2p/tree.h"

#define SLICE_MS  200
#define AHEAD_MAX (8 * P2P_MIB) /* bytes requested and not yet received */

struct slot {
    size_t file;
    uint8_t *buf; /* NULL: free */
    uint32_t length, asked, received;
    bool wants_meta, has_meta; /* state of the request for its SHA-256 */
    uint32_t meta_req;         /* this request, once it is sent */
    struct p2p_digest sha256;
    bool sha256_known;
};

struct small_fetch {
    struct dl_worker *w;
    struct slot slots[REQUESTS_MAX];
    struct requests requests;
    unsigned used;
    uint64_t ahead;
    uint32_t max_get; /* largest answer that this source sends */
    uint64_t last_bytes_ms;
};

bool
p2p_folder_is_small(const struct folder_file *file)
{
    return file->size <= FOLDER_SMALL_MAX;
}

void
p2p_folder_private_name(const struct folder *f, const struct folder_file *file,
                        char out[FOLDER_PRIVATE_MAX])
{
    char hex[2 * P2P_DIGEST_LEN + 1];

    /* The name contains the place in the list, because the same content may exist under
     * several names. It contains the number of the run, because another program may
     * download the same folder now: a file that is being published must not be opened
     * for writing. */
    p2p_hex_format(file->root.b, sizeof(file->root.b), hex);
    snprintf(out, FOLDER_PRIVATE_MAX, "%s-%zu-%016llx" FOLDER_SUFFIX, hex,
             (size_t)(file - f->files), (unsigned long long)f->run);
}

enum p2p_err
p2p_folder_check_root(const struct folder_file *file, const uint8_t *data)
{
    struct p2p_chunks g;
    struct p2p_digest layer[FOLDER_SMALL_MAX / P2P_CHUNK_SIZE_DEFAULT], root;
    enum p2p_err err = p2p_chunks_init(&g, file->size, P2P_CHUNK_SIZE_DEFAULT);

    for (uint64_t i = 0; i < g.count && err == P2P_OK; i++)
        err = p2p_tree_chunk(&g, data + p2p_chunk_offset(&g, i),
                             p2p_chunk_length(&g, i), &layer[i]);
    if (err == P2P_OK)
        err = p2p_tree_root(&g, layer, &root);
    if (err == P2P_OK && memcmp(&root, &file->root, sizeof(root)) != 0)
        err = P2P_ERR_HASH_MISMATCH;
    return err;
}

bool
p2p_folder_take(struct folder *f, unsigned source, size_t *index)
{
    while (f->next < f->count && (f->files[f->next].state != FOLDER_TODO ||
                                  !p2p_folder_is_small(&f->files[f->next])))
        f->next++;
    for (size_t i = f->next; i < f->count; i++) {
        struct folder_file *file = &f->files[i];
        if (file->state != FOLDER_TODO || !p2p_folder_is_small(file) ||
            (file->refused >> source & 1))
            continue;
        file->state = FOLDER_HELD;
        *index = i;
        return true;
    }
    return false;
}

/* ---- Storing ---- */

enum p2p_err
p2p_folder_write_private(const struct p2p_download *dl, const struct folder_file *file,
                         const uint8_t *data)
{
    char name[FOLDER_PRIVATE_MAX];
    int fd = -1;
    enum p2p_err err;

    const struct p2p_journal_info info = {.root = file->root,
                                          .geometry.size = file->size,
                                          .keep_free = dl->opt.keep_free};

    if ((err = p2p_journal_check_room(dl->opt.downloads, &info)) != P2P_OK)
        return err;
    p2p_folder_private_name(dl->folder, file, name);
    err = p2p_root_open_private(dl->opt.downloads, name, O_WRONLY | O_CREAT | O_TRUNC,
                                &fd);
    if (err == P2P_OK && file->size > 0)
        err = p2p_pwrite_full(fd, data, (size_t)file->size, 0);
    if (err == P2P_OK)
        p2p_dl_keep_time(fd, file->mtime_s);
    if (fd >= 0)
        close(fd);
    return err;
}

enum p2p_err
p2p_folder_copy_base(struct p2p_download *dl, struct folder_file *file)
{
    uint8_t *data = NULL;
    struct stat st;
    int fd = -1;
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    if (file->base == NULL || !p2p_folder_is_small(file) || file->problem != P2P_OK)
        return P2P_OK;
    if (p2p_root_open_file(dl->opt.downloads, file->base, &fd, &st) == P2P_OK &&
        (uint64_t)st.st_size == file->size)
        err = (data = malloc((size_t)file->size + 1)) != NULL ? P2P_OK : P2P_ERR_NOMEM;
    if (err == P2P_OK)
        err = p2p_pread_full(fd, data, (size_t)file->size, 0);
    if (err == P2P_OK)
        err = p2p_folder_check_root(file, data);
    p2p_fd_close(&fd);
    bool is_read = err == P2P_OK;
    if (is_read && (err = p2p_folder_write_private(dl, file, data)) == P2P_OK)
        file->state = FOLDER_WRITTEN;
    free(data);
    return is_read ? err : P2P_OK; /* else it is downloaded */
}

/* Also checks the whole file's hash, if one is stated. */
static enum p2p_err
check_sha256(const struct slot *slot)
{
    struct p2p_digest sha256;
    enum p2p_err err = P2P_OK;

    if (slot->sha256_known)
        err = p2p_sha256(slot->buf, slot->length, &sha256);
    if (slot->sha256_known && err == P2P_OK &&
        memcmp(&sha256, &slot->sha256, sizeof(sha256)) != 0)
        err = P2P_ERR_HASH_MISMATCH;
    return err;
}

static enum p2p_err
finish(struct small_fetch *s, struct slot *slot)
{
    struct p2p_download *dl = s->w->dl;
    struct folder_file *file = &dl->folder->files[slot->file];
    enum p2p_err err = p2p_folder_check_root(file, slot->buf);

    if (err == P2P_OK)
        err = check_sha256(slot);
    if (err == P2P_OK)
        err = p2p_folder_write_private(dl, file, slot->buf);
    if (err != P2P_OK)
        return err;
    p2p_lock(&dl->lock);
    file->state = FOLDER_WRITTEN;
    dl->folder->written++;
    dl->report.received += file->size;
    dl->folder->verified += file->size;
    p2p_dl_source_delivered(dl, s->w->source, file->size);
    p2p_unlock(&dl->lock);
    free(slot->buf);
    *slot = (struct slot){0};
    s->used--;
    return P2P_OK;
}

static enum p2p_err
finish_if_complete(struct small_fetch *s, struct slot *slot)
{
    return slot->received == slot->length && slot->has_meta ? finish(s, slot) : P2P_OK;
}

/* ---- Asking ---- */

/* In the table of requests, a META? has length 0. */
static enum p2p_err
ask_meta(struct small_fetch *s, unsigned i)
{
    struct request *r =
        p2p_requests_add(&s->requests, p2p_conn_next_req(s->w->conn), i, 0, 0);
    struct p2p_msg get = {.type = P2P_MSG_META_GET, .req = r->req};

    s->slots[i].wants_meta = false;
    s->slots[i].meta_req = r->req;
    get.meta_get.by = P2P_META_BY_ROOT;
    get.meta_get.root = s->w->dl->folder->files[s->slots[i].file].root;
    return p2p_conn_put(s->w->conn, &get);
}

static enum p2p_err
ask_rest(struct small_fetch *s)
{
    enum p2p_err err = P2P_OK;

    for (unsigned i = 0; i < REQUESTS_MAX && err == P2P_OK; i++) {
        struct slot *slot = &s->slots[i];
        if (slot->wants_meta && s->requests.count < REQUESTS_MAX)
            err = ask_meta(s, i);
        while (slot->buf != NULL && slot->asked < slot->length && err == P2P_OK &&
               s->requests.count < REQUESTS_MAX) {
            uint32_t left = slot->length - slot->asked;
            struct request *r =
                p2p_requests_add(&s->requests, p2p_conn_next_req(s->w->conn), i,
                                 slot->asked, left < s->max_get ? left : s->max_get);
            struct p2p_msg get = {.type = P2P_MSG_GET, .req = r->req};
            get.get.root = s->w->dl->folder->files[slot->file].root;
            get.get.offset = r->base;
            get.get.length = r->length;
            slot->asked += r->length;
            err = p2p_conn_put(s->w->conn, &get);
        }
    }
    return err;
}

static struct slot *
free_slot(struct small_fetch *s)
{
    unsigned i = 0;

    while (s->slots[i].buf != NULL)
        i++;
    return &s->slots[i];
}

/* An empty file needs no bytes from a source. */
static enum p2p_err
take_file(struct small_fetch *s, size_t index)
{
    const struct folder_file *file = &s->w->dl->folder->files[index];
    struct slot *slot = free_slot(s);

    slot->buf = malloc((size_t)file->size + 1);
    if (slot->buf == NULL)
        return P2P_ERR_NOMEM;
    slot->file = index;
    slot->length = (uint32_t)file->size;
    /* The root of one block is its SHA-256. */
    slot->wants_meta =
        s->w->dl->opt.verify == P2P_VERIFY_FULL && file->size > P2P_BLOCK_SIZE;
    slot->has_meta = !slot->wants_meta;
    s->used++;
    s->ahead += file->size;
    return file->size == 0 ? finish(s, slot) : P2P_OK;
}

static enum p2p_err
refill(struct small_fetch *s)
{
    struct p2p_download *dl = s->w->dl;
    enum p2p_err err = P2P_OK;

    while (err == P2P_OK && s->requests.count + s->used / 2 < REQUESTS_MAX &&
           s->used < REQUESTS_MAX && s->ahead < AHEAD_MAX) {
        size_t index;
        p2p_lock(&dl->lock);
        bool taken = !s->w->stop && !s->w->retire &&
                     p2p_folder_take(dl->folder, s->w->source, &index);
        p2p_unlock(&dl->lock);
        if (!taken)
            break;
        err = take_file(s, index);
        if (err == P2P_OK)
            err = ask_rest(s);
    }
    if (err == P2P_OK)
        err = ask_rest(s);
    return err == P2P_OK ? p2p_conn_flush(s->w->conn) : err;
}

/* ---- Answers ---- */

/* Gives the file back to the list; this source does not have it. */
static void
give_back(struct small_fetch *s, struct slot *slot, bool refused)
{
    struct p2p_download *dl = s->w->dl;
    struct folder_file *file = &dl->folder->files[slot->file];

    p2p_lock(&dl->lock);
    file->state = FOLDER_TODO;
    if (refused)
        file->refused |= 1u << s->w->source;
    if (slot->file < dl->folder->next)
        dl->folder->next = slot->file;
    p2p_dl_wake(dl);
    p2p_unlock(&dl->lock);
    free(slot->buf);
    *slot = (struct slot){0};
    s->used--;
}

static enum p2p_err
on_data(struct small_fetch *s, const struct p2p_msg *msg)
{
    struct request *r = p2p_requests_find(&s->requests, msg->req);
    enum p2p_err err;

    if (r == NULL || r->length == 0)
        return P2P_ERR_PROTOCOL;
    struct slot *slot = &s->slots[r->slot];
    err = p2p_request_take(r, &msg->data, slot->buf);
    if (err != P2P_OK || r->received < r->length)
        return err;
    s->ahead -= r->length;
    slot->received += r->length;
    p2p_requests_forget(&s->requests, r);
    return finish_if_complete(s, slot);
}

/* If the file was refused meanwhile, its slot may belong to another file now. */
static enum p2p_err
on_meta(struct small_fetch *s, const struct p2p_msg *msg)
{
    struct request *r = p2p_requests_find(&s->requests, msg->req);

    if (r == NULL || r->length != 0)
        return P2P_ERR_PROTOCOL;
    struct slot *slot = &s->slots[r->slot];
    bool is_ours = slot->meta_req == r->req;
    p2p_requests_forget(&s->requests, r);
    if (slot->buf == NULL || slot->has_meta || !is_ours ||
        memcmp(&msg->meta.root, &s->w->dl->folder->files[slot->file].root,
               sizeof(msg->meta.root)) != 0)
        return P2P_OK;
    slot->has_meta = true;
    slot->sha256_known = (msg->meta.flags & P2P_META_SHA256_KNOWN) != 0;
    slot->sha256 = msg->meta.sha256;
    return finish_if_complete(s, slot);
}

/* The answer to the GET decides whether the file is available. An answer to the META?
 * of a file that had this slot before says nothing about this one. */
static enum p2p_err
on_meta_refused(struct small_fetch *s, struct request *r)
{
    struct slot *slot = &s->slots[r->slot];
    bool is_ours = slot->buf != NULL && slot->meta_req == r->req;

    p2p_requests_forget(&s->requests, r);
    if (!is_ours)
        return P2P_OK;
    slot->has_meta = true;
    return finish_if_complete(s, slot);
}

/*
 * The source may lack only this file, so the connection stays in use. If a range is
 * refused, its chunks are smaller than assumed: 16 KiB always fit.
 */
static enum p2p_err
on_refusal(struct small_fetch *s, const struct p2p_msg *msg)
{
    struct request *r = p2p_requests_find(&s->requests, msg->req);
    enum p2p_err err;

    if (r == NULL)
        return P2P_ERR_PROTOCOL;
    if (r->length == 0)
        return on_meta_refused(s, r);
    err = p2p_conn_refusal(s->w->conn, msg);
    struct slot *slot = &s->slots[r->slot];
    bool whole = slot->asked == slot->length && r->length == slot->length;
    bool too_much = err == P2P_ERR_RANGE && r->length > P2P_CHUNK_SIZE_MIN;
    if (!whole ||
        !(too_much || err == P2P_ERR_NOT_FOUND || err == P2P_ERR_FILE_CHANGED))
        return err;
    s->ahead -= r->length;
    p2p_requests_forget(&s->requests, r);
    give_back(s, slot, !too_much);
    if (too_much)
        s->max_get = P2P_CHUNK_SIZE_MIN;
    return P2P_OK;
}

static enum p2p_err
receive(struct small_fetch *s)
{
    struct p2p_msg msg;
    enum p2p_err err = p2p_conn_receive(s->w->conn, p2p_now_ms() + SLICE_MS, &msg);

    if (err == P2P_ERR_TIMEOUT)
        return p2p_now_ms() - s->last_bytes_ms < s->w->dl->opt.timeout_ms ? P2P_OK
                                                                          : err;
    if (err != P2P_OK)
        return err;
    s->last_bytes_ms = p2p_now_ms();
    if (msg.type == P2P_MSG_ERROR)
        return on_refusal(s, &msg);
    if (msg.type == P2P_MSG_META)
        return on_meta(s, &msg);
    if (msg.type != P2P_MSG_DATA)
        return P2P_ERR_PROTOCOL;
    p2p_dl_throttle(s->w, msg.data.len);
    return on_data(s, &msg);
}

/* Nothing is in flight: waits for work. False: there will be none for this connection.
 */
static bool
wait_for_work(struct small_fetch *s)
{
    struct p2p_download *dl = s->w->dl;

    p2p_lock(&dl->lock);
    bool more =
        !s->w->stop && !s->w->retire && dl->folder->small_left > dl->folder->written;
    if (more)
        p2p_dl_wait(dl, SLICE_MS);
    p2p_unlock(&dl->lock);
    s->last_bytes_ms = p2p_now_ms();
    return more;
}

enum p2p_err
p2p_folder_fetch(struct dl_worker *w)
{
    struct small_fetch *s = calloc(1, sizeof(*s));
    enum p2p_err err = P2P_OK;

    if (s == NULL)
        return P2P_ERR_NOMEM;
    s->w = w;
    s->max_get = P2P_CHUNK_SIZE_DEFAULT;
    s->last_bytes_ms = p2p_now_ms();
    while (err == P2P_OK && !p2p_dl_worker_is_stopped(w)) {
        if (s->requests.count < REQUESTS_MAX / 2)
            err = refill(s);
        if (err == P2P_OK && s->used > 0)
            err = receive(s);
        else if (err == P2P_OK && !wait_for_work(s))
            break;
    }
    for (unsigned i = 0; i < REQUESTS_MAX; i++)
        if (s->slots[i].buf != NULL)
            give_back(s, &s->slots[i], false);
    free(s);
    return err;
}
