/*
 * The file of a transfer as an answer, also while it arrives. A request reads verified
 * bytes, and parks until those that it needs next are there; the download fetches them
 * first. No thread waits. The type is told from the first bytes of the file, so an
 * answer begins when these are there.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/file.h"
#include "http/wait.h"
#include "p2p/bytes.h"
#include "p2p/io.h"
#include "p2p/lock.h"
#include "ui/folders/folders.h"
#include "ui/folders/kind.h"
#include "ui/folders/place.h"
#include "ui/reply/refuse.h"
#include "ui/transfers/handlers.h"
#include "ui/transfers/queue.h"

/* How long an answer waits for its first bytes, and for each of the following ones. */
#define HEAD_WAIT_MS  30000u
#define PIECE_WAIT_MS 60000u
/* Stands at the beginning for all requests that have no answer yet. */
#define HEAD_READER (P2P_DOWNLOAD_READERS_MAX - 1)

struct content {
    struct ui_transfers *ts;
    char id[UI_TRANSFER_ID_LEN + 1];
    unsigned reader;
    struct p2p_digest root; /* of the version that the answer began with */
    uint64_t at;            /* the next byte */
    int fd;                 /* of the complete file; -1: not opened */
};

/* ---- readers ---- */

/* False: all are in use. */
static bool
take_reader(struct ui_transfers *ts, unsigned *reader)
{
    unsigned i = 0;

    p2p_lock(&ts->lock);
    while (i < HEAD_READER && ts->readers[i])
        i++;
    if (i < HEAD_READER)
        ts->readers[i] = true;
    p2p_unlock(&ts->lock);
    *reader = i;
    return i < HEAD_READER;
}

/* The reader stands nowhere any more. */
static void
stop_reading(struct ui_transfers *ts, const char *id, unsigned reader)
{
    struct p2p_download *dl = NULL;
    struct ui_transfer *t;

    p2p_lock(&ts->lock);
    if ((t = ui_transfers_find(ts, id)) != NULL)
        dl = ui_transfer_use(t);
    p2p_unlock(&ts->lock);
    if (dl != NULL)
        p2p_download_stop_reading(dl, reader);
    p2p_lock(&ts->lock);
    if (dl != NULL)
        ui_transfer_leave(ts, t);
    if (reader != HEAD_READER)
        ts->readers[reader] = false;
    p2p_unlock(&ts->lock);
}

/* What there is to read. */
struct view {
    struct p2p_download *dl; /* BUSY: runs; the transfer is in use */
    struct ui_transfer *t;
    char name[P2P_NAME_MAX + 1]; /* for people; complete: in the downloads folder */
    uint64_t size;               /* complete */
    struct p2p_digest root;
    enum p2p_err err; /* OK: complete; BUSY: not yet; NOT_FOUND; USAGE: it does not run;
                       * UNSUPPORTED: never before its end */
};

static enum p2p_err
state_of(const struct ui_transfer *t)
{
    size_t len = strlen(t->filename);

    if (len > 0 && t->filename[len - 1] == '/')
        return P2P_ERR_UNSUPPORTED;
    if (t->state == UI_COMPLETED)
        return P2P_OK;
    return t->state == UI_QUEUED || ui_state_is_running(t->state) ? P2P_ERR_BUSY
                                                                  : P2P_ERR_USAGE;
}

static void
look(struct ui_transfers *ts, const char *id, struct view *v)
{
    memset(v, 0, sizeof(*v));
    v->err = P2P_ERR_NOT_FOUND;
    p2p_lock(&ts->lock);
    if ((v->t = ui_transfers_find(ts, id)) != NULL) {
        v->err = state_of(v->t);
        snprintf(v->name, sizeof(v->name), "%s",
                 v->err == P2P_OK ? v->t->path : v->t->filename);
        v->size = v->t->size;
        v->root = v->t->root;
        if (v->err == P2P_ERR_BUSY)
            v->dl = ui_transfer_use(v->t);
    }
    p2p_unlock(&ts->lock);
}

/* Reads what is there of a running download, and leaves it. */
static enum p2p_err
read_running(struct ui_transfers *ts, struct view *v, unsigned reader, uint64_t at,
             void *out, size_t max, struct p2p_download_bytes *got)
{
    enum p2p_err err;

    if (v->dl == NULL)
        return P2P_ERR_BUSY;
    err = p2p_download_read(v->dl, reader, at, out, max, got);
    p2p_lock(&ts->lock);
    ui_transfer_leave(ts, v->t);
    p2p_unlock(&ts->lock);
    return err == P2P_ERR_USAGE ? P2P_ERR_UNSUPPORTED : err;
}

static enum p2p_err
open_complete(const struct ui_transfers *ts, const struct view *v, int *fd)
{
    struct stat st;
    enum p2p_err err =
        p2p_root_open_file(ts->parts.folders->downloads, v->name, fd, &st);

    if (err != P2P_OK || (uint64_t)st.st_size == v->size)
        return err;
    p2p_fd_close(fd);
    return P2P_ERR_NOT_FOUND; /* somebody has changed it since */
}

/* ---- the answer ---- */

static enum p2p_err
content_begin(void *content, uint64_t first)
{
    ((struct content *)content)->at = first;
    return P2P_OK;
}

static bool
is_version_of(const struct content *c, const struct p2p_digest *root)
{
    return memcmp(root, &c->root, sizeof(*root)) == 0;
}

/* Bytes of the running download, or the descriptor of the complete file. FILE_CHANGED:
 * it has another content by now. */
static enum p2p_err
read_on(struct content *c, void *out, size_t max, struct p2p_download_bytes *got)
{
    struct view v;
    enum p2p_err err;

    look(c->ts, c->id, &v);
    if (v.err == P2P_OK)
        return is_version_of(c, &v.root) ? open_complete(c->ts, &v, &c->fd)
                                         : P2P_ERR_FILE_CHANGED;
    if (v.err != P2P_ERR_BUSY)
        return v.err;
    err = read_running(c->ts, &v, c->reader, c->at, out, max, got);
    return err == P2P_OK && !is_version_of(c, &got->root) ? P2P_ERR_FILE_CHANGED : err;
}

static ssize_t
content_read(void *content, void *out, size_t max)
{
    struct content *c = content;
    struct p2p_download_bytes got = {0};
    enum p2p_err err = c->fd < 0 ? read_on(c, out, max, &got) : P2P_OK;
    ssize_t n = c->fd >= 0 ? pread(c->fd, out, max, (off_t)c->at) : (ssize_t)got.count;
    if (err == P2P_ERR_BUSY)
        return 0;
    if (err != P2P_OK || n <= 0)
        return -1;
    c->at += (uint64_t)n;
    return n;
}

static void
content_end(void *content)
{
    struct content *c = content;

    stop_reading(c->ts, c->id, c->reader);
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

static void
refuse(struct http_request *req, enum p2p_err err)
{
    if (err == P2P_ERR_NOT_FOUND)
        ui_fail(req, err, "there is no such transfer, or its file was moved");
    else if (err == P2P_ERR_USAGE)
        http_fail(req, 409, "wrong_state",
                  "the transfer does not run; resume or retry it first");
    else if (err == P2P_ERR_UNSUPPORTED)
        http_fail(req, 409, "not_readable",
                  "only a single file from devices with protocol 2 can be read while "
                  "it arrives; wait until the transfer is complete");
    else
        ui_fail(req, err, NULL);
}

static void
fail_busy(struct http_request *req, const char *detail)
{
    http_set_header(req, "Retry-After", "2");
    http_fail(req, 503, "busy", "%s", detail);
}

/* Headers as those of a file that the dashboard shows. */
static struct http_file
file_of(const struct ui_kind *kind, const char *name, const char *tag)
{
    return (struct http_file){.fd = -1,
                              .etag = tag,
                              .type = kind->type,
                              .is_shown = kind->is_shown,
                              .policy = kind->policy,
                              .download_name = ui_last_part(name)};
}

/* Takes a reader for the whole answer. */
static void
reply_running(struct http_request *req, struct ui_transfers *ts, const char *name,
              const struct ui_kind *kind, const struct p2p_download_bytes *head)
{
    struct content *c = calloc(1, sizeof(*c));
    char tag[2 * P2P_DIGEST_LEN + 1];

    if (c == NULL || !take_reader(ts, &c->reader)) {
        free(c);
        fail_busy(req, "too many files are watched at the moment; close one of them");
        return;
    }
    c->ts = ts;
    c->root = head->root;
    c->fd = -1;
    snprintf(c->id, sizeof(c->id), "%s", http_param(req, "id"));
    p2p_hex_format(head->root.b, sizeof(head->root.b), tag);
    const struct http_source_of_bytes source = {.begin = content_begin,
                                                .read = content_read,
                                                .end = content_end,
                                                .arg = c,
                                                .list = ts->arrivals,
                                                .wait_ms = PIECE_WAIT_MS};
    struct http_file file = file_of(kind, name, tag);
    file.source = &source;
    file.size = head->size;
    http_reply_file(req, &file);
}

/* It is sent like every other file. */
static void
reply_complete(struct http_request *req, const struct ui_transfers *ts,
               const struct view *v)
{
    char tag[2 * P2P_DIGEST_LEN + 1];
    int fd = -1;
    enum p2p_err err = open_complete(ts, v, &fd);

    if (err != P2P_OK) {
        refuse(req, err);
        return;
    }
    p2p_hex_format(v->root.b, sizeof(v->root.b), tag);
    const struct ui_kind kind = ui_kind_of_file(fd);
    struct http_file file = file_of(&kind, v->name, tag);
    file.fd = fd;
    file.size = v->size;
    http_reply_file(req, &file);
}

void
ui_api_transfer_content(struct http_request *req, void *arg)
{
    struct ui_transfers *ts = ((struct ui_transfers_api *)arg)->transfers;
    const char *id = http_param(req, "id");
    uint8_t head[UI_KIND_HEAD];
    struct p2p_download_bytes got;
    struct view v;
    uint64_t seen;

    do {
        seen = http_waitlist_generation(ts->arrivals);
        look(ts, id, &v);
        if (v.err == P2P_OK) {
            reply_complete(req, ts, &v);
            return;
        }
        if (v.err == P2P_ERR_BUSY)
            v.err = read_running(ts, &v, HEAD_READER, 0, head, sizeof(head), &got);
        if (v.err == P2P_OK) {
            const struct ui_kind kind = ui_kind_of(head, got.count);
            stop_reading(ts, id, HEAD_READER);
            reply_running(req, ts, v.name, &kind, &got);
            return;
        }
        if (v.err != P2P_ERR_BUSY && v.err != P2P_ERR_RANGE) { /* an empty file */
            refuse(req, v.err);
            return;
        }
        if (http_wait(req, ts->arrivals, seen, HEAD_WAIT_MS))
            return;
    } while (!http_wait_is_over(req));
    fail_busy(req, "no device has sent the beginning of the file yet; try again");
}
