#include "ui/transfers/transfer.h"

#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "ui/reply/json.h"

static const char *const state_names[UI_STATES] = {
    "queued", "connecting", "downloading", "verifying",
    "paused", "completed",  "failed",      "cancelled",
};

const char *
ui_state_name(enum ui_state state)
{
    return state_names[state];
}

bool
ui_state_parse(const char *text, size_t len, enum ui_state *out)
{
    for (int i = 0; i < UI_STATES; i++)
        if (strlen(state_names[i]) == len && memcmp(state_names[i], text, len) == 0) {
            *out = (enum ui_state)i;
            return true;
        }
    return false;
}

bool
ui_state_is_running(enum ui_state state)
{
    return state == UI_CONNECTING || state == UI_DOWNLOADING || state == UI_VERIFYING;
}

bool
ui_state_is_over(enum ui_state state)
{
    return state == UI_COMPLETED || state == UI_FAILED || state == UI_CANCELLED;
}

static const char *const priority_names[] = {"low", "normal", "high"};

const char *
ui_priority_name(enum ui_priority priority)
{
    return priority_names[priority];
}

bool
ui_priority_parse(const char *text, enum ui_priority *out)
{
    for (int i = UI_LOW; i <= UI_HIGH; i++)
        if (text != NULL && strcmp(text, priority_names[i]) == 0) {
            *out = (enum ui_priority)i;
            return true;
        }
    return false;
}

static const char *const conflict_names[] = {
    [P2P_CONFLICT_RENAME] = "rename",
    [P2P_CONFLICT_OVERWRITE] = "overwrite",
    [P2P_CONFLICT_SKIP] = "skip",
};

const char *
ui_conflict_name(enum p2p_on_conflict conflict)
{
    return conflict_names[conflict];
}

bool
ui_conflict_parse(const char *text, enum p2p_on_conflict *out)
{
    for (int i = P2P_CONFLICT_RENAME; i <= P2P_CONFLICT_SKIP; i++)
        if (text != NULL && strcmp(text, conflict_names[i]) == 0) {
            *out = (enum p2p_on_conflict)i;
            return true;
        }
    return false;
}

struct ui_transfer *
ui_transfer_new(void)
{
    struct ui_transfer *t = calloc(1, sizeof(*t));
    uuid_t id;

    if (t == NULL)
        return NULL;
    uuid_generate_random(id);
    uuid_unparse_lower(id, t->id);
    t->priority = UI_NORMAL;
    t->conflict = P2P_CONFLICT_RENAME;
    t->eta_s = UINT64_MAX;
    t->created_s = p2p_time_s();
    p2p_rate_init(&t->rate, 0, p2p_now_ms() * 1000);
    return t;
}

void
ui_transfer_free(struct ui_transfer *t)
{
    if (t == NULL)
        return;
    p2p_rate_clear(&t->rate);
    free(t->sources);
    free(t->live);
    free(t->pieces);
    free(t);
}

enum p2p_err
ui_transfer_set_sources(struct ui_transfer *t, const struct ui_source *sources,
                        size_t count)
{
    struct ui_source *copy = NULL;

    if (count > UI_TRANSFER_SOURCES_MAX)
        count = UI_TRANSFER_SOURCES_MAX;
    if (count > 0) {
        if ((copy = calloc(count, sizeof(*copy))) == NULL)
            return P2P_ERR_NOMEM;
        memcpy(copy, sources, count * sizeof(*copy));
    }
    free(t->sources);
    t->sources = copy;
    t->source_count = count;
    return P2P_OK;
}

unsigned
ui_transfer_percent(const struct ui_transfer *t)
{
    uint64_t percent;

    if (t->state == UI_COMPLETED)
        return 100;
    if (!t->size_known || t->size == 0)
        return 0;
    percent = t->verified * 100 / t->size; /* sizes are below 2^50 */
    return percent > 99 ? 99 : (unsigned)percent;
}

/* ---- failures ---- */

static const struct {
    enum p2p_err err;
    const char *code;
    const char *advice;
} failures[] = {
    {P2P_ERR_UNREACHABLE, "peer_offline",
     "The peer cannot be reached. Check that the other machine is on and p2p-peer runs "
     "there. The download is retried automatically."},
    {P2P_ERR_CLOSED, "peer_offline",
     "The peer closed the connection. It may be busy or stopping, or it may not trust "
     "this device. The download is retried automatically."},
    {P2P_ERR_REFUSED, "not_allowed",
     "The peer refused this device. It may share with devices that it trusts only: ask "
     "its owner to trust this one, or to start p2p-peer with --public. The download is "
     "retried automatically."},
    {P2P_ERR_BUSY, "peer_offline",
     "The peer is busy. The download is retried automatically."},
    {P2P_ERR_RATE_LIMITED, "peer_offline",
     "The peer accepts no more requests at the moment. The download is retried "
     "automatically."},
    {P2P_ERR_TIMEOUT, "timeout",
     "The peer did not answer in time. Check the network. The download is retried "
     "automatically."},
    {P2P_ERR_NO_SOURCE, "no_source",
     "No peer that has this file is online. The download is retried automatically."},
    {P2P_ERR_NOT_FOUND, "not_found",
     "The peer does not share this file now. The download is retried automatically for "
     "a while."},
    {P2P_ERR_KEY_CHANGED, "key_changed",
     "The peer has a different key than before. If its owner set it up again, trust "
     "the new key under Peers and retry. Otherwise someone may be intercepting the "
     "connection."},
    {P2P_ERR_WRONG_PEER, "key_changed",
     "A different peer answered at this address. Search again to find the current "
     "address."},
    {P2P_ERR_NOT_ALLOWED, "blocked",
     "You blocked this peer, or it does not allow this device. Check the page Peers."},
    {P2P_ERR_HASH_MISMATCH, "hash_mismatch",
     "The received data did not match its hash and was discarded. Retry, from another "
     "peer if possible."},
    {P2P_ERR_FILE_CHANGED, "file_changed",
     "The peer changed the file during the download. The download is retried "
     "automatically for a while."},
    {P2P_ERR_DISK_FULL, "disk_full",
     "The disk is full. Delete some files; the download continues automatically when "
     "there is enough space."},
    {P2P_ERR_AWAY, "folder_away",
     "The downloads folder is missing: it was moved, deleted or unmounted. The "
     "download continues automatically when the folder is back."},
    {P2P_ERR_QUOTA, "quota",
     "The disk quota is used up. Delete files or raise the quota; the download is "
     "retried "
     "automatically."},
    {P2P_ERR_NO_INODES, "no_inodes",
     "The file system has no room for more files. Delete some; the download is retried "
     "automatically."},
    {P2P_ERR_FILE_TOO_BIG, "file_too_big",
     "The file system of the downloads folder does not allow files of this size. Use a "
     "folder on another disk."},
    {P2P_ERR_DISK_TOO_SMALL, "disk_too_small",
     "The disk of the downloads folder is too small for the file. Use a folder on "
     "another disk."},
    {P2P_ERR_TOO_LARGE, "file_too_big",
     "The file has more chunks than a download can have."},
    {P2P_ERR_READ_ONLY, "read_only",
     "The file system of the downloads folder is read-only. Make it writable, then "
     "retry."},
    {P2P_ERR_TARGET_NAME, "target_name",
     "The file system of the downloads folder does not allow this file name. Download "
     "it under another name."},
    {P2P_ERR_IN_THE_WAY, "in_the_way",
     "The download needs a folder where the downloads folder has a file or a link. "
     "Move it away, then retry."},
    {P2P_ERR_OTHER_DISK, "other_disk",
     "Another file system is mounted at a folder of this download. Unmount it, then "
     "retry."},
    {P2P_ERR_NO_SEEK, "no_seek",
     "The file system of the downloads folder writes files only from beginning to end. "
     "Use another folder; with rclone mount, add --vfs-cache-mode writes."},
    {P2P_ERR_PERMISSION, "permission",
     "The downloads folder cannot be written. Check its owner and permissions, then "
     "retry."},
    {P2P_ERR_MALFORMED, "protocol", "The peer sent an invalid message."},
    {P2P_ERR_PROTOCOL, "protocol", "The peer sent an unexpected message."},
    {P2P_ERR_AUTH, "protocol", "The peer could not prove its identity."},
    {P2P_ERR_REMOTE, "protocol", "The peer reported an error."},
};

static size_t
failure_row(enum p2p_err err)
{
    size_t i = 0;

    while (i < sizeof(failures) / sizeof(failures[0]) && failures[i].err != err)
        i++;
    return i;
}

const char *
ui_error_code(enum p2p_err err)
{
    size_t row = failure_row(err);

    return row < sizeof(failures) / sizeof(failures[0]) ? failures[row].code
                                                        : "internal";
}

const char *
ui_error_advice(enum p2p_err err)
{
    size_t row = failure_row(err);

    return row < sizeof(failures) / sizeof(failures[0]) ? failures[row].advice
                                                        : p2p_err_text(err);
}

/* ---- JSON ---- */

/* The name of a source's state in the API. A dropped source lied or does not have the
 * file. Nothing is active in a transfer that does not run, nor without a connection. */
static const char *
source_state(const struct p2p_source_status *s, bool is_running)
{
    bool is_bad = s->error == P2P_ERR_HASH_MISMATCH || s->error == P2P_ERR_PROTOCOL;

    switch (s->state) {
    case P2P_SRC_RETRYING:
        return "failed";
    case P2P_SRC_DROPPED:
        return is_bad ? "banned" : "failed";
    case P2P_SRC_CONNECTING:
        if (is_running)
            return "connecting";
        break;
    case P2P_SRC_ACTIVE:
    case P2P_SRC_SLOW:
        if (is_running && s->connections > 0)
            return s->state == P2P_SRC_SLOW ? "slow" : "active";
        break;
    }
    return s->error != P2P_OK ? "failed" : "idle";
}

static void
put_source(struct http_json_out *o, struct p2p_identity *identity,
           const struct p2p_id *id, const struct p2p_addr *addr)
{
    static const struct p2p_id nobody;
    char text[P2P_HOST_MAX + 16];

    ui_json_id(o, id != NULL ? id : &nobody);
    ui_json_name(o, identity, id != NULL ? id : &nobody, NULL);
    http_json_put_string(o, "address", p2p_addr_format(addr, text, sizeof(text)));
}

static void
put_live(struct http_json_out *o, struct p2p_identity *identity,
         const struct p2p_source_status *s, bool is_running)
{
    http_json_begin(o, NULL, '{');
    put_source(o, identity, s->id_known ? &s->id : NULL, &s->addr);
    http_json_put_u64(o, "received", s->received);
    http_json_put_u64(o, "speed", is_running ? s->speed : 0);
    http_json_put_string(o, "state", source_state(s, is_running));
    if (s->path_known)
        ui_json_path(o, s->path, s->rtt_us);
    else
        http_json_put_null(o, "path");
    ui_json_text(o, "error", s->error != P2P_OK ? p2p_err_text(s->error) : NULL);
    http_json_end(o, '}');
}

static void
put_planned(struct http_json_out *o, struct p2p_identity *identity,
            const struct ui_source *s)
{
    http_json_begin(o, NULL, '{');
    put_source(o, identity, s->id_known ? &s->id : NULL, &s->addr);
    http_json_put_u64(o, "received", 0);
    http_json_put_u64(o, "speed", 0);
    http_json_put_string(o, "state", "idle");
    http_json_put_null(o, "path");
    http_json_put_null(o, "error");
    http_json_end(o, '}');
}

static void
put_sources(struct http_json_out *o, struct p2p_identity *identity,
            const struct ui_transfer *t)
{
    bool is_running = t->state == UI_CONNECTING || t->state == UI_DOWNLOADING ||
                      t->state == UI_VERIFYING;

    http_json_begin(o, "sources", '[');
    for (size_t i = 0; i < t->live_count; i++)
        put_live(o, identity, &t->live[i], is_running);
    for (size_t i = 0; i < t->source_count && t->live_count == 0; i++)
        put_planned(o, identity, &t->sources[i]);
    http_json_end(o, ']');
}

static void
put_failure(struct http_json_out *o, const struct ui_transfer *t)
{
    ui_json_text(o, "error", t->error != P2P_OK ? t->message : NULL);
    ui_json_text(o, "error_code", t->error != P2P_OK ? ui_error_code(t->error) : NULL);
    ui_json_text(o, "suggested_name",
                 t->error == P2P_ERR_TARGET_NAME ? t->works : NULL);
    ui_json_number(o, "retry_at", t->retry_at_s);
}

void
ui_transfer_json(struct http_json_out *o, const char *name,
                 struct p2p_identity *identity, const struct ui_transfer *t,
                 long position)
{
    http_json_begin(o, name, '{');
    http_json_put_string(o, "id", t->id);
    http_json_put_string(o, "filename", t->filename);
    ui_json_text(o, "save_as", t->save_as);
    http_json_put_string(o, "on_conflict", ui_conflict_name(t->conflict));
    if (t->size_known)
        http_json_put_u64(o, "size", t->size);
    else
        http_json_put_null(o, "size");
    ui_json_digest(o, "root", t->root_known, &t->root);
    ui_json_digest(o, "sha256", t->sha256_known, &t->sha256);
    http_json_put_string(o, "state", ui_state_name(t->state));
    http_json_put_u64(o, "received", t->verified);
    http_json_put_u64(o, "verified", t->verified);
    http_json_put_u64(o, "reused", t->reused);
    http_json_put_u64(o, "speed", t->state == UI_DOWNLOADING ? t->speed : 0);
    if (t->state == UI_DOWNLOADING && t->eta_s != UINT64_MAX)
        http_json_put_u64(o, "eta_s", t->eta_s);
    else
        http_json_put_null(o, "eta_s");
    put_sources(o, identity, t);
    ui_json_text(o, "path", t->path);
    put_failure(o, t);
    http_json_put_string(o, "priority", ui_priority_name(t->priority));
    if (position >= 0)
        http_json_put_u64(o, "position", (uint64_t)position);
    else
        http_json_put_null(o, "position");
    http_json_put_u64(o, "limit_rate", t->limit_rate);
    http_json_put_u64(o, "created", t->created_s);
    ui_json_number(o, "finished", t->finished_s);
    http_json_end(o, '}');
}
