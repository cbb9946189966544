/* Messages of protocol 2: for each type, the functions that put and get its body. */
#include "p2p/msg.h"

#include <string.h>

#include "p2p/about.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Fields ---- */

static void
put_digest(struct p2p_wr *wr, const struct p2p_digest *digest)
{
    p2p_wr_put_bytes(wr, digest->b, sizeof(digest->b));
}

static void
get_digest(struct p2p_rd *rd, struct p2p_digest *digest)
{
    p2p_rd_get_bytes(rd, digest->b, sizeof(digest->b));
}

/* u16 length, text. */
static void
put_text(struct p2p_wr *wr, struct p2p_text text)
{
    if (text.len > UINT16_MAX)
        wr->failed = true;
    p2p_wr_put_u16(wr, (uint16_t)text.len);
    p2p_wr_put_bytes(wr, text.at, text.len);
}

static struct p2p_text
get_text(struct p2p_rd *rd)
{
    size_t len = p2p_rd_get_u16(rd);
    const uint8_t *at = p2p_rd_get_ref(rd, len);

    return at != NULL ? (struct p2p_text){(const char *)at, len}
                      : (struct p2p_text){"", 0};
}

/* ---- Bodies. `req` is put and got by the callers at the end of this file. ---- */

static void
put_meta_get(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    const struct p2p_msg_meta_get *m = &msg->meta_get;
    struct p2p_text root = {(const char *)m->root.b, sizeof(m->root.b)};

    p2p_wr_put_u8(wr, m->by);
    put_text(wr, m->by == P2P_META_BY_ROOT ? root : m->name);
}

static bool
get_meta_get(struct p2p_rd *rd, struct p2p_msg *msg)
{
    struct p2p_msg_meta_get *m = &msg->meta_get;
    struct p2p_text key;

    m->by = p2p_rd_get_u8(rd);
    key = get_text(rd);
    if (m->by == P2P_META_BY_NAME)
        m->name = key;
    else if (m->by == P2P_META_BY_ROOT && key.len == sizeof(m->root.b))
        memcpy(m->root.b, key.at, key.len);
    else
        return false;
    return true;
}

static void
put_meta(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    const struct p2p_msg_meta *m = &msg->meta;

    put_digest(wr, &m->root);
    p2p_wr_put_u64(wr, m->size);
    p2p_wr_put_u32(wr, m->chunk_size);
    p2p_wr_put_u64(wr, m->mtime_s);
    p2p_wr_put_u32(wr, m->version);
    p2p_wr_put_u8(wr, m->flags);
    put_digest(wr, &m->sha256);
    put_text(wr, m->name);
}

static bool
get_meta(struct p2p_rd *rd, struct p2p_msg *msg)
{
    struct p2p_msg_meta *m = &msg->meta;

    get_digest(rd, &m->root);
    m->size = p2p_rd_get_u64(rd);
    m->chunk_size = p2p_rd_get_u32(rd);
    m->mtime_s = p2p_rd_get_u64(rd);
    m->version = p2p_rd_get_u32(rd);
    m->flags = p2p_rd_get_u8(rd);
    get_digest(rd, &m->sha256);
    m->name = get_text(rd);
    return true;
}

static void
put_layer_get(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    put_digest(wr, &msg->layer_get.root);
    p2p_wr_put_u64(wr, msg->layer_get.first);
    p2p_wr_put_u32(wr, msg->layer_get.count);
}

static bool
get_layer_get(struct p2p_rd *rd, struct p2p_msg *msg)
{
    get_digest(rd, &msg->layer_get.root);
    msg->layer_get.first = p2p_rd_get_u64(rd);
    msg->layer_get.count = p2p_rd_get_u32(rd);
    return true;
}

static void
put_layer(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    p2p_wr_put_u64(wr, msg->layer.first);
    p2p_wr_put_u32(wr, msg->layer.count);
    p2p_wr_put_bytes(wr, msg->layer.hashes, (size_t)msg->layer.count * P2P_DIGEST_LEN);
}

static bool
get_layer(struct p2p_rd *rd, struct p2p_msg *msg)
{
    msg->layer.first = p2p_rd_get_u64(rd);
    msg->layer.count = p2p_rd_get_u32(rd);
    if (msg->layer.count > P2P_LAYER_HASHES_MAX)
        return false;
    msg->layer.hashes = p2p_rd_get_ref(rd, (size_t)msg->layer.count * P2P_DIGEST_LEN);
    return true;
}

static void
put_get(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    put_digest(wr, &msg->get.root);
    p2p_wr_put_u64(wr, msg->get.offset);
    p2p_wr_put_u32(wr, msg->get.length);
    p2p_wr_put_u8(wr, msg->get.flags);
}

static bool
get_get(struct p2p_rd *rd, struct p2p_msg *msg)
{
    get_digest(rd, &msg->get.root);
    msg->get.offset = p2p_rd_get_u64(rd);
    msg->get.length = p2p_rd_get_u32(rd);
    msg->get.flags =
        p2p_rd_get_u8(rd); /* unknown bits are offers that may be ignored */
    return true;
}

static void
put_data(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    p2p_wr_put_u8(wr, msg->data.flags);
    p2p_wr_put_u32(wr, msg->data.offset);
    p2p_wr_put_bytes(wr, msg->data.bytes, msg->data.len);
}

static bool
get_data(struct p2p_rd *rd, struct p2p_msg *msg)
{
    struct p2p_msg_data *m = &msg->data;

    m->flags = p2p_rd_get_u8(rd);
    m->offset = p2p_rd_get_u32(rd);
    m->len = rd->left;
    m->bytes = p2p_rd_get_ref(rd, rd->left);
    /* A flag tells how to read the bytes, so bytes with an unknown flag are useless. */
    return m->len <= P2P_DATA_MAX && (m->flags & ~(P2P_DATA_LAST | P2P_DATA_ZSTD)) == 0;
}

static void
put_nothing(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    (void)wr, (void)msg;
}

static bool
get_nothing(struct p2p_rd *rd, struct p2p_msg *msg)
{
    (void)rd, (void)msg;
    return true;
}

static void
put_list_get(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    put_text(wr, msg->cursor);
}

static bool
get_list_get(struct p2p_rd *rd, struct p2p_msg *msg)
{
    msg->cursor = get_text(rd);
    return true;
}

static void
put_hash_get(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    put_digest(wr, &msg->root);
}

static bool
get_hash_get(struct p2p_rd *rd, struct p2p_msg *msg)
{
    get_digest(rd, &msg->root);
    return true;
}

static void
put_hash(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    put_digest(wr, &msg->sha256);
}

static bool
get_hash(struct p2p_rd *rd, struct p2p_msg *msg)
{
    get_digest(rd, &msg->sha256);
    return true;
}

static void
put_ping(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    p2p_wr_put_u64(wr, msg->ping);
}

static bool
get_ping(struct p2p_rd *rd, struct p2p_msg *msg)
{
    msg->ping = p2p_rd_get_u64(rd);
    return true;
}

static void
put_error(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    p2p_wr_put_u16(wr, msg->error.code);
    put_text(wr, msg->error.text);
}

static bool
get_error(struct p2p_rd *rd, struct p2p_msg *msg)
{
    msg->error.code = p2p_rd_get_u16(rd);
    msg->error.text = get_text(rd);
    return true;
}

static void
put_info(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    p2p_wr_put_u8(wr, msg->info.kind);
    p2p_wr_put_u32(wr, msg->info.features);
    put_text(wr, msg->info.name);
    put_text(wr, msg->info.version);
}

/* A name is optional, but it must be printable. */
static bool
is_shown(struct p2p_text text)
{
    return text.len == 0 || p2p_about_name_check(text.at, text.len) == P2P_OK;
}

static bool
get_info(struct p2p_rd *rd, struct p2p_msg *msg)
{
    struct p2p_msg_info *m = &msg->info;

    m->kind = p2p_rd_get_u8(rd);
    m->features = p2p_rd_get_u32(rd);
    m->name = get_text(rd);
    m->version = get_text(rd);
    return is_shown(m->name) && is_shown(m->version);
}

/* ---- LIST: made entry by entry, read the same way ---- */

enum { LIST_COUNT_AT = 1 + 4, LIST_ENTRY_FIXED = P2P_DIGEST_LEN + 8 + 8 + 2 };

void
p2p_msg_list_begin(struct p2p_wr *wr, uint32_t req)
{
    p2p_wr_put_u8(wr, P2P_MSG_LIST);
    p2p_wr_put_u32(wr, req);
    p2p_wr_put_u16(wr, 0); /* counted by add */
}

bool
p2p_msg_list_add(struct p2p_wr *wr, const struct p2p_list_entry *entry)
{
    /* Leaves room for the next cursor after the entries. */
    size_t need = LIST_ENTRY_FIXED + entry->name.len + 2 + P2P_NAME_MAX;
    uint8_t *count = wr->buf + LIST_COUNT_AT;
    unsigned n;

    if (wr->failed || entry->name.len > P2P_NAME_MAX || need > wr->cap - wr->used)
        return false;
    n = (unsigned)count[0] << 8 | count[1];
    if (n >= P2P_LIST_ENTRIES_MAX)
        return false;
    put_digest(wr, &entry->root);
    p2p_wr_put_u64(wr, entry->size);
    p2p_wr_put_u64(wr, entry->mtime_s);
    put_text(wr, entry->name);
    count[0] = (uint8_t)((n + 1) >> 8);
    count[1] = (uint8_t)(n + 1);
    return true;
}

void
p2p_msg_list_end(struct p2p_wr *wr, struct p2p_text next)
{
    put_text(wr, next);
}

void
p2p_msg_get_list_entry(struct p2p_rd *entries, struct p2p_list_entry *entry)
{
    get_digest(entries, &entry->root);
    entry->size = p2p_rd_get_u64(entries);
    entry->mtime_s = p2p_rd_get_u64(entries);
    entry->name = get_text(entries);
}

static bool
get_list(struct p2p_rd *rd, struct p2p_msg *msg)
{
    struct p2p_list_entry entry;
    const uint8_t *first;

    msg->list.count = p2p_rd_get_u16(rd);
    first = rd->at;
    for (unsigned i = 0; i < msg->list.count && !rd->failed; i++)
        p2p_msg_get_list_entry(rd, &entry);
    p2p_rd_init(&msg->list.entries, first, (size_t)(rd->at - first));
    msg->list.next = get_text(rd);
    return true;
}

/* ---- CHANGES and HISTORY: likewise ---- */

enum {
    CHANGES_FLAGS_AT = 1 + 4,
    CHANGES_UPTO_AT = CHANGES_FLAGS_AT + 1 + 8,
    CHANGES_COUNT_AT = CHANGES_UPTO_AT + 8 + 1,
    CHANGE_FIXED = 1 + P2P_DIGEST_LEN + 8 + 8 + 4 + 8 + 2,
    HISTORY_COUNT_AT = 1 + 4,
    HISTORY_ENTRY = 4 + 1 + 4 * 8 + P2P_DIGEST_LEN,
};

/* One more in the count at `at`. False: there are `max`. */
static bool
count_one(struct p2p_wr *wr, size_t at, unsigned max)
{
    uint8_t *count = wr->buf + at;
    unsigned n = (unsigned)count[0] << 8 | count[1];

    if (n >= max)
        return false;
    count[0] = (uint8_t)((n + 1) >> 8);
    count[1] = (uint8_t)(n + 1);
    return true;
}

static void
put_changes_get(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    const struct p2p_msg_changes_get *m = &msg->changes_get;

    p2p_wr_put_u8(wr, m->kind);
    p2p_wr_put_u64(wr, m->log);
    p2p_wr_put_u64(wr, m->after);
    p2p_wr_put_u16(wr, m->wait_s);
    put_text(wr, m->folder);
}

static bool
get_changes_get(struct p2p_rd *rd, struct p2p_msg *msg)
{
    struct p2p_msg_changes_get *m = &msg->changes_get;

    m->kind = p2p_rd_get_u8(rd);
    m->log = p2p_rd_get_u64(rd);
    m->after = p2p_rd_get_u64(rd);
    m->wait_s = p2p_rd_get_u16(rd);
    m->folder = get_text(rd);
    if (m->kind != 0) /* this version does not know the rest */
        (void)p2p_rd_get_ref(rd, rd->left);
    return true;
}

void
p2p_msg_changes_begin(struct p2p_wr *wr, uint32_t req, uint64_t log)
{
    p2p_wr_put_u8(wr, P2P_MSG_CHANGES);
    p2p_wr_put_u32(wr, req);
    p2p_wr_put_u8(wr, 0); /* flags and `upto` are set by end */
    p2p_wr_put_u64(wr, log);
    p2p_wr_put_u64(wr, 0);
    p2p_wr_put_u8(wr, 0);  /* copies that are wanted: none yet */
    p2p_wr_put_u16(wr, 0); /* counted by add */
}

bool
p2p_msg_changes_add(struct p2p_wr *wr, const struct p2p_change_entry *entry)
{
    if (wr->failed || entry->name.len > P2P_NAME_MAX ||
        CHANGE_FIXED + entry->name.len > wr->cap - wr->used ||
        !count_one(wr, CHANGES_COUNT_AT, P2P_CHANGES_MAX))
        return false;
    p2p_wr_put_u8(wr, entry->flags);
    put_digest(wr, &entry->root);
    p2p_wr_put_u64(wr, entry->size);
    p2p_wr_put_u64(wr, entry->mtime_ns);
    p2p_wr_put_u32(wr, entry->version);
    p2p_wr_put_u64(wr, entry->change);
    put_text(wr, entry->name);
    return true;
}

void
p2p_msg_changes_end(struct p2p_wr *wr, uint8_t flags, uint64_t upto)
{
    if (wr->failed)
        return;
    wr->buf[CHANGES_FLAGS_AT] = flags;
    p2p_store_u64(wr->buf + CHANGES_UPTO_AT, upto);
}

void
p2p_msg_get_change(struct p2p_rd *entries, struct p2p_change_entry *entry)
{
    entry->flags = p2p_rd_get_u8(entries);
    get_digest(entries, &entry->root);
    entry->size = p2p_rd_get_u64(entries);
    entry->mtime_ns = p2p_rd_get_u64(entries);
    entry->version = p2p_rd_get_u32(entries);
    entry->change = p2p_rd_get_u64(entries);
    entry->name = get_text(entries);
}

static bool
get_changes(struct p2p_rd *rd, struct p2p_msg *msg)
{
    struct p2p_msg_changes *m = &msg->changes;
    struct p2p_change_entry entry;
    const uint8_t *first;

    m->flags = p2p_rd_get_u8(rd);
    m->log = p2p_rd_get_u64(rd);
    m->upto = p2p_rd_get_u64(rd);
    (void)p2p_rd_get_u8(rd); /* copies that are wanted */
    m->count = p2p_rd_get_u16(rd);
    first = rd->at;
    for (unsigned i = 0; i < m->count && !rd->failed; i++)
        p2p_msg_get_change(rd, &entry);
    p2p_rd_init(&m->entries, first, (size_t)(rd->at - first));
    return m->count <= P2P_CHANGES_MAX;
}

static void
put_history_get(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    put_text(wr, msg->history_get.name);
    p2p_wr_put_u32(wr, msg->history_get.before);
}

static bool
get_history_get(struct p2p_rd *rd, struct p2p_msg *msg)
{
    msg->history_get.name = get_text(rd);
    msg->history_get.before = p2p_rd_get_u32(rd);
    return true;
}

void
p2p_msg_history_begin(struct p2p_wr *wr, uint32_t req)
{
    p2p_wr_put_u8(wr, P2P_MSG_HISTORY);
    p2p_wr_put_u32(wr, req);
    p2p_wr_put_u16(wr, 0); /* counted by add */
}

bool
p2p_msg_history_add(struct p2p_wr *wr, const struct p2p_history_entry *entry)
{
    if (wr->failed || HISTORY_ENTRY + 4 > wr->cap - wr->used ||
        !count_one(wr, HISTORY_COUNT_AT, P2P_HISTORY_MAX))
        return false;
    p2p_wr_put_u32(wr, entry->version);
    p2p_wr_put_u8(wr, entry->flags);
    p2p_wr_put_u64(wr, entry->size);
    p2p_wr_put_u64(wr, entry->mtime_ns);
    p2p_wr_put_u64(wr, entry->since_s);
    p2p_wr_put_u64(wr, entry->until_s);
    put_digest(wr, &entry->root);
    return true;
}

void
p2p_msg_history_end(struct p2p_wr *wr, uint32_t next)
{
    p2p_wr_put_u32(wr, next);
}

void
p2p_msg_get_history_entry(struct p2p_rd *entries, struct p2p_history_entry *entry)
{
    entry->version = p2p_rd_get_u32(entries);
    entry->flags = p2p_rd_get_u8(entries);
    entry->size = p2p_rd_get_u64(entries);
    entry->mtime_ns = p2p_rd_get_u64(entries);
    entry->since_s = p2p_rd_get_u64(entries);
    entry->until_s = p2p_rd_get_u64(entries);
    get_digest(entries, &entry->root);
}

static bool
get_history(struct p2p_rd *rd, struct p2p_msg *msg)
{
    struct p2p_msg_history *m = &msg->history;
    const uint8_t *first;

    m->count = p2p_rd_get_u16(rd);
    first = p2p_rd_get_ref(rd, (size_t)m->count * HISTORY_ENTRY);
    if (first != NULL)
        p2p_rd_init(&m->entries, first, (size_t)m->count * HISTORY_ENTRY);
    m->next = p2p_rd_get_u32(rd);
    return m->count <= P2P_HISTORY_MAX;
}

/* ---- LEAVES ---- */

static void
put_leaves_get(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    put_digest(wr, &msg->leaves_get.root);
    p2p_wr_put_u64(wr, msg->leaves_get.first);
    p2p_wr_put_u16(wr, msg->leaves_get.count);
}

static bool
get_leaves_get(struct p2p_rd *rd, struct p2p_msg *msg)
{
    get_digest(rd, &msg->leaves_get.root);
    msg->leaves_get.first = p2p_rd_get_u64(rd);
    msg->leaves_get.count = p2p_rd_get_u16(rd);
    return true;
}

static void
put_leaves(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    p2p_wr_put_u64(wr, msg->leaves.first);
    p2p_wr_put_u16(wr, msg->leaves.count);
    p2p_wr_put_bytes(wr, msg->leaves.leaves, (size_t)msg->leaves.count * P2P_LEAF_LEN);
}

static bool
get_leaves(struct p2p_rd *rd, struct p2p_msg *msg)
{
    msg->leaves.first = p2p_rd_get_u64(rd);
    msg->leaves.count = p2p_rd_get_u16(rd);
    if (msg->leaves.count > P2P_LEAVES_MAX)
        return false;
    msg->leaves.leaves = p2p_rd_get_ref(rd, (size_t)msg->leaves.count * P2P_LEAF_LEN);
    return true;
}

void
p2p_msg_put_leaf(uint8_t *out, const struct p2p_leaf *leaf)
{
    memcpy(out, leaf->hash.b, P2P_DIGEST_LEN);
    p2p_store_u32(out + P2P_DIGEST_LEN, leaf->sum);
}

void
p2p_msg_get_leaf(const struct p2p_msg_leaves *leaves, size_t i, struct p2p_leaf *out)
{
    const uint8_t *at = leaves->leaves + i * P2P_LEAF_LEN;

    memcpy(out->hash.b, at, P2P_DIGEST_LEN);
    out->sum = p2p_load_u32(at + P2P_DIGEST_LEN);
}

/* ---- OFFER and OFFERED ---- */

bool
p2p_msg_put_offer_item(struct p2p_wr *items, const struct p2p_offer_item *item)
{
    size_t need = P2P_DIGEST_LEN + 8 + 2 + item->name.len;

    if (items->failed || item->name.len > P2P_NAME_MAX ||
        need > items->cap - items->used)
        return false;
    put_digest(items, &item->root);
    p2p_wr_put_u64(items, item->size);
    put_text(items, item->name);
    return true;
}

void
p2p_msg_get_offer_item(struct p2p_rd *items, struct p2p_offer_item *item)
{
    get_digest(items, &item->root);
    item->size = p2p_rd_get_u64(items);
    item->name = get_text(items);
}

static void
put_offer(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    const struct p2p_msg_offer *m = &msg->offer;

    p2p_wr_put_bytes(wr, m->id, sizeof(m->id));
    p2p_wr_put_u8(wr, m->flags);
    p2p_wr_put_u64(wr, m->expires_s);
    p2p_wr_put_u16(wr, m->count);
    p2p_wr_put_bytes(wr, m->items.at, m->items.left);
    put_text(wr, m->text);
}

static bool
get_offer(struct p2p_rd *rd, struct p2p_msg *msg)
{
    struct p2p_msg_offer *m = &msg->offer;
    struct p2p_offer_item item;
    const uint8_t *first;

    p2p_rd_get_bytes(rd, m->id, sizeof(m->id));
    m->flags = p2p_rd_get_u8(rd); /* unknown bits may be ignored */
    m->expires_s = p2p_rd_get_u64(rd);
    m->count = p2p_rd_get_u16(rd);
    first = rd->at;
    for (unsigned i = 0; i < m->count && !rd->failed; i++)
        p2p_msg_get_offer_item(rd, &item);
    p2p_rd_init(&m->items, first, (size_t)(rd->at - first));
    m->text = get_text(rd);
    return m->text.len <= P2P_OFFER_TEXT_MAX;
}

static void
put_offered(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    p2p_wr_put_bytes(wr, msg->offered.id, sizeof(msg->offered.id));
    p2p_wr_put_u8(wr, msg->offered.state);
}

static bool
get_offered(struct p2p_rd *rd, struct p2p_msg *msg)
{
    p2p_rd_get_bytes(rd, msg->offered.id, sizeof(msg->offered.id));
    msg->offered.state = p2p_rd_get_u8(rd);
    return msg->offered.state <= P2P_OFFER_REFUSED;
}

/* ---- The table ---- */

struct codec {
    bool has_req;
    void (*put)(struct p2p_wr *wr, const struct p2p_msg *msg);
    bool (*get)(struct p2p_rd *rd, struct p2p_msg *msg); /* false: a wrong value */
};

static const struct codec codecs[] = {
    [P2P_MSG_READY] = {false, put_nothing, get_nothing},
    [P2P_MSG_REKEY] = {false, put_nothing, get_nothing},
    [P2P_MSG_CLOSE] = {false, put_nothing, get_nothing},
    [P2P_MSG_META_GET] = {true, put_meta_get, get_meta_get},
    [P2P_MSG_META] = {true, put_meta, get_meta},
    [P2P_MSG_LAYER_GET] = {true, put_layer_get, get_layer_get},
    [P2P_MSG_LAYER] = {true, put_layer, get_layer},
    [P2P_MSG_GET] = {true, put_get, get_get},
    [P2P_MSG_DATA] = {true, put_data, get_data},
    [P2P_MSG_CANCEL] = {true, put_nothing, get_nothing},
    [P2P_MSG_LIST_GET] = {true, put_list_get, get_list_get},
    [P2P_MSG_LIST] = {true, NULL, get_list},
    [P2P_MSG_HASH_GET] = {true, put_hash_get, get_hash_get},
    [P2P_MSG_HASH] = {true, put_hash, get_hash},
    [P2P_MSG_PING] = {false, put_ping, get_ping},
    [P2P_MSG_PONG] = {false, put_ping, get_ping},
    [P2P_MSG_ERROR] = {true, put_error, get_error},
    [P2P_MSG_LEAVES_GET] = {true, put_leaves_get, get_leaves_get},
    [P2P_MSG_LEAVES] = {true, put_leaves, get_leaves},
    [P2P_MSG_CHANGES_GET] = {true, put_changes_get, get_changes_get},
    [P2P_MSG_CHANGES] = {true, NULL, get_changes},
    [P2P_MSG_HISTORY_GET] = {true, put_history_get, get_history_get},
    [P2P_MSG_HISTORY] = {true, NULL, get_history},
    [P2P_MSG_INFO_GET] = {true, put_info, get_info},
    [P2P_MSG_INFO] = {true, put_info, get_info},
    [P2P_MSG_OFFER] = {true, put_offer, get_offer},
    [P2P_MSG_OFFERED] = {true, put_offered, get_offered},
};

/* NULL for a type that PROTOCOL.md does not name. */
static const struct codec *
codec_of(unsigned type)
{
    return type < COUNT_OF(codecs) && codecs[type].get != NULL ? &codecs[type] : NULL;
}

void
p2p_msg_put(struct p2p_wr *wr, const struct p2p_msg *msg)
{
    const struct codec *codec = codec_of(msg->type);

    if (codec == NULL || codec->put == NULL) {
        wr->failed = true;
        return;
    }
    p2p_wr_put_u8(wr, (uint8_t)msg->type);
    if (codec->has_req)
        p2p_wr_put_u32(wr, msg->req);
    codec->put(wr, msg);
}

enum p2p_err
p2p_msg_parse(const void *plain, size_t len, struct p2p_msg *msg)
{
    const struct codec *codec;
    struct p2p_rd rd;

    memset(msg, 0, sizeof(*msg));
    p2p_rd_init(&rd, plain, len);
    msg->type = p2p_rd_get_u8(&rd);
    if (rd.failed)
        return P2P_ERR_MALFORMED;
    codec = codec_of(msg->type);
    if (codec == NULL || codec->has_req)
        msg->req = p2p_rd_get_u32(&rd);
    if (codec == NULL)
        return P2P_ERR_PROTOCOL;
    return codec->get(&rd, msg) ? p2p_rd_end(&rd) : P2P_ERR_MALFORMED;
}

void
p2p_msg_put_data_header(uint8_t out[P2P_DATA_HEADER], uint32_t req, uint8_t flags,
                        uint32_t offset)
{
    out[0] = P2P_MSG_DATA;
    p2p_store_u32(out + 1, req);
    out[5] = flags;
    p2p_store_u32(out + 6, offset);
}
