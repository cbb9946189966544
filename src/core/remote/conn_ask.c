/* One request at a time, waiting for its answer. */
#include "p2p/conn.h"

#include <stdlib.h>
#include <string.h>

#include "core/remote/conn_internal.h"
#include "p2p/log.h"
#include "p2p/path.h"
#include "p2p/tree.h"

static enum p2p_err
ask(struct p2p_conn *conn, struct p2p_msg *question)
{
    enum p2p_err err;

    question->req = p2p_conn_next_req(conn);
    err = p2p_conn_put(conn, question);
    return err == P2P_OK ? p2p_conn_flush(conn) : err;
}

/* Reads the next answer to `req`: a message of the wanted type, or the error that an
 * ERROR message reports. */
static enum p2p_err
hear(struct p2p_conn *conn, uint32_t req, enum p2p_msg_type type, uint64_t deadline_ms,
     struct p2p_msg *answer)
{
    enum p2p_err err = p2p_conn_receive(conn, deadline_ms, answer);

    if (err != P2P_OK)
        return err;
    if (answer->req == req && answer->type == P2P_MSG_ERROR)
        return p2p_conn_refusal(conn, answer);
    if (answer->req == req && answer->type == type)
        return P2P_OK;
    conn->broken = true; /* an answer without a request */
    return P2P_ERR_PROTOCOL;
}

static enum p2p_err
ask_and_hear(struct p2p_conn *conn, struct p2p_msg *question, enum p2p_msg_type type,
             struct p2p_msg *answer)
{
    enum p2p_err err = ask(conn, question);

    if (err != P2P_OK)
        return err;
    return hear(conn, question->req, type, p2p_now_ms() + conn->timeout_ms, answer);
}

static enum p2p_err
take_name(const struct p2p_text *text, char name[P2P_NAME_MAX + 1])
{
    if (text->len > P2P_NAME_MAX || p2p_name_check(text->at, text->len, true) != P2P_OK)
        return P2P_ERR_MALFORMED;
    memcpy(name, text->at, text->len);
    name[text->len] = '\0';
    return P2P_OK;
}

static enum p2p_err
take_meta(const struct p2p_msg_meta *meta, struct p2p_meta *out)
{
    enum p2p_err err = take_name(&meta->name, out->name);

    if (err == P2P_OK)
        err = p2p_chunks_init(&out->geometry, meta->size, meta->chunk_size);
    if (err != P2P_OK)
        return P2P_ERR_MALFORMED;
    out->mtime_s = meta->mtime_s;
    out->version = meta->version;
    out->root = meta->root;
    out->root_known = true;
    out->sha256_known = (meta->flags & P2P_META_SHA256_KNOWN) != 0;
    out->sha256 = meta->sha256;
    return P2P_OK;
}

/* Protocol 1 has no roots, and its chunk size need not be a power of two. */
static enum p2p_err
meta1(struct p2p_conn *conn, const char *name, struct p2p_meta *out)
{
    struct p2p_msg1 question = {.type = P2P_MSG1_META_GET,
                                .name = {name, strlen(name)}};
    struct p2p_msg1 answer;
    enum p2p_err err = p2p_conn_put1(conn, &question);

    if (err == P2P_OK)
        err = p2p_conn_flush(conn);
    if (err == P2P_OK)
        err = p2p_conn_receive1(conn, p2p_now_ms() + conn->timeout_ms, &answer);
    if (err != P2P_OK)
        return err;
    if (answer.type == P2P_MSG1_ERROR) {
        p2p_log_escape(answer.name.at, answer.name.len, conn->said, sizeof(conn->said));
        return P2P_ERR_NOT_FOUND;
    }
    if (answer.type != P2P_MSG1_META)
        return P2P_ERR_PROTOCOL;
    if (answer.size > P2P_FILE_SIZE_MAX || answer.chunk_size == 0 ||
        answer.chunk_size > P2P_CHUNK_SIZE_MAX ||
        answer.chunks !=
            answer.size / answer.chunk_size + (answer.size % answer.chunk_size != 0) ||
        answer.name.len != strlen(name) ||
        memcmp(answer.name.at, name, answer.name.len) != 0)
        return P2P_ERR_MALFORMED;
    if (answer.chunks > P2P_DOWNLOAD_CHUNKS_MAX)
        return P2P_ERR_TOO_LARGE;
    memcpy(out->name, name, answer.name.len + 1);
    out->geometry = (struct p2p_chunks){.size = answer.size,
                                        .chunk_size = (uint32_t)answer.chunk_size,
                                        .count = answer.chunks};
    out->sha256 = answer.sha256;
    out->sha256_known = true;
    return P2P_OK;
}

enum p2p_err
p2p_conn_meta_by_name(struct p2p_conn *conn, const char *name, struct p2p_meta *out)
{
    struct p2p_msg question = {.type = P2P_MSG_META_GET}, answer;
    enum p2p_err err;

    *out = (struct p2p_meta){0};
    if (strlen(name) > P2P_NAME_MAX)
        return P2P_ERR_NAME;
    if (conn->protocol == 1)
        return meta1(conn, name, out);
    question.meta_get.by = P2P_META_BY_NAME;
    question.meta_get.name = (struct p2p_text){name, strlen(name)};
    err = ask_and_hear(conn, &question, P2P_MSG_META, &answer);
    return err == P2P_OK ? take_meta(&answer.meta, out) : err;
}

enum p2p_err
p2p_conn_meta_by_root(struct p2p_conn *conn, const struct p2p_digest *root,
                      struct p2p_meta *out)
{
    struct p2p_msg question = {.type = P2P_MSG_META_GET}, answer;
    enum p2p_err err;

    *out = (struct p2p_meta){0};
    if (conn->protocol == 1)
        return P2P_ERR_UNSUPPORTED;
    question.meta_get.by = P2P_META_BY_ROOT;
    question.meta_get.root = *root;
    err = ask_and_hear(conn, &question, P2P_MSG_META, &answer);
    if (err == P2P_OK)
        err = take_meta(&answer.meta, out);
    if (err == P2P_OK && memcmp(&out->root, root, sizeof(*root)) != 0)
        err = P2P_ERR_PROTOCOL;
    return err;
}

/* Number of hashes per request. */
#define LAYER_STEP (16 * P2P_LAYER_HASHES_MAX)

/* Accepts the records of one LAYER? in order, without gaps or overlaps. */
static enum p2p_err
layer_part(struct p2p_conn *conn, const struct p2p_digest *root, uint64_t first,
           uint32_t count, struct p2p_digest *out)
{
    struct p2p_msg question = {.type = P2P_MSG_LAYER_GET}, answer;
    /* A deadline for the whole list: a peer that sends a hash now and then must not
     * delay a download forever. */
    uint64_t deadline_ms = p2p_now_ms() + conn->timeout_ms;
    uint32_t got = 0;
    enum p2p_err err;

    question.layer_get.root = *root;
    question.layer_get.first = first;
    question.layer_get.count = count;
    err = ask(conn, &question);
    while (err == P2P_OK && got < count) {
        err = hear(conn, question.req, P2P_MSG_LAYER, deadline_ms, &answer);
        if (err != P2P_OK)
            break;
        if (answer.layer.first != first + got || answer.layer.count == 0 ||
            answer.layer.count > count - got)
            return P2P_ERR_PROTOCOL;
        memcpy(&out[got], answer.layer.hashes, answer.layer.count * sizeof(*out));
        got += answer.layer.count;
    }
    return err;
}

/* Stores the next part of the source's hashes, after the `at` hashes that have arrived;
 * combines them `levels` levels up. Memory grows with the received hashes, not with the
 * size that the peer stated. */
static enum p2p_err
more_layer(struct p2p_conn *conn, const struct p2p_meta *meta, uint64_t at,
           unsigned levels, struct p2p_digest **layer)
{
    uint64_t left = meta->geometry.count - at, kept = at >> levels;
    uint32_t count = left < LAYER_STEP ? (uint32_t)left : LAYER_STEP;
    size_t n = count;
    struct p2p_digest *longer =
        realloc(*layer, (size_t)(kept + count + 1) * sizeof(*longer));
    enum p2p_err err;

    if (longer == NULL)
        return P2P_ERR_NOMEM;
    *layer = longer;
    err = layer_part(conn, &meta->root, at, count, &longer[kept]);
    if (err == P2P_OK && levels > 0)
        err = p2p_tree_raise(&meta->geometry, &longer[kept], &n, levels);
    return err;
}

/* How many levels above the source's chunks the kept layer is, so that it stays
 * small. */
static unsigned
levels_to_raise(const struct p2p_chunks *g)
{
    unsigned levels = 0;

    while ((g->count >> levels) > P2P_DOWNLOAD_LAYER_MAX &&
           ((uint64_t)g->chunk_size << levels) < P2P_CHUNK_SIZE_MAX)
        levels++;
    return levels;
}

enum p2p_err
p2p_conn_layer(struct p2p_conn *conn, const struct p2p_meta *meta,
               struct p2p_chunks *geometry, struct p2p_digest **out)
{
    const struct p2p_chunks *g = &meta->geometry;
    unsigned levels = levels_to_raise(g);
    struct p2p_digest *layer = NULL;
    enum p2p_err err;

    *out = NULL;
    if (!meta->root_known)
        return P2P_ERR_UNSUPPORTED;
    err = p2p_chunks_init(geometry, g->size, g->chunk_size << levels);
    if (err != P2P_OK)
        return err;
    if (geometry->count > P2P_DOWNLOAD_CHUNKS_MAX)
        return P2P_ERR_TOO_LARGE;
    layer = malloc(sizeof(*layer));
    if (layer == NULL)
        return P2P_ERR_NOMEM;
    layer[0] = meta->root; /* a layer of one hash is the root, which is known */
    for (uint64_t at = 0; g->count > 1 && at < g->count && err == P2P_OK;
         at += LAYER_STEP)
        err = more_layer(conn, meta, at, levels, &layer);
    if (err == P2P_OK)
        err = p2p_tree_check_layer(geometry, layer, &meta->root);
    if (err == P2P_OK)
        *out = layer;
    else
        free(layer);
    return err;
}

enum p2p_err
p2p_conn_sha256(struct p2p_conn *conn, const struct p2p_digest *root,
                struct p2p_digest *out)
{
    struct p2p_msg question = {.type = P2P_MSG_HASH_GET, .root = *root}, answer;
    enum p2p_err err;

    *out = (struct p2p_digest){0};
    if (conn->protocol == 1 || conn->is_guest)
        return P2P_ERR_UNSUPPORTED;
    err = ask_and_hear(conn, &question, P2P_MSG_HASH, &answer);
    if (err == P2P_OK)
        *out = answer.sha256;
    return err;
}

/* An empty folder has a name that ends in '/', no size and the root of an empty file.
 * Its name without the '/' is checked like a file's. */
static bool
take_folder(const struct p2p_list_entry *entry, char name[P2P_NAME_MAX + 1])
{
    const struct p2p_digest none = {0};
    struct p2p_text text = entry->name;

    if (text.len < 2 || text.len > P2P_NAME_MAX || text.at[text.len - 1] != '/' ||
        entry->size != 0 || memcmp(&entry->root, &none, sizeof(none)) != 0)
        return false;
    text.len--;
    if (take_name(&text, name) != P2P_OK)
        return false;
    name[text.len] = '/';
    name[text.len + 1] = '\0';
    return true;
}

static enum p2p_err
visit_entries(struct p2p_msg_list *list, const struct p2p_list_visitor *visitor)
{
    enum p2p_err err = P2P_OK;

    for (unsigned i = 0; i < list->count && err == P2P_OK; i++) {
        struct p2p_list_entry entry;
        char name[P2P_NAME_MAX + 1];
        p2p_msg_get_list_entry(&list->entries, &entry);
        if (visitor->folder != NULL && take_folder(&entry, name))
            err = visitor->folder(visitor->arg, name);
        else if (entry.size <= P2P_FILE_SIZE_MAX &&
                 take_name(&entry.name, name) == P2P_OK)
            err = visitor->file(visitor->arg, name, &entry);
    }
    return err;
}

enum p2p_err
p2p_conn_list(struct p2p_conn *conn, char *cursor,
              const struct p2p_list_visitor *visitor)
{
    struct p2p_msg question = {.type = P2P_MSG_LIST_GET}, answer;
    enum p2p_err err;

    if (conn->protocol == 1)
        return P2P_ERR_UNSUPPORTED;
    question.cursor = (struct p2p_text){cursor, strlen(cursor)};
    err = ask_and_hear(conn, &question, P2P_MSG_LIST, &answer);
    if (err != P2P_OK)
        return err;
    if (answer.list.next.len > P2P_NAME_MAX)
        return P2P_ERR_MALFORMED;
    /* Ends the list when the cursor does not move or a page is empty; otherwise the
     * requests would never end. */
    if (answer.list.next.len > 0 &&
        (answer.list.count == 0 ||
         (answer.list.next.len == strlen(cursor) &&
          memcmp(answer.list.next.at, cursor, answer.list.next.len) == 0)))
        return P2P_ERR_PROTOCOL;
    memcpy(cursor, answer.list.next.at, answer.list.next.len);
    cursor[answer.list.next.len] = '\0';
    return visit_entries(&answer.list, visitor);
}

enum p2p_err
p2p_conn_list_all(struct p2p_conn *conn, uint64_t deadline_ms,
                  const struct p2p_list_visitor *visitor)
{
    char cursor[P2P_NAME_MAX + 1] = "";
    enum p2p_err err;

    do
        err = p2p_now_ms() < deadline_ms ? p2p_conn_list(conn, cursor, visitor)
                                         : P2P_ERR_TIMEOUT;
    while (err == P2P_OK && cursor[0] != '\0');
    return err;
}

/* The answer of a peer that does not know a request. */
static enum p2p_err
unsupported(const struct p2p_conn *conn, enum p2p_err err)
{
    return err == P2P_ERR_PROTOCOL && !conn->broken ? P2P_ERR_UNSUPPORTED : err;
}

enum p2p_err
p2p_conn_history(struct p2p_conn *conn, const char *name, uint32_t *before,
                 p2p_conn_visit_version *visit, void *arg)
{
    struct p2p_msg question = {.type = P2P_MSG_HISTORY_GET}, answer;
    struct p2p_history_entry entry;
    enum p2p_err err;

    if (conn->protocol == 1)
        return P2P_ERR_UNSUPPORTED;
    question.history_get.name = (struct p2p_text){name, strlen(name)};
    question.history_get.before = *before;
    err = ask_and_hear(conn, &question, P2P_MSG_HISTORY, &answer);
    if (err != P2P_OK)
        return unsupported(conn, err);
    /* Each page ends further back, so the pages come to an end. */
    if (answer.history.next != 0 && *before != 0 && answer.history.next >= *before)
        return P2P_ERR_PROTOCOL;
    *before = answer.history.next;
    for (unsigned i = 0; i < answer.history.count; i++) {
        p2p_msg_get_history_entry(&answer.history.entries, &entry);
        if (entry.size <= P2P_FILE_SIZE_MAX)
            visit(arg, &entry);
    }
    return P2P_OK;
}

/* ---- offers ---- */

/* Fills one record with the files from `*at` on. */
static enum p2p_err
put_files(const struct p2p_offer *offer, size_t *at, uint8_t *buf, struct p2p_msg *msg)
{
    struct p2p_wr items;
    size_t len;
    enum p2p_err err;

    p2p_wr_init(&items, buf, P2P_OFFER_RECORD_ITEMS);
    msg->offer.count = 0;
    for (; *at < offer->count; (*at)++, msg->offer.count++) {
        const struct p2p_offer_file *file = &offer->files[*at];
        const struct p2p_offer_item item = {.root = file->root,
                                            .size = file->size,
                                            .name = {file->name, strlen(file->name)}};
        if (item.name.len > P2P_NAME_MAX)
            return P2P_ERR_NAME;
        if (!p2p_msg_put_offer_item(&items, &item))
            break;
    }
    if ((err = p2p_wr_end(&items, &len)) == P2P_OK)
        p2p_rd_init(&msg->offer.items, buf, len);
    msg->offer.flags = *at < offer->count ? P2P_OFFER_MORE : 0;
    return err;
}

enum p2p_err
p2p_conn_offer(struct p2p_conn *conn, const struct p2p_offer *offer,
               enum p2p_offer_state *state)
{
    uint8_t *buf = malloc(P2P_OFFER_RECORD_ITEMS);
    struct p2p_msg question = {.type = P2P_MSG_OFFER}, answer;
    enum p2p_err err = buf != NULL ? P2P_OK : P2P_ERR_NOMEM;
    unsigned records = 0;
    size_t at = 0;

    *state = P2P_OFFER_REFUSED;
    if (conn->protocol == 1)
        err = P2P_ERR_UNSUPPORTED;
    else if (offer->count > P2P_OFFER_ITEMS_MAX)
        err = P2P_ERR_TOO_LARGE;
    memcpy(question.offer.id, offer->id, sizeof(offer->id));
    question.offer.expires_s = offer->expires_s;
    if (offer->text != NULL)
        question.offer.text = (struct p2p_text){offer->text, strlen(offer->text)};
    while (err == P2P_OK) {
        if (++records > P2P_OFFER_RECORDS_MAX)
            err = P2P_ERR_TOO_LARGE;
        else if ((err = put_files(offer, &at, buf, &question)) == P2P_OK)
            err = ask_and_hear(conn, &question, P2P_MSG_OFFERED, &answer);
        if (err != P2P_OK)
            break;
        if (memcmp(answer.offered.id, offer->id, sizeof(offer->id)) != 0) {
            err = P2P_ERR_PROTOCOL;
            break;
        }
        *state = (enum p2p_offer_state)answer.offered.state;
        if (*state != P2P_OFFER_SHOWN || at >= offer->count)
            break;
        question.offer.text.len = 0; /* it is in the first record */
    }
    free(buf);
    return unsupported(conn, err);
}

/* Gives the entries of an answer to the visitor. */
static enum p2p_err
visit_changes(const struct p2p_msg_changes *changes, p2p_conn_visit_change *visit,
              void *arg)
{
    struct p2p_rd entries = changes->entries;
    char name[P2P_NAME_MAX + 1];
    enum p2p_err err = P2P_OK;

    for (unsigned i = 0; i < changes->count && err == P2P_OK; i++) {
        struct p2p_change_entry entry;
        p2p_msg_get_change(&entries, &entry);
        if (take_name(&entry.name, name) != P2P_OK)
            continue; /* as in lists: it could not be stored here */
        const struct p2p_conn_change change = {
            .name = name,
            .is_gone = (entry.flags & P2P_CHANGE_GONE) != 0,
            .root = entry.root,
            .size = entry.size,
            .mtime_s = entry.mtime_ns / 1000000000u,
        };
        err = visit(arg, &change);
    }
    return err;
}

enum p2p_err
p2p_conn_changes(struct p2p_conn *conn, const char *folder, unsigned wait_s,
                 struct p2p_conn_place *place, p2p_conn_visit_change *visit, void *arg,
                 uint8_t *flags)
{
    struct p2p_msg question = {.type = P2P_MSG_CHANGES_GET}, answer;
    const struct p2p_msg_changes *changes = &answer.changes;
    enum p2p_err err;

    *flags = 0;
    if (conn->protocol == 1)
        return P2P_ERR_UNSUPPORTED;
    question.changes_get.log = place->log;
    question.changes_get.after = place->after;
    question.changes_get.wait_s = (uint16_t)wait_s;
    question.changes_get.folder = (struct p2p_text){folder, strlen(folder)};
    if ((err = ask(conn, &question)) != P2P_OK)
        return err;
    err = hear(conn, question.req, P2P_MSG_CHANGES,
               p2p_now_ms() + wait_s * 1000u + conn->timeout_ms, &answer);
    if (err != P2P_OK)
        return unsupported(conn, err);
    if (visit != NULL)
        err = visit_changes(changes, visit, arg);
    *flags =
        (changes->flags & (P2P_CHANGES_WHOLE | P2P_CHANGES_ANEW | P2P_CHANGES_MORE));
    if (changes->count > 0)
        *flags |= P2P_CHANGES_SOME;
    *place = (struct p2p_conn_place){.log = changes->log, .after = changes->upto};
    return err;
}

bool
p2p_conn_is_news(uint8_t flags)
{
    return (flags & P2P_CHANGES_WHOLE) == 0 || (flags & P2P_CHANGES_SOME) != 0;
}

enum p2p_err
p2p_conn_ping(struct p2p_conn *conn, uint64_t *rtt_us)
{
    struct p2p_msg question = {.type = P2P_MSG_PING}, answer;
    uint64_t began = p2p_now_us();
    enum p2p_err err;

    *rtt_us = 0;
    if (conn->protocol == 1)
        return P2P_ERR_UNSUPPORTED;
    err = p2p_random(&question.ping, sizeof(question.ping));
    if (err == P2P_OK)
        err = p2p_conn_put(conn, &question);
    if (err == P2P_OK)
        err = p2p_conn_flush(conn);
    if (err == P2P_OK)
        err = p2p_conn_receive(conn, began / 1000 + conn->timeout_ms, &answer);
    if (err != P2P_OK)
        return err;
    if (answer.type != P2P_MSG_PONG || answer.ping != question.ping)
        return P2P_ERR_PROTOCOL;
    *rtt_us = p2p_now_us() - began;
    return P2P_OK;
}
