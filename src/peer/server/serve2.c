/* Protocol 2 answers (docs/PROTOCOL.md, "Messages"). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/log.h"
#include "p2p/net.h"
#include "peer/history/history.h"
#include "peer/inbox/inbox.h"
#include "peer/server/loop.h"
#include "peer/server/serve.h"
#include "peer/server/visible.h"

/* ---- Taking requests ---- */

static enum p2p_err
queue(struct conn *c, enum p2p_msg_type type, uint32_t req, struct p2p_text text,
      struct request **out)
{
    struct request *request = request_new(type, req, text);

    *out = request;
    if (request == NULL)
        return P2P_ERR_NOMEM;
    requests_add(&c->requests, request);
    return P2P_OK;
}

static enum p2p_err
queue_error(struct conn *c, uint32_t req, unsigned code, const char *text)
{
    struct p2p_text t = {.at = text, .len = strlen(text)};
    struct request *request;
    enum p2p_err err = queue(c, P2P_MSG_ERROR, req, t, &request);

    if (err == P2P_OK)
        request->code = (uint16_t)code;
    return err;
}

enum p2p_err
serve2_refuse(struct conn *c, uint32_t req, unsigned code, const char *text)
{
    struct p2p_text none = {.len = 0};
    struct request *request;

    return code != 0 ? queue_error(c, req, code, text)
                     : queue(c, P2P_MSG_TICKET, req, none, &request);
}

/* Answers an invalid request with the reason. */
static void
fail(struct conn *c, struct request *request, enum p2p_err why)
{
    const char *text = p2p_err_text(why);

    if (why == P2P_ERR_BUSY)
        text = "the file is still being hashed; try again in 1 s";
    requests_fail(&c->requests, request, (uint16_t)p2p_err_wire_code(why), text);
}

static enum p2p_err
take_request(struct conn *c, const struct p2p_msg *msg)
{
    struct p2p_text text = {0};
    struct request *request;
    enum p2p_err err;

    if (msg->type != P2P_MSG_INFO_GET &&
        c->requests.count - c->requests.uncounted >= P2P_REQUESTS_IN_FLIGHT)
        return queue_error(c, msg->req, 8, "more than 64 unanswered requests");
    if (msg->type == P2P_MSG_META_GET)
        text = msg->meta_get.name;
    else if (msg->type == P2P_MSG_LIST_GET)
        text = msg->cursor;
    else if (msg->type == P2P_MSG_CHANGES_GET)
        text = msg->changes_get.folder;
    else if (msg->type == P2P_MSG_HISTORY_GET)
        text = msg->history_get.name;
    /* No file has a name this long, so it is not stored while the request waits. */
    if (text.len > P2P_NAME_MAX)
        return queue_error(c, msg->req, p2p_err_wire_code(P2P_ERR_NAME),
                           p2p_err_text(P2P_ERR_NAME));
    if (msg->type == P2P_MSG_CHANGES_GET &&
        requests_has(&c->requests, P2P_MSG_CHANGES_GET))
        return queue_error(c, msg->req, 8, "send only one CHANGES? at a time");
    if ((err = queue(c, msg->type, msg->req, text, &request)) != P2P_OK)
        return err;
    switch (msg->type) {
    case P2P_MSG_META_GET:
        request->first = msg->meta_get.by;
        request->root = msg->meta_get.root;
        break;
    case P2P_MSG_LAYER_GET:
        request->root = msg->layer_get.root;
        request->first = msg->layer_get.first;
        request->length = msg->layer_get.count;
        break;
    case P2P_MSG_GET:
        request->root = msg->get.root;
        request->first = msg->get.offset;
        request->length = msg->get.length;
        request->flags = msg->get.flags;
        break;
    case P2P_MSG_HASH_GET:
        request->root = msg->root;
        break;
    case P2P_MSG_LEAVES_GET:
        request->root = msg->leaves_get.root;
        request->first = msg->leaves_get.first;
        request->length = msg->leaves_get.count;
        break;
    case P2P_MSG_CHANGES_GET:
        if ((err = serve_changes_take(c, request, &msg->changes_get)) != P2P_OK)
            fail(c, request, err);
        break;
    case P2P_MSG_HISTORY_GET:
        request->first = msg->history_get.before;
        break;
    default:
        request->first = msg->ping;
        break;
    }
    return P2P_OK;
}

/* A claim of the proven client, and for people only. */
static void
take_info(struct conn *c, const struct p2p_msg_info *info)
{
    char name[2 * P2P_ABOUT_NAME_MAX + 1];

    snprintf(c->name, sizeof(c->name), "%.*s", (int)info->name.len, info->name.at);
    if (!p2p_log_is_on(P2P_LOG_DEBUG))
        return;
    p2p_log_escape(info->name.at, info->name.len, name, sizeof(name));
    p2p_log_debug("a client sent its name and kind name=\"%s\" kind=%s", name,
                  p2p_about_kind_name(p2p_about_kind_of(info->kind)));
}

/* Only the answer is queued: what was offered is in the inbox. */
static enum p2p_err
take_offer(struct conn *c, const struct p2p_msg *msg)
{
    struct inbox *inbox = c->loop->server->opt.inbox;
    const struct inbox_sender sender = {
        .id = *client_id(c->client),
        .name = c->name,
        .is_known = c->standing.is_known || client_is_trusted(c->client),
    };
    enum p2p_offer_state state = P2P_OFFER_REFUSED;
    struct request *request;
    enum p2p_err err = P2P_OK;

    if (inbox == NULL)
        return queue_error(c, msg->req, 2, "unknown message type");
    if (c->requests.count - c->requests.uncounted >= P2P_REQUESTS_IN_FLIGHT)
        return queue_error(c, msg->req, 8, "more than 64 unanswered requests");
    if (!client_is_guest(c->client))
        err = inbox_take(inbox, &sender, &msg->offer, &state);
    if (err != P2P_OK)
        return queue_error(c, msg->req, 2, "malformed offer");
    err = queue(c, P2P_MSG_OFFERED, msg->req, (struct p2p_text){0}, &request);
    if (err == P2P_OK) {
        memcpy(request->root.b, msg->offer.id, sizeof(msg->offer.id));
        request->flags = (uint8_t)state;
    }
    return err;
}

enum p2p_err
serve2_handle(struct conn *c, const uint8_t *plain, size_t len)
{
    struct request *request;
    struct p2p_msg msg;
    enum p2p_err err = p2p_msg_parse(plain, len, &msg);

    if (err == P2P_ERR_PROTOCOL)
        return queue_error(c, msg.req, 2, "unknown message type");
    if (err != P2P_OK) {
        c->finishing = true; /* after the answer, because it is unknown where the next
                              * message begins */
        return queue_error(c, msg.req, 2, "malformed message");
    }
    switch (msg.type) {
    case P2P_MSG_META_GET:
    case P2P_MSG_LAYER_GET:
    case P2P_MSG_GET:
    case P2P_MSG_LIST_GET:
    case P2P_MSG_HASH_GET:
    case P2P_MSG_LEAVES_GET:
    case P2P_MSG_CHANGES_GET:
    case P2P_MSG_HISTORY_GET:
    case P2P_MSG_PING:
        return take_request(c, &msg);
    case P2P_MSG_INFO_GET:
        take_info(c, &msg.info);
        return take_request(c, &msg);
    case P2P_MSG_OFFER:
        return take_offer(c, &msg);
    case P2P_MSG_CANCEL:
        requests_resume(&c->requests);
        if ((request = requests_find(&c->requests, msg.req)) != NULL)
            requests_remove(&c->requests, request);
        return P2P_OK;
    case P2P_MSG_CLOSE:
        c->finishing = true;
        return P2P_OK;
    case P2P_MSG_READY:
        return P2P_ERR_PROTOCOL; /* M5 is expected once, at the beginning */
    default:
        return queue_error(c, msg.req, 2, "not a request");
    }
}

/* ---- Making answers ---- */

/* Guests get frames without a seal: DTLS seals them. */
static size_t
prefix_of(const struct conn *c)
{
    return c->state == CONN_GUEST ? P2P_FRAME_HEAD : P2P_FRAME_PREFIX;
}

/* Where the plaintext of the next record goes, and its maximum size. */
static struct p2p_wr
record_begin(struct conn *c, size_t used)
{
    struct p2p_wr wr;

    p2p_wr_init(&wr, c->loop->scratch + used + prefix_of(c), P2P_RECORD_PLAIN_MAX);
    return wr;
}

/* Encrypts the content of record_begin's writer, and adds a REKEY when it is due. */
static enum p2p_err
record_end(struct conn *c, size_t plain_len, size_t *used)
{
    uint8_t *at = c->loop->scratch + *used;
    uint64_t now_s = p2p_now_ms() / 1000;
    struct p2p_nonce nonce;
    enum p2p_err err;

    if (c->state == CONN_GUEST) {
        struct p2p_wr head;
        p2p_wr_init(&head, at, P2P_FRAME_HEAD);
        p2p_wr_put_u32(&head, (uint32_t)plain_len);
        *used += P2P_FRAME_HEAD + plain_len;
        return P2P_OK;
    }
    if ((err = p2p_random(&nonce, sizeof(nonce))) != P2P_OK ||
        (err = p2p_direction_seal(&c->out, at, plain_len, &nonce)) != P2P_OK)
        return err;
    *used += P2P_FRAME_SIZE(plain_len);
    if (!p2p_direction_wants_rekey(&c->out, now_s))
        return P2P_OK;
    at = c->loop->scratch + *used;
    if ((err = p2p_random(&nonce, sizeof(nonce))) != P2P_OK ||
        (err = p2p_direction_rekey(&c->out, at, &nonce, now_s)) != P2P_OK)
        return err;
    *used += P2P_FRAME_SIZE(1);
    return P2P_OK;
}

static enum p2p_err
put_message(struct conn *c, const struct p2p_msg *msg, size_t *used)
{
    struct p2p_wr wr = record_begin(c, *used);
    enum p2p_err err;
    size_t len;

    p2p_msg_put(&wr, msg);
    if ((err = p2p_wr_end(&wr, &len)) != P2P_OK)
        return err;
    return record_end(c, len, used);
}

static enum p2p_err
answer_error(struct conn *c, struct request *request, size_t *used)
{
    struct p2p_msg msg = {
        .type = P2P_MSG_ERROR,
        .req = request->req,
        .error = {.code = request->code, .text = {request->text, request->text_len}},
    };
    enum p2p_err err = put_message(c, &msg, used);

    requests_remove(&c->requests, request);
    return err;
}

static enum p2p_err
answer_pong(struct conn *c, struct request *request, size_t *used)
{
    struct p2p_msg msg = {.type = P2P_MSG_PONG, .ping = request->first};
    enum p2p_err err = put_message(c, &msg, used);

    requests_remove(&c->requests, request);
    return err;
}

static enum p2p_err
answer_welcome(struct conn *c, struct request *request, size_t *used)
{
    struct p2p_wr wr = record_begin(c, *used);
    enum p2p_err err;
    size_t len;

    serve_guest_put_welcome(c, &wr);
    requests_remove(&c->requests, request);
    err = p2p_wr_end(&wr, &len);
    return err == P2P_OK ? record_end(c, len, used) : err;
}

static enum p2p_err
answer_ticket(struct conn *c, struct request *request, size_t *used)
{
    struct p2p_wr wr = record_begin(c, *used);
    enum p2p_err err;
    size_t len;

    p2p_wr_put_u8(&wr, P2P_MSG_TICKET);
    p2p_wr_put_u32(&wr, request->req);
    requests_remove(&c->requests, request);
    err = p2p_wr_end(&wr, &len);
    return err == P2P_OK ? record_end(c, len, used) : err;
}

static enum p2p_err
answer_info(struct conn *c, struct request *request, size_t *used)
{
    struct p2p_about own;
    struct p2p_msg msg = {
        .type = P2P_MSG_INFO,
        .req = request->req,
        .info = {.version = {P2P_VERSION, strlen(P2P_VERSION)}},
    };
    enum p2p_err err;

    p2p_identity_get_about(c->loop->server->opt.identity, &own);
    msg.info.kind = (uint8_t)own.kind;
    msg.info.features = P2P_FEATURE_FEED | P2P_FEATURE_LEAVES | P2P_FEATURE_HISTORY;
    if (c->loop->server->opt.inbox != NULL)
        msg.info.features |= P2P_FEATURE_OFFERS;
    msg.info.name = (struct p2p_text){own.name, strlen(own.name)};
    err = put_message(c, &msg, used);
    requests_remove(&c->requests, request);
    return err;
}

static enum p2p_err
answer_offered(struct conn *c, struct request *request, size_t *used)
{
    struct p2p_msg msg = {.type = P2P_MSG_OFFERED,
                          .req = request->req,
                          .offered = {.state = request->flags}};
    enum p2p_err err;

    memcpy(msg.offered.id, request->root.b, sizeof(msg.offered.id));
    err = put_message(c, &msg, used);
    requests_remove(&c->requests, request);
    return err;
}

static enum p2p_err
find_meta(struct conn *c, struct request *request, struct p2p_share_entry *entry)
{
    enum p2p_err err;

    if (request->first == P2P_META_BY_ROOT)
        return visible_find_root(c, &request->root, entry);
    if ((err = p2p_name_check(request->text, request->text_len, true)) != P2P_OK)
        return err;
    return visible_find_name(c, request->text, entry);
}

static enum p2p_err
answer_meta(struct conn *c, struct request *request, size_t *used)
{
    struct p2p_share_entry entry;
    enum p2p_err err = find_meta(c, request, &entry);

    if (err == P2P_ERR_MORE && (err = serve_seek(c, request)) == P2P_OK)
        err = find_meta(c, request, &entry);
    if (err == P2P_ERR_MORE)
        return P2P_ERR_BUSY; /* a worker looks for it */
    if (err != P2P_OK) {
        fail(c, request, err);
        return P2P_OK;
    }
    struct p2p_msg msg = {
        .type = P2P_MSG_META,
        .req = request->req,
        .meta = {.root = entry.root,
                 .size = entry.geometry.size,
                 .chunk_size = entry.geometry.chunk_size,
                 .mtime_s = entry.mtime_s,
                 .version = entry.version,
                 .flags = entry.sha256_known ? P2P_META_SHA256_KNOWN : 0,
                 .name = {entry.name, strlen(entry.name)}},
    };
    if (entry.sha256_known)
        msg.meta.sha256 = entry.sha256;
    err = put_message(c, &msg, used);
    requests_remove(&c->requests, request);
    return err;
}

static enum p2p_err
answer_hash(struct conn *c, struct request *request, size_t *used)
{
    struct p2p_share_entry entry;
    enum p2p_err err = visible_find_root(c, &request->root, &entry);

    if (err == P2P_ERR_MORE || visible_is_old(c, &request->root))
        err = P2P_ERR_NOT_FOUND; /* old contents have trees only */
    if (err == P2P_OK && !entry.sha256_known) {
        /* PROTOCOL.md: "answered when it is known" */
        requests_park(&c->requests, request);
        loop_park(c->loop, c);
        return P2P_OK;
    }
    if (err != P2P_OK) {
        fail(c, request, err);
        return P2P_OK;
    }
    struct p2p_msg msg = {
        .type = P2P_MSG_HASH, .req = request->req, .sha256 = entry.sha256};
    err = put_message(c, &msg, used);
    requests_remove(&c->requests, request);
    return err;
}

/* Sends one record of at most P2P_LAYER_HASHES_MAX hashes; the request stays until the
 * last record. */
static enum p2p_err
answer_layer(struct conn *c, struct request *request, size_t *used)
{
    struct p2p_digest hashes[P2P_LAYER_HASHES_MAX];
    uint32_t count =
        request->length < P2P_LAYER_HASHES_MAX ? request->length : P2P_LAYER_HASHES_MAX;
    enum p2p_err err = P2P_ERR_RANGE;

    if (count > 0)
        err = visible_layer(c, &request->root, request->first, count, hashes);
    if (err == P2P_ERR_MORE && (err = serve_seek(c, request)) == P2P_OK)
        err = visible_layer(c, &request->root, request->first, count, hashes);
    if (err == P2P_ERR_MORE)
        return P2P_ERR_BUSY;
    if (err != P2P_OK) {
        fail(c, request, err);
        return P2P_OK;
    }
    struct p2p_msg msg = {
        .type = P2P_MSG_LAYER,
        .req = request->req,
        .layer = {.first = request->first, .count = count, .hashes = hashes[0].b},
    };
    err = put_message(c, &msg, used);
    request->is_sought = false;
    request->first += count;
    request->length -= count;
    if (request->length == 0)
        requests_remove(&c->requests, request);
    return err;
}

static enum p2p_err
answer_changes(struct conn *c, struct request *request, size_t *used)
{
    struct p2p_wr wr = record_begin(c, *used);
    enum p2p_err err = serve_changes(c, request, &wr);
    size_t len;

    if (err != P2P_OK) /* parked: the next request may be answered */
        return err == P2P_ERR_BUSY ? P2P_OK : err;
    if ((err = p2p_wr_end(&wr, &len)) == P2P_OK)
        err = record_end(c, len, used);
    requests_remove(&c->requests, request);
    return err;
}

static enum p2p_err
answer_history(struct conn *c, struct request *request, size_t *used)
{
    const struct history_page *page;
    enum p2p_err err = p2p_name_check(request->text, request->text_len, true);
    struct p2p_wr wr;
    size_t len;

    if (err == P2P_OK)
        err = serve_history(c, request, &page);
    if (err == P2P_ERR_MORE)
        return P2P_ERR_BUSY;
    if (err != P2P_OK) {
        fail(c, request, err);
        return P2P_OK;
    }
    wr = record_begin(c, *used);
    p2p_msg_history_begin(&wr, request->req);
    for (size_t i = 0; i < page->count; i++)
        (void)p2p_msg_history_add(&wr, &page->at[i]);
    p2p_msg_history_end(&wr, page->next);
    if ((err = p2p_wr_end(&wr, &len)) == P2P_OK)
        err = record_end(c, len, used);
    requests_remove(&c->requests, request);
    return err;
}

static enum p2p_err
put_list(struct conn *c, struct request *request, const struct p2p_share_entry *entries,
         size_t count, bool more, size_t *used)
{
    struct p2p_wr wr = record_begin(c, *used);
    struct p2p_text next = {0};
    enum p2p_err err;
    size_t len, i;

    p2p_msg_list_begin(&wr, request->req);
    for (i = 0; i < count; i++) {
        struct p2p_list_entry entry = {
            .root = entries[i].root,
            .size = entries[i].geometry.size,
            .mtime_s = entries[i].mtime_s,
            .name = {entries[i].name, strlen(entries[i].name)},
        };
        if (!p2p_msg_list_add(&wr, &entry))
            break;
    }
    if (i > 0 && (i < count || more))
        next = (struct p2p_text){entries[i - 1].name, strlen(entries[i - 1].name)};
    p2p_msg_list_end(&wr, next);
    if ((err = p2p_wr_end(&wr, &len)) != P2P_OK)
        return err;
    return record_end(c, len, used);
}

static enum p2p_err
answer_list(struct conn *c, struct request *request, size_t *used)
{
    struct p2p_share_entry *entries = calloc(P2P_LIST_ENTRIES_MAX, sizeof(*entries));
    size_t count = 0;
    bool more = false;
    enum p2p_err err = P2P_ERR_NOMEM;

    if (entries != NULL)
        err = visible_list(c, request->text, entries, P2P_LIST_ENTRIES_MAX, &count,
                           &more);
    if (err != P2P_OK) {
        fail(c, request, err);
        err = P2P_OK;
    } else {
        err = put_list(c, request, entries, count, more, used);
        requests_remove(&c->requests, request);
    }
    free(entries);
    return err;
}

static enum p2p_err
answer_leaves(struct conn *c, struct request *request, size_t *used)
{
    const uint8_t *leaves = NULL;
    enum p2p_err err = serve_open(c, request);

    if (err == P2P_OK)
        err = serve_leaves(c, request, &leaves);
    if (err == P2P_ERR_MORE)
        return P2P_ERR_BUSY;
    if (err != P2P_OK) {
        serve_leaves_end(c);
        fail(c, request, err);
        return P2P_OK;
    }
    struct p2p_msg msg = {
        .type = P2P_MSG_LEAVES,
        .req = request->req,
        .leaves = {.first = request->first,
                   .count = (uint16_t)request->length,
                   .leaves = leaves},
    };
    err = put_message(c, &msg, used);
    serve_leaves_end(c);
    requests_remove(&c->requests, request);
    return err;
}

/* Opens the file of a GET and checks the range: 1..chunk size bytes within it. */
static enum p2p_err
begin_get(struct conn *c, struct request *request)
{
    const struct p2p_chunks *g;
    enum p2p_err err;

    if (request->file != NULL)
        return P2P_OK;
    if ((err = serve_open(c, request)) != P2P_OK)
        return err;
    g = p2p_share_file_geometry(request->file);
    if (request->length == 0 || request->length > g->chunk_size ||
        !p2p_chunks_has_range(g, request->first, request->length))
        return P2P_ERR_RANGE;
    return P2P_OK;
}

/* Sends one DATA record. BUSY: wait (the connection will run again). */
static enum p2p_err
answer_get(struct conn *c, struct request *request, size_t *used)
{
    uint8_t *plain = c->loop->scratch + *used + prefix_of(c);
    uint8_t *data = plain + P2P_DATA_HEADER;
    uint32_t left, n;
    size_t packed = 0;
    uint8_t flags = 0;
    enum p2p_err err = begin_get(c, request);

    if (err == P2P_ERR_MORE)
        return P2P_ERR_BUSY;
    if (err == P2P_ERR_BUSY) {
        fail(c, request, err);
        return P2P_OK;
    }
    left = request->length - request->done;
    n = left < P2P_DATA_MAX ? left : (uint32_t)P2P_DATA_MAX;
    if (err == P2P_OK && !request->paid && !serve_may_send(c, n))
        return P2P_ERR_BUSY;
    if (err == P2P_OK && !request->paid && c->state == CONN_GUEST)
        err = serve_guest_take(c, n);
    request->paid = true;
    if (err == P2P_OK)
        err = serve_read(c, request, request->first + request->done, data, n);
    if (err == P2P_ERR_BUSY)
        return err;
    if (err != P2P_OK) {
        fail(c, request, err);
        return P2P_OK;
    }
    request->paid = false;
    if (request->flags & P2P_GET_ZSTD)
        packed =
            compressor_try(c->loop->compressor, &c->goodput, data, n, c->loop->packed);
    if (packed > 0) {
        memcpy(data, c->loop->packed, packed);
        flags |= P2P_DATA_ZSTD;
    }
    if (n == left)
        flags |= P2P_DATA_LAST;
    p2p_msg_put_data_header(plain, request->req, flags, request->done);
    request->done += n;
    serve_count(c, request, n);
    if (n == left)
        requests_remove(&c->requests, request);
    else
        requests_interleave(&c->requests, request);
    return record_end(c, P2P_DATA_HEADER + (packed > 0 ? packed : n), used);
}

static enum p2p_err
answer(struct conn *c, struct request *request, size_t *used)
{
    /* DATA takes tokens of the rate limits before it is read; other answers take them
     * when they are sent, if the bucket is not in debt. */
    if (request->type != P2P_MSG_GET && *used == 0 && !serve_may_send(c, 0))
        return P2P_ERR_BUSY;
    switch (request->type) {
    case P2P_MSG_META_GET:
        return answer_meta(c, request, used);
    case P2P_MSG_LAYER_GET:
        return answer_layer(c, request, used);
    case P2P_MSG_GET:
        return answer_get(c, request, used);
    case P2P_MSG_LIST_GET:
        return answer_list(c, request, used);
    case P2P_MSG_HASH_GET:
        return answer_hash(c, request, used);
    case P2P_MSG_LEAVES_GET:
        return answer_leaves(c, request, used);
    case P2P_MSG_CHANGES_GET:
        return answer_changes(c, request, used);
    case P2P_MSG_HISTORY_GET:
        return answer_history(c, request, used);
    case P2P_MSG_INFO_GET:
        return answer_info(c, request, used);
    case P2P_MSG_PING:
        return answer_pong(c, request, used);
    case P2P_MSG_OFFERED:
        return answer_offered(c, request, used);
    case P2P_MSG_WELCOME:
        return answer_welcome(c, request, used);
    case P2P_MSG_TICKET:
        return answer_ticket(c, request, used);
    default:
        return answer_error(c, request, used);
    }
}

enum p2p_err
serve2_produce(struct conn *c, size_t *len)
{
    struct request *request;
    enum p2p_err err = P2P_OK;

    *len = 0;
    while (err == P2P_OK && *len < P2P_DATA_MAX &&
           (request = TAILQ_FIRST(&c->requests.list)) != NULL)
        err = answer(c, request, len);
    return err == P2P_ERR_BUSY ? P2P_OK : err;
}

enum p2p_err
serve2_close(struct conn *c, size_t *len)
{
    struct p2p_msg msg = {.type = P2P_MSG_CLOSE};

    *len = 0;
    return put_message(c, &msg, len);
}
