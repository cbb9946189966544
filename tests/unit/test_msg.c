// uses tests/unit/vectors.c tests/unit/mutate.c
/* Messages of both protocols and registrations against tests/vectors, and their
 * refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mutate.h"
#include "p2p/msg.h"
#include "vectors.h"

#define EACH(item, array) \
    for (const cJSON *item = (array)->child; item != NULL; item = item->next)

static uint8_t buffer[P2P_RECORD_PLAIN_MAX];

static void
assert_text(const cJSON *fields, const char *name, struct p2p_text text)
{
    vectors_assert_equal(fields, name, text.at, text.len);
}

static void
check_layer(const cJSON *fields, const struct p2p_msg_layer *layer)
{
    uint32_t i = 0;

    assert_true(layer->first == vectors_number(fields, "first"));
    EACH(hash, cJSON_GetObjectItem(fields, "hashes"))
    {
        char hex[65];

        assert_true(i < layer->count);
        p2p_hex_format(layer->hashes + 32 * i++, 32, hex);
        assert_string_equal(hex, hash->valuestring);
    }
    assert_int_equal(i, layer->count);
}

static void
check_leaves(const cJSON *fields, const struct p2p_msg_leaves *leaves)
{
    unsigned i = 0;

    assert_true(leaves->first == vectors_number(fields, "first"));
    EACH(want, cJSON_GetObjectItem(fields, "leaves"))
    {
        uint8_t again[P2P_LEAF_LEN];
        struct p2p_leaf leaf;

        assert_true(i < leaves->count);
        p2p_msg_get_leaf(leaves, i, &leaf);
        vectors_assert_equal(want, "hash", leaf.hash.b, 32);
        assert_int_equal(leaf.sum, vectors_number(want, "sum"));
        p2p_msg_put_leaf(again, &leaf);
        assert_memory_equal(again, leaves->leaves + i++ * P2P_LEAF_LEN, P2P_LEAF_LEN);
    }
    assert_int_equal(i, leaves->count);
}

static void
check_list(const cJSON *fields, const struct p2p_msg_list *list)
{
    struct p2p_rd entries = list->entries;
    unsigned n = 0;

    EACH(want, cJSON_GetObjectItem(fields, "entries"))
    {
        struct p2p_list_entry entry;

        p2p_msg_get_list_entry(&entries, &entry);
        vectors_assert_equal(want, "root", entry.root.b, 32);
        assert_true(entry.size == vectors_number(want, "size"));
        assert_true(entry.mtime_s == vectors_number(want, "mtime"));
        assert_text(want, "name", entry.name);
        n++;
    }
    assert_int_equal(n, list->count);
    assert_int_equal(p2p_rd_end(&entries), P2P_OK);
    assert_text(fields, "next_cursor", list->next);
}

static void
check_changes(const cJSON *f, const struct p2p_msg_changes *m)
{
    struct p2p_rd entries = m->entries;
    unsigned n = 0;

    assert_int_equal(m->flags, vectors_number(f, "flags"));
    assert_true(m->log == vectors_number(f, "log"));
    assert_true(m->upto == vectors_number(f, "upto"));
    EACH(want, cJSON_GetObjectItem(f, "entries"))
    {
        struct p2p_change_entry e;

        p2p_msg_get_change(&entries, &e);
        assert_int_equal(e.flags, vectors_number(want, "flags"));
        vectors_assert_equal(want, "root", e.root.b, 32);
        assert_true(e.size == vectors_number(want, "size"));
        assert_true(e.mtime_ns == vectors_number(want, "mtime_ns"));
        assert_int_equal(e.version, vectors_number(want, "version"));
        assert_true(e.change == vectors_number(want, "change"));
        assert_text(want, "name", e.name);
        n++;
    }
    assert_int_equal(n, m->count);
    assert_int_equal(p2p_rd_end(&entries), P2P_OK);
}

static void
check_history(const cJSON *f, const struct p2p_msg_history *m)
{
    struct p2p_rd entries = m->entries;
    unsigned n = 0;

    EACH(want, cJSON_GetObjectItem(f, "versions"))
    {
        struct p2p_history_entry e;

        p2p_msg_get_history_entry(&entries, &e);
        assert_int_equal(e.version, vectors_number(want, "version"));
        assert_int_equal(e.flags, vectors_number(want, "flags"));
        assert_true(e.size == vectors_number(want, "size"));
        assert_true(e.mtime_ns == vectors_number(want, "mtime_ns"));
        assert_true(e.since_s == vectors_number(want, "since"));
        assert_true(e.until_s == vectors_number(want, "until"));
        vectors_assert_equal(want, "root", e.root.b, 32);
        n++;
    }
    assert_int_equal(n, m->count);
    assert_int_equal(m->next, vectors_number(f, "next_before"));
}

static void
check_offer(const cJSON *f, const struct p2p_msg_offer *m)
{
    struct p2p_rd items = m->items;
    unsigned n = 0;

    vectors_assert_equal(f, "id", m->id, P2P_OFFER_ID_LEN);
    assert_int_equal(m->flags, vectors_number(f, "flags"));
    assert_true(m->expires_s == vectors_number(f, "expires"));
    EACH(want, cJSON_GetObjectItem(f, "items"))
    {
        struct p2p_offer_item item;
        char hex[65];

        p2p_msg_get_offer_item(&items, &item);
        p2p_hex_format(item.root.b, 32, hex);
        assert_string_equal(hex, cJSON_GetArrayItem(want, 0)->valuestring);
        n++;
    }
    assert_int_equal(n, m->count);
    assert_int_equal(p2p_rd_end(&items), P2P_OK);
    assert_text(f, "text", m->text);
}

static void
check_meta(const cJSON *f, const struct p2p_msg_meta *m)
{
    vectors_assert_equal(f, "root", m->root.b, 32);
    assert_true(m->size == vectors_number(f, "size"));
    assert_int_equal(m->chunk_size, vectors_number(f, "chunk_size"));
    assert_true(m->mtime_s == vectors_number(f, "mtime"));
    assert_int_equal(m->version, vectors_number(f, "version"));
    assert_int_equal(m->flags, vectors_number(f, "flags"));
    vectors_assert_equal(f, "sha256", m->sha256.b, 32);
    assert_text(f, "name", m->name);
}

static void
check_fields(const cJSON *f, const struct p2p_msg *m)
{
    if (cJSON_HasObjectItem(f, "req"))
        assert_int_equal(m->req, vectors_number(f, "req"));
    switch (m->type) {
    case P2P_MSG_META_GET:
        assert_int_equal(m->meta_get.by, vectors_number(f, "by"));
        if (m->meta_get.by == P2P_META_BY_ROOT)
            vectors_assert_equal(f, "key", m->meta_get.root.b, 32);
        else
            assert_text(f, "key", m->meta_get.name);
        break;
    case P2P_MSG_META:
        check_meta(f, &m->meta);
        break;
    case P2P_MSG_LAYER_GET:
        vectors_assert_equal(f, "root", m->layer_get.root.b, 32);
        assert_true(m->layer_get.first == vectors_number(f, "first"));
        assert_int_equal(m->layer_get.count, vectors_number(f, "count"));
        break;
    case P2P_MSG_LAYER:
        check_layer(f, &m->layer);
        break;
    case P2P_MSG_GET:
        vectors_assert_equal(f, "root", m->get.root.b, 32);
        assert_true(m->get.offset == vectors_number(f, "offset"));
        assert_int_equal(m->get.length, vectors_number(f, "length"));
        assert_int_equal(m->get.flags, vectors_number(f, "flags"));
        break;
    case P2P_MSG_DATA:
        assert_int_equal(m->data.flags, vectors_number(f, "flags"));
        assert_int_equal(m->data.offset, vectors_number(f, "offset"));
        vectors_assert_equal(f, "data", m->data.bytes, m->data.len);
        break;
    case P2P_MSG_LIST_GET:
        assert_text(f, "cursor", m->cursor);
        break;
    case P2P_MSG_LIST:
        check_list(f, &m->list);
        break;
    case P2P_MSG_HASH_GET:
        vectors_assert_equal(f, "root", m->root.b, 32);
        break;
    case P2P_MSG_HASH:
        vectors_assert_equal(f, "sha256", m->sha256.b, 32);
        break;
    case P2P_MSG_PING:
    case P2P_MSG_PONG:
        assert_true(m->ping == vectors_number(f, "token"));
        break;
    case P2P_MSG_INFO_GET:
    case P2P_MSG_INFO:
        assert_int_equal(m->info.kind, vectors_number(f, "kind"));
        assert_int_equal(m->info.features, vectors_number(f, "features"));
        assert_text(f, "name", m->info.name);
        assert_text(f, "version", m->info.version);
        break;
    case P2P_MSG_LEAVES_GET:
        vectors_assert_equal(f, "root", m->leaves_get.root.b, 32);
        assert_true(m->leaves_get.first == vectors_number(f, "first"));
        assert_int_equal(m->leaves_get.count, vectors_number(f, "count"));
        break;
    case P2P_MSG_LEAVES:
        check_leaves(f, &m->leaves);
        break;
    case P2P_MSG_CHANGES_GET:
        assert_int_equal(m->changes_get.kind, vectors_number(f, "kind"));
        assert_true(m->changes_get.log == vectors_number(f, "log"));
        assert_true(m->changes_get.after == vectors_number(f, "after"));
        assert_int_equal(m->changes_get.wait_s, vectors_number(f, "wait"));
        assert_text(f, "folder", m->changes_get.folder);
        break;
    case P2P_MSG_CHANGES:
        check_changes(f, &m->changes);
        break;
    case P2P_MSG_HISTORY_GET:
        assert_text(f, "name", m->history_get.name);
        assert_int_equal(m->history_get.before, vectors_number(f, "before"));
        break;
    case P2P_MSG_HISTORY:
        check_history(f, &m->history);
        break;
    case P2P_MSG_OFFER:
        check_offer(f, &m->offer);
        break;
    case P2P_MSG_OFFERED:
        vectors_assert_equal(f, "id", m->offered.id, P2P_OFFER_ID_LEN);
        assert_int_equal(m->offered.state, vectors_number(f, "state"));
        break;
    case P2P_MSG_ERROR:
        assert_int_equal(m->error.code, vectors_number(f, "code"));
        assert_text(f, "text", m->error.text);
        break;
    default: /* no body, or req alone */
        break;
    }
}

static void
put_changes_again(struct p2p_wr *wr, const struct p2p_msg *m)
{
    struct p2p_rd entries = m->changes.entries;

    p2p_msg_changes_begin(wr, m->req, m->changes.log);
    for (unsigned i = 0; i < m->changes.count; i++) {
        struct p2p_change_entry entry;

        p2p_msg_get_change(&entries, &entry);
        assert_true(p2p_msg_changes_add(wr, &entry));
    }
    p2p_msg_changes_end(wr, m->changes.flags, m->changes.upto);
}

static void
put_history_again(struct p2p_wr *wr, const struct p2p_msg *m)
{
    struct p2p_rd entries = m->history.entries;

    p2p_msg_history_begin(wr, m->req);
    for (unsigned i = 0; i < m->history.count; i++) {
        struct p2p_history_entry entry;

        p2p_msg_get_history_entry(&entries, &entry);
        assert_true(p2p_msg_history_add(wr, &entry));
    }
    p2p_msg_history_end(wr, m->history.next);
}

/* Writes a parsed message again; lists have their own functions for this. */
static size_t
put_again(const struct p2p_msg *m)
{
    struct p2p_wr wr;
    size_t len;

    p2p_wr_init(&wr, buffer, sizeof(buffer));
    if (m->type == P2P_MSG_LIST) {
        struct p2p_rd entries = m->list.entries;

        p2p_msg_list_begin(&wr, m->req);
        for (unsigned i = 0; i < m->list.count; i++) {
            struct p2p_list_entry entry;

            p2p_msg_get_list_entry(&entries, &entry);
            assert_true(p2p_msg_list_add(&wr, &entry));
        }
        p2p_msg_list_end(&wr, m->list.next);
    } else if (m->type == P2P_MSG_CHANGES) {
        put_changes_again(&wr, m);
    } else if (m->type == P2P_MSG_HISTORY) {
        put_history_again(&wr, m);
    } else {
        p2p_msg_put(&wr, m);
    }
    assert_int_equal(p2p_wr_end(&wr, &len), P2P_OK);
    return len;
}

static void
known_messages_both_ways(void **state)
{
    cJSON *whole = vectors_load("messages.json");
    bool seen[0x30] = {false};

    (void)state;
    EACH(c, cJSON_GetObjectItem(whole, "good"))
    {
        size_t len;
        uint8_t *plain = vectors_bytes(c, "plaintext", &len);
        struct p2p_msg m;

        assert_int_equal(p2p_msg_parse(plain, len, &m), P2P_OK);
        assert_int_equal(m.type, vectors_number(c, "type"));
        seen[m.type] = true;
        check_fields(cJSON_GetObjectItem(c, "fields"), &m);
        assert_int_equal(put_again(&m), len);
        assert_memory_equal(buffer, plain, len);
        free(plain);
    }
    for (int type = P2P_MSG_META_GET; type <= P2P_MSG_PONG; type++)
        assert_true(seen[type]);
    for (int type = P2P_MSG_CHANGES_GET; type <= P2P_MSG_HISTORY; type++)
        assert_true(seen[type]);
    for (int type = P2P_MSG_INFO_GET; type <= P2P_MSG_OFFERED; type++)
        assert_true(seen[type]);
    cJSON_Delete(whole);
}

static void
malformed_messages_are_refused(void **state)
{
    cJSON *whole = vectors_load("messages.json");

    (void)state;
    EACH(c, cJSON_GetObjectItem(whole, "malformed"))
    {
        size_t len;
        uint8_t *plain = vectors_bytes(c, "plaintext", &len);
        struct p2p_msg m;
        enum p2p_err err = p2p_msg_parse(plain, len, &m);
        bool unknown = strstr(vectors_text(c, "case"), "type") != NULL;

        assert_int_equal(err, unknown ? P2P_ERR_PROTOCOL : P2P_ERR_MALFORMED);
        free(plain);
    }
    cJSON_Delete(whole);
}

static bool
parses_to_itself(void *arg, uint8_t *data, size_t len)
{
    struct p2p_msg m;

    (void)arg;
    if (p2p_msg_parse(data, len, &m) != P2P_OK)
        return false;
    /* Every accepted message has exactly one encoding (LIST is limited when it is
     * written). */
    if (m.type == P2P_MSG_LIST)
        return true;
    /* Of these, later versions may fill in what this one skips. */
    if ((m.type == P2P_MSG_CHANGES && data[1 + 4 + 1 + 8 + 8] != 0) ||
        (m.type == P2P_MSG_CHANGES_GET && m.changes_get.kind != 0))
        return true;
    assert_int_equal(put_again(&m), len);
    assert_memory_equal(buffer, data, len);
    return true;
}

static void
every_mutation_is_refused_or_another_message(void **state)
{
    cJSON *whole = vectors_load("messages.json");

    (void)state;
    EACH(c, cJSON_GetObjectItem(whole, "good"))
    {
        size_t len;
        uint8_t *plain = vectors_bytes(c, "plaintext", &len);
        struct mutation_counts taken = mutate_all(plain, len, parses_to_itself, NULL);

        if (plain[0] != P2P_MSG_DATA) /* its bytes may be fewer */
            assert_int_equal(taken.prefixes, 0);
        free(plain);
    }
    cJSON_Delete(whole);
}

static void
limits_of_data_and_layers(void **state)
{
    uint8_t *plain = calloc(1, P2P_DATA_HEADER + P2P_DATA_MAX + 1);
    struct p2p_msg m;

    (void)state;
    p2p_msg_put_data_header(plain, 7, P2P_DATA_LAST, 65536);
    assert_int_equal(p2p_msg_parse(plain, P2P_DATA_HEADER + P2P_DATA_MAX, &m), P2P_OK);
    assert_int_equal(m.req, 7);
    assert_int_equal(m.data.offset, 65536);
    assert_int_equal(m.data.len, P2P_DATA_MAX);
    assert_int_equal(p2p_msg_parse(plain, P2P_DATA_HEADER + P2P_DATA_MAX + 1, &m),
                     P2P_ERR_MALFORMED);
    plain[5] = 4; /* a flag nobody knows */
    assert_int_equal(p2p_msg_parse(plain, P2P_DATA_HEADER + 1, &m), P2P_ERR_MALFORMED);

    memset(plain, 0, 17);
    plain[0] = P2P_MSG_LAYER;
    p2p_store_u32(plain + 13, P2P_LAYER_HASHES_MAX);
    assert_int_equal(p2p_msg_parse(plain, 17 + 32 * P2P_LAYER_HASHES_MAX, &m), P2P_OK);
    p2p_store_u32(plain + 13, P2P_LAYER_HASHES_MAX + 1);
    assert_int_equal(p2p_msg_parse(plain, 17 + 32 * (P2P_LAYER_HASHES_MAX + 1), &m),
                     P2P_ERR_MALFORMED);
    p2p_store_u32(plain + 13, 0x08000000); /* times 32, this is 0 in 32 bits */
    assert_int_equal(p2p_msg_parse(plain, 17, &m), P2P_ERR_MALFORMED);
    free(plain);
}

static void
a_root_has_32_bytes(void **state)
{
    uint8_t plain[1 + 4 + 1 + 2 + 33] = {P2P_MSG_META_GET, 0, 0, 0, 1,
                                         P2P_META_BY_ROOT};
    struct p2p_msg m;

    (void)state;
    for (uint8_t len = 0; len <= 33; len++) {
        plain[7] = len;
        assert_int_equal(p2p_msg_parse(plain, 8 + (size_t)len, &m),
                         len == 32 ? P2P_OK : P2P_ERR_MALFORMED);
    }
    plain[5] = 2; /* neither name nor root */
    plain[7] = 32;
    assert_int_equal(p2p_msg_parse(plain, 8 + 32, &m), P2P_ERR_MALFORMED);
}

static void
an_unknown_type_can_be_answered(void **state)
{
    static const uint8_t plain[] = {0x7f, 0, 0, 1, 2, 99};
    struct p2p_msg m;

    (void)state;
    assert_int_equal(p2p_msg_parse(plain, sizeof(plain), &m), P2P_ERR_PROTOCOL);
    assert_int_equal(m.type, 0x7f);
    assert_int_equal(m.req, 0x102);
    assert_int_equal(p2p_msg_parse(plain, 3, &m), P2P_ERR_PROTOCOL);
    assert_int_equal(m.req, 0);
}

static void
a_list_stops_before_it_is_too_long(void **state)
{
    char name[P2P_NAME_MAX + 1];
    struct p2p_list_entry entry = {.name = {name, sizeof(name)}};
    struct p2p_msg m;
    struct p2p_wr wr;
    unsigned n = 0;
    size_t len;

    (void)state;
    memset(name, 'n', sizeof(name));
    p2p_wr_init(&wr, buffer, sizeof(buffer));
    p2p_msg_list_begin(&wr, 1);
    assert_false(p2p_msg_list_add(&wr, &entry)); /* longer than any name */
    entry.name.len = P2P_NAME_MAX;
    while (p2p_msg_list_add(&wr, &entry))
        n++;
    assert_true(n > 50 && n < P2P_LIST_ENTRIES_MAX);
    p2p_msg_list_end(&wr, (struct p2p_text){name, P2P_NAME_MAX});
    assert_int_equal(p2p_wr_end(&wr, &len), P2P_OK); /* there was room for the cursor */
    assert_int_equal(p2p_msg_parse(buffer, len, &m), P2P_OK);
    assert_int_equal(m.list.count, n);

    p2p_wr_init(&wr, buffer, sizeof(buffer));
    p2p_msg_list_begin(&wr, 1);
    entry.name.len = 1;
    for (n = 0; p2p_msg_list_add(&wr, &entry); n++)
        ;
    assert_int_equal(n, P2P_LIST_ENTRIES_MAX);
    p2p_wr_init(&wr, buffer, 3);
    p2p_msg_list_begin(&wr, 1);
    assert_false(p2p_msg_list_add(&wr, &entry));
}

static void
what_does_not_fit_is_not_written(void **state)
{
    struct p2p_msg m = {.type = P2P_MSG_META_GET,
                        .meta_get = {.name = {(const char *)buffer, 65536}}};
    uint8_t *out = malloc(70000);
    struct p2p_wr wr;

    (void)state;
    p2p_wr_init(&wr, out, 70000);
    p2p_msg_put(&wr, &m); /* its length field has 16 bits */
    assert_true(wr.failed);
    m = (struct p2p_msg){.type = P2P_MSG_LIST};
    p2p_wr_init(&wr, out, 70000);
    p2p_msg_put(&wr, &m);
    assert_true(wr.failed);
    m.type = (enum p2p_msg_type)0x7f;
    p2p_wr_init(&wr, out, 70000);
    p2p_msg_put(&wr, &m);
    assert_true(wr.failed);
    free(out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_messages_both_ways),
        cmocka_unit_test(malformed_messages_are_refused),
        cmocka_unit_test(every_mutation_is_refused_or_another_message),
        cmocka_unit_test(limits_of_data_and_layers),
        cmocka_unit_test(a_root_has_32_bytes),
        cmocka_unit_test(an_unknown_type_can_be_answered),
        cmocka_unit_test(a_list_stops_before_it_is_too_long),
        cmocka_unit_test(what_does_not_fit_is_not_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
