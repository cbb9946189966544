#include "peer/control.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/guardian.h"
#include "peer/control_inbox.h"
#include "peer/control_offers.h"

enum { PEERS_SHOWN = 100, UPLOADS_SHOWN = 128, METRICS_MAX = 4096 };

/* Out of memory leaves a member out, and the sender of the request says what is
 * missing. Numbers above 2^53 lose their last digits. */
static void
put_number(cJSON *object, const char *name, uint64_t value)
{
    cJSON_AddNumberToObject(object, name, (double)value);
}

static void
put_id(cJSON *object, const char *name, const uint8_t bytes[32])
{
    char hex[P2P_ID_HEX_LEN + 1];

    p2p_hex_format(bytes, 32, hex);
    cJSON_AddStringToObject(object, name, hex);
}

static cJSON *
add_object(cJSON *array)
{
    cJSON *object = cJSON_CreateObject();

    if (!cJSON_AddItemToArray(array, object)) {
        cJSON_Delete(object);
        return NULL;
    }
    return object;
}

/* NULL: it could not be opened at the start. */
static struct p2p_share *
share_of(const struct control_view *view, const struct p2p_shares_folder *folder)
{
    const struct p2p_shares_folders *open = p2p_shares_folders(view->shares);

    for (size_t i = 0; i < open->count; i++)
        if (strcmp(open->at[i].name, folder->name) == 0)
            return p2p_shares_at(view->shares, i);
    return NULL;
}

static void
count_problem(void *count, const char *name, const char *reason)
{
    *(uint64_t *)count += name[0] != '\0' ? 1 : strtoul(reason, NULL, 10);
}

static void
put_folder(cJSON *array, const struct control_view *view,
           const struct p2p_shares_folder *folder)
{
    struct p2p_share *share = share_of(view, folder);
    struct p2p_share_totals totals = {.is_away = true};
    cJSON *object = add_object(array);
    uint64_t problems = 0;

    if (share != NULL) {
        p2p_share_totals(share, &totals);
        (void)!p2p_share_problems(share, count_problem, &problems);
    }
    if (folder->name[0] == '\0')
        cJSON_AddNullToObject(object, "name");
    else
        cJSON_AddStringToObject(object, "name", folder->name);
    cJSON_AddStringToObject(object, "path", folder->path);
    put_number(object, "files", totals.files);
    put_number(object, "bytes", totals.bytes);
    put_number(object, "hashing_files", totals.hashing_files);
    put_number(object, "missing_files", totals.missing_files);
    put_number(object, "not_shared", problems);
    cJSON_AddStringToObject(object, "state", totals.is_away ? "away" : "ok");
}

static void
put_folders(cJSON *answer, const struct control_view *view)
{
    cJSON *array = cJSON_AddArrayToObject(answer, "folders");

    for (size_t i = 0; i < view->folders->count; i++)
        put_folder(array, view, &view->folders->at[i]);
}

static void
put_sum(cJSON *answer, const struct control_view *view)
{
    struct uploads_sum sum;
    cJSON *object = cJSON_AddObjectToObject(answer, "uploaded");

    uploads_sum(view->uploads, &sum, p2p_now_ms());
    put_number(object, "running", sum.running);
    put_number(object, "speed", sum.speed);
    put_number(object, "uploads", sum.uploads);
    put_number(object, "bytes", sum.bytes);
    put_number(object, "peers", sum.peers);
    put_number(object, "since", sum.since_s);
}

/* Who this peer is, what it shares, and how much it does. */
static enum p2p_err
status(void *arg, const cJSON *request, cJSON *answer, char *why, size_t cap)
{
    const struct control_view *view = arg;
    struct server_totals totals;
    struct p2p_about about;
    char copy[P2P_ADDR_TEXT];

    (void)request, (void)why, (void)cap;
    server_totals(view->server, &totals);
    p2p_identity_get_about(view->identity, &about);
    cJSON_AddStringToObject(answer, "version", P2P_VERSION);
    cJSON_AddStringToObject(answer, "peer_id", p2p_identity_id_hex(view->identity));
    cJSON_AddStringToObject(answer, "name", about.name);
    put_number(answer, "port", view->port);
    cJSON_AddBoolToObject(answer, "public", view->is_public);
    duplicate_get(view->duplicate, copy);
    if (copy[0] != '\0')
        cJSON_AddStringToObject(answer, "copy_at", copy);
    else
        cJSON_AddNullToObject(answer, "copy_at");
    put_number(answer, "pid", (uint64_t)getpid());
    put_number(answer, "connections", totals.connections);
    put_number(answer, "proven_connections", totals.proven);
    put_folders(answer, view);
    put_sum(answer, view);
    return P2P_OK;
}

static void
put_upload(cJSON *array, const struct upload *upload)
{
    cJSON *object = add_object(array);

    put_number(object, "id", upload->id);
    put_id(object, "peer_id", upload->peer.b);
    cJSON_AddBoolToObject(object, "proven", upload->is_proven);
    cJSON_AddStringToObject(object, "claimed_name", upload->claim);
    cJSON_AddStringToObject(object, "name", upload->name);
    put_id(object, "root", upload->root.b);
    put_number(object, "size", upload->size);
    put_number(object, "sent", upload->sent);
    put_number(object, "speed", upload->speed);
    put_number(object, "started", upload->started_s);
    if (upload->ended_s == 0)
        cJSON_AddNullToObject(object, "ended");
    else
        put_number(object, "ended", upload->ended_s);
}

static void
put_peer(cJSON *array, const struct upload_peer *peer)
{
    cJSON *object = add_object(array);

    put_id(object, "peer_id", peer->id.b);
    cJSON_AddBoolToObject(object, "proven", peer->is_proven);
    cJSON_AddStringToObject(object, "claimed_name", peer->claim);
    put_number(object, "uploads", peer->uploads);
    put_number(object, "bytes", peer->bytes);
    put_number(object, "last", peer->last_s);
}

/* The uploads that run or ended lately, and the peers that have downloaded most. */
static enum p2p_err
uploads(void *arg, const cJSON *request, cJSON *answer, char *why, size_t cap)
{
    const struct control_view *view = arg;
    struct upload *list = calloc(UPLOADS_SHOWN, sizeof(*list));
    struct upload_peer *peers = calloc(PEERS_SHOWN, sizeof(*peers));
    cJSON *array;
    size_t n;

    (void)request, (void)why, (void)cap;
    if (list != NULL && peers != NULL) {
        put_sum(answer, view);
        n = uploads_list(view->uploads, list, UPLOADS_SHOWN, p2p_now_ms());
        array = cJSON_AddArrayToObject(answer, "uploads");
        for (size_t i = 0; i < n; i++)
            put_upload(array, &list[i]);
        n = uploads_peers(view->uploads, peers, PEERS_SHOWN);
        array = cJSON_AddArrayToObject(answer, "peers");
        for (size_t i = 0; i < n; i++)
            put_peer(array, &peers[i]);
    }
    n = list != NULL && peers != NULL;
    free(list);
    free(peers);
    return n ? P2P_OK : P2P_ERR_NOMEM;
}

/* Prometheus text format. */
static enum p2p_err
metrics(void *arg, const cJSON *request, cJSON *answer, char *why, size_t cap)
{
    const struct control_view *view = arg;
    struct p2p_share_totals shared;
    struct p2p_doorman_counts calls;
    struct server_totals totals;
    struct uploads_sum sum;
    char text[METRICS_MAX] = "";

    (void)request, (void)why, (void)cap;
    p2p_shares_totals(view->shares, &shared);
    server_totals(view->server, &totals);
    p2p_doorman_counts_read(&view->calls, &calls);
    uploads_sum(view->uploads, &sum, p2p_now_ms());
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } rows[] = {
        {"p2p_peer_uploads_running", "gauge", "Uploads that are running.", sum.running},
        {"p2p_peer_upload_speed_bytes", "gauge", "Bytes per second of all uploads.",
         sum.speed},
        {"p2p_peer_uploads_total", "counter", "Uploads in total, kept across restarts.",
         sum.uploads},
        {"p2p_peer_uploaded_bytes_total", "counter",
         "Bytes of files that were sent, kept across restarts.", sum.bytes},
        {"p2p_peer_connections", "gauge", "Connections, with those in a handshake.",
         totals.connections},
        {"p2p_peer_proven_connections", "gauge", "Connections of proven clients.",
         totals.proven},
        {"p2p_peer_calls_answered_total", "counter",
         "Calls of trusted peers through registries.", calls.answered},
        {"p2p_peer_calls_refused_total", "counter",
         "Calls without an answer: forged, not allowed, or too many.", calls.refused},
        {"p2p_peer_channels_total", "counter", "Paths over UDP that opened.",
         calls.channels},
        {"p2p_peer_relayed_total", "counter", "Paths through a relay that opened.",
         calls.relays},
        {"p2p_peer_shared_files", "gauge", "Files that are shared.", shared.files},
        {"p2p_peer_shared_bytes", "gauge", "Bytes of these files.", shared.bytes},
        {"p2p_peer_hashing_files", "gauge", "Files that are not hashed yet.",
         shared.hashing_files},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                 "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", rows[i].name, rows[i].help,
                 rows[i].name, rows[i].type, rows[i].name,
                 (unsigned long long)rows[i].value);
    return cJSON_AddStringToObject(answer, "text", text) != NULL ? P2P_OK
                                                                 : P2P_ERR_NOMEM;
}

/* The settings are read again, as on SIGHUP: a new process may follow this one. */
static enum p2p_err
reload(void *arg, const cJSON *request, cJSON *answer, char *why, size_t cap)
{
    (void)arg, (void)request, (void)answer, (void)why, (void)cap;
    p2p_guardian_reload();
    return P2P_OK;
}

static const struct p2p_control_verb verbs[] = {
    {"reload", reload, NULL},
    {"status", status, NULL},
    {"metrics", metrics, NULL},
    {"uploads", uploads, NULL},
    {"offer.begin", control_offer_begin, NULL},
    {"offer.file", NULL, control_offer_file},
    {"offer.allow", control_offer_allow, NULL},
    {"offer.open", control_offer_open, NULL},
    {"offer.link", control_offer_link, NULL},
    {"offer.status", control_offer_status, NULL},
    {"offer.end", control_offer_end, NULL},
    {"inbox.list", control_inbox_list, NULL},
    {"inbox.items", control_inbox_items, NULL},
    {"inbox.answer", control_inbox_answer, NULL},
    {"inbox.claim", control_inbox_claim, NULL},
    {"inbox.always", control_inbox_always, NULL},
    {NULL, NULL, NULL},
};

enum p2p_err
control_start(int fd, const char *keys_dir, struct control_view *view,
              struct p2p_control **out)
{
    return p2p_control_start(fd, keys_dir, verbs, view, out);
}
