/* GET /api/peers/{id}/files: lists the files that a peer shares; asks the peer itself
 * (LIST). */
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/msg.h"
#include "p2p/net.h"
#include "ui/peers/peers.h"
#include "ui/reply/jobs.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"

#define PATIENCE_MS 10000

struct browse {
    struct p2p_id id;
    size_t limit;
    char cursor[P2P_NAME_MAX + 1]; /* the peer's cursor: the last name that was shown,
                                      or the one that the peer gave */
    struct http_json_out files, folders;
    size_t count;
    enum p2p_err err;
};

static enum p2p_err
add_file(void *arg, const char *name, const struct p2p_list_entry *entry)
{
    struct browse *b = arg;

    http_json_begin(&b->files, NULL, '{');
    http_json_put_string(&b->files, "name", name);
    ui_json_size(&b->files, entry->size);
    http_json_put_hex(&b->files, "root", entry->root.b, sizeof(entry->root.b));
    http_json_put_u64(&b->files, "mtime", entry->mtime_s);
    http_json_end(&b->files, '}');
    b->count++;
    return P2P_OK;
}

static enum p2p_err
add_folder(void *arg, const char *name)
{
    struct browse *b = arg;

    http_json_put_string(&b->folders, NULL, name);
    b->count++;
    return P2P_OK;
}

/* Reads whole pages of the peer until there are `limit` names, because its cursors are
 * only valid at the ends of its pages. */
static void
work(void *context, void *arg)
{
    struct ui_peers *peers = context;
    struct browse *b = arg;
    const struct p2p_list_visitor visitor = {
        .file = add_file, .folder = add_folder, .arg = b};
    struct p2p_conn *conn = NULL;
    struct p2p_addr addr;
    uint64_t enough_ms;

    ui_peers_refresh(peers);
    if ((b->err = ui_peers_locate(peers, &b->id, &addr)) != P2P_OK ||
        (b->err = ui_peers_connect(peers, &addr, &b->id, &conn)) != P2P_OK)
        return;
    p2p_conn_remember(conn);
    /* A limit, because a peer could send endless pages of names that are not shown. */
    enough_ms = p2p_now_ms() + PATIENCE_MS;
    do
        b->err = p2p_conn_list(conn, b->cursor, &visitor);
    while (b->err == P2P_OK && b->cursor[0] != '\0' && b->count < b->limit &&
           p2p_now_ms() < enough_ms);
    p2p_conn_close(conn);
}

static void
refuse(struct http_request *req, enum p2p_err err)
{
    if (err == P2P_ERR_NOT_FOUND)
        ui_fail(req, err, "there is no such peer among the online and the known peers");
    else if (err == P2P_ERR_NOT_ALLOWED)
        http_fail(req, 403, "blocked", "%s", ui_peers_explain(err));
    else if (err == P2P_ERR_REFUSED)
        http_fail(req, 403, "not_allowed", "%s", ui_peers_explain(err));
    else if (err == P2P_ERR_KEY_CHANGED || err == P2P_ERR_WRONG_PEER)
        http_fail(req, 409, "key_changed", "%s", ui_peers_explain(err));
    else
        http_fail(req, 503, "peer_offline", "%s", ui_peers_explain(err));
}

static void
answer(struct http_request *req, void *context, void *arg)
{
    struct browse *b = arg;
    struct http_json_out o;
    size_t len, folders_len;
    char *text, *folders;

    (void)context;
    if (b->err != P2P_OK) {
        refuse(req, b->err);
        return;
    }
    http_json_end(&b->files, ']');
    http_json_end(&b->folders, ']');
    text = http_json_take(&b->files, &len);
    folders = http_json_take(&b->folders, &folders_len);
    if (text != NULL && folders != NULL) {
        ui_json_begin(&o, len + folders_len + 256);
        ui_json_id(&o, &b->id);
        http_json_put_json(&o, "files", text, len);
        http_json_put_json(&o, "empty_folders", folders, folders_len);
        ui_json_text(&o, "next", b->cursor);
        ui_json_reply(&o, req, 200);
    } else {
        http_fail_err(req, P2P_ERR_NOMEM, NULL);
    }
    free(text);
    free(folders);
}

static void
release(void *arg)
{
    struct browse *b = arg;

    if (b != NULL) {
        http_json_clear(&b->files);
        http_json_clear(&b->folders);
    }
    free(b);
}

void
ui_api_peer_files(struct http_request *req, void *arg)
{
    static const struct ui_job_kind kind = {work, answer, release, false};
    const struct ui_browse *browse = arg;
    const char *cursor = http_query(req, "cursor");
    struct browse *b;
    struct p2p_id id;
    uint64_t limit;

    if (ui_job_resume(browse->jobs, req))
        return;
    if (p2p_hex_parse(http_param(req, "id"), id.b, sizeof(id.b)) != P2P_OK) {
        http_fail(req, 400, "malformed", "a peer's id is 64 hexadecimal digits");
        return;
    }
    if (!http_query_u64(req, "limit", 1, 1000, 100, &limit))
        return;
    if (cursor != NULL && strlen(cursor) > P2P_NAME_MAX) {
        http_fail(req, 400, "malformed", "invalid cursor");
        return;
    }
    if ((b = calloc(1, sizeof(*b))) != NULL) {
        b->id = id;
        b->limit = (size_t)limit;
        memcpy(b->cursor, cursor != NULL ? cursor : "",
               cursor ? strlen(cursor) + 1 : 1);
        http_json_init(&b->files, 4096);
        http_json_begin(&b->files, NULL, '[');
        http_json_init(&b->folders, 256);
        http_json_begin(&b->folders, NULL, '[');
    }
    ui_job_begin(browse->jobs, req, &kind, browse->peers, b);
}
