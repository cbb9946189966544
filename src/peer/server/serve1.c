/* Protocol 1 answers (docs/PROTOCOL.md, "Protocol 1"): in the order of the requests. */
#include <stdlib.h>
#include <string.h>

#include "p2p/net.h"
#include "peer/server/loop.h"
#include "peer/server/serve.h"
#include "peer/server/visible.h"

static enum p2p_err
queue(struct conn *c, enum p2p_msg_type type, struct p2p_text text, uint64_t index)
{
    struct request *request = request_new(type, 0, text);

    if (request == NULL)
        return P2P_ERR_NOMEM;
    request->first = index;
    requests_add_in_order(&c->requests, request);
    return P2P_OK;
}

static enum p2p_err
queue_error(struct conn *c, const char *text)
{
    return queue(c, P2P_MSG_ERROR, (struct p2p_text){text, strlen(text)}, 0);
}

enum p2p_err
serve1_end(struct conn *c)
{
    c->finishing = true;
    return queue_error(c, "too many messages on one connection; connect again");
}

enum p2p_err
serve1_handle(struct conn *c, const uint8_t *plain, size_t len)
{
    struct p2p_msg1 msg;

    if (p2p_msg1_parse_request(plain, len, &msg) != P2P_OK)
        return queue_error(c, "malformed request");
    if (msg.type == P2P_MSG1_DONE) {
        c->finishing = true;
        return P2P_OK;
    }
    if (p2p_name_check(msg.name.at, msg.name.len, true) != P2P_OK)
        return queue_error(c, p2p_err_text(P2P_ERR_NAME));
    return queue(c, msg.type == P2P_MSG1_GET ? P2P_MSG_GET : P2P_MSG_META_GET, msg.name,
                 msg.index);
}

/* Encrypts plain_len bytes of the buffer and ends the request. */
static enum p2p_err
finish(struct conn *c, struct request *request, size_t plain_len, size_t *len)
{
    struct p2p_nonce nonce;
    enum p2p_err err = p2p_random(&nonce, sizeof(nonce));

    if (err == P2P_OK)
        err = p2p_session1_seal(c->session1, c->loop->scratch, plain_len, &nonce);
    if (err == P2P_OK)
        *len = P2P_FRAME_SIZE(plain_len);
    requests_remove(&c->requests, request);
    return err;
}

static enum p2p_err
put_message(struct conn *c, struct request *request, const struct p2p_msg1 *msg,
            size_t *len)
{
    struct p2p_wr wr;
    size_t plain_len;
    enum p2p_err err;

    p2p_wr_init(&wr, c->loop->scratch + P2P_FRAME_PREFIX, P2P_FRAME1_REQUEST_MAX);
    p2p_msg1_put(&wr, msg);
    if ((err = p2p_wr_end(&wr, &plain_len)) != P2P_OK)
        return err;
    return finish(c, request, plain_len, len);
}

static enum p2p_err
put_error(struct conn *c, struct request *request, const char *text, size_t *len)
{
    struct p2p_msg1 msg = {.type = P2P_MSG1_ERROR, .name = {text, strlen(text)}};

    return put_message(c, request, &msg, len);
}

static const char *
explain(enum p2p_err err)
{
    if (err == P2P_ERR_NOT_FOUND)
        return "file not found";
    if (err == P2P_ERR_RANGE)
        return "chunk index out of range";
    if (err == P2P_ERR_BUSY)
        return "the file is still being hashed; try again";
    return p2p_err_text(err);
}

static enum p2p_err
remember_promise(struct conn *c, const struct p2p_share_entry *entry)
{
    size_t size = strlen(entry->name) + 1;

    free(c->promise);
    if ((c->promise = malloc(sizeof(*c->promise) + size)) == NULL)
        return P2P_ERR_NOMEM;
    c->promise->root = entry->root;
    memcpy(c->promise->name, entry->name, size);
    return P2P_OK;
}

/* Not the chunk size of the file's tree: protocol 1 allows sizes that are not powers of
 * two. */
static uint32_t
chunk_size_of(const struct conn *c)
{
    return c->loop->server->opt.chunk_size;
}

static uint64_t
count_chunks(const struct conn *c, uint64_t size)
{
    uint32_t chunk = chunk_size_of(c);

    return size / chunk + (size % chunk != 0);
}

static enum p2p_err
answer_meta(struct conn *c, struct request *request, size_t *len)
{
    struct p2p_share_entry entry;
    enum p2p_err err = visible_find_name(c, request->text, &entry);

    if (err == P2P_OK && !entry.sha256_known)
        err = P2P_ERR_BUSY;
    if (err == P2P_OK)
        err = remember_promise(c, &entry);
    if (err != P2P_OK)
        return put_error(c, request, explain(err), len);
    struct p2p_msg1 msg = {
        .type = P2P_MSG1_META,
        .name = {entry.name, strlen(entry.name)},
        .size = entry.geometry.size,
        .chunk_size = chunk_size_of(c),
        .chunks = count_chunks(c, entry.geometry.size),
        .sha256 = entry.sha256,
    };
    return put_message(c, request, &msg, len);
}

static enum p2p_err
begin_get(struct conn *c, struct request *request)
{
    struct p2p_share_entry entry;
    enum p2p_err err;

    if (request->file != NULL)
        return P2P_OK;
    if ((err = visible_find_name(c, request->text, &entry)) != P2P_OK)
        return err;
    if (c->promise != NULL && strcmp(c->promise->name, entry.name) == 0 &&
        memcmp(&c->promise->root, &entry.root, sizeof(entry.root)) != 0)
        return P2P_ERR_FILE_CHANGED;
    if (request->first >= count_chunks(c, entry.geometry.size))
        return P2P_ERR_RANGE;
    return visible_open(c, &entry.root, &request->file);
}

static enum p2p_err
answer_chunk(struct conn *c, struct request *request, size_t *len)
{
    uint8_t *plain = c->loop->scratch + P2P_FRAME_PREFIX;
    enum p2p_err err = begin_get(c, request);
    uint64_t offset, left;
    uint32_t n;
    char prefix[32];
    size_t prefix_len;

    if (err != P2P_OK)
        return put_error(c, request, explain(err), len);
    offset = request->first * chunk_size_of(c);
    left = p2p_share_file_geometry(request->file)->size - offset;
    n = left < chunk_size_of(c) ? (uint32_t)left : chunk_size_of(c);
    if (P2P_FRAME_SIZE(sizeof(prefix) + n) > c->loop->scratch_size)
        return put_error(c, request, explain(P2P_ERR_TOO_LARGE), len);
    if (!request->paid && !serve_may_send(c, n))
        return P2P_OK;
    request->paid = true;
    prefix_len = p2p_msg1_chunk_prefix(request->first, prefix);
    memcpy(plain, prefix, prefix_len);
    err = serve_read(c, request, offset, plain + prefix_len, n);
    if (err == P2P_ERR_BUSY)
        return P2P_OK;
    if (err != P2P_OK)
        return put_error(c, request, explain(err), len);
    serve_count(c, request, n);
    return finish(c, request, prefix_len + n, len);
}

enum p2p_err
serve1_produce(struct conn *c, size_t *len)
{
    struct request *request = TAILQ_FIRST(&c->requests.list);

    *len = 0;
    if (request == NULL || (request->type != P2P_MSG_GET && !serve_may_send(c, 0)))
        return P2P_OK;
    switch (request->type) {
    case P2P_MSG_META_GET:
        return answer_meta(c, request, len);
    case P2P_MSG_GET:
        return answer_chunk(c, request, len);
    default: {
        struct p2p_msg1 msg = {.type = P2P_MSG1_ERROR,
                               .name = {request->text, request->text_len}};
        return put_message(c, request, &msg, len);
    }
    }
}
