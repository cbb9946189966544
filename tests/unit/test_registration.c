// uses tests/unit/vectors.c
/* Canonical bytes of registrations against tests/vectors/registration.json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "p2p/msg.h"
#include "vectors.h"

enum { ENTRIES_MAX = 8 };

static int
by_name(const void *a, const void *b)
{
    const struct p2p_reg_entry *x = a, *y = b;

    return strcmp(x->name.at, y->name.at);
}

static uint32_t
entries_of(const cJSON *list, struct p2p_reg_entry *out)
{
    uint32_t n = 0;

    for (const cJSON *e = list->child; e != NULL; e = e->next, n++) {
        const char *name = vectors_text(e, "name");

        assert_true(n < ENTRIES_MAX);
        out[n] = (struct p2p_reg_entry){
            .name = {name, strlen(name)},
            .size = vectors_number(e, "size"),
            .version = (uint32_t)vectors_number(e, "version"),
        };
        vectors_fill(e, "root", out[n].root.b, 32);
        if (!cJSON_IsNull(cJSON_GetObjectItem(e, "sha256")))
            vectors_fill(e, "sha256", out[n].sha256.b, 32);
    }
    qsort(out, n, sizeof(*out), by_name);
    return n;
}

static void
put_registration(struct p2p_wr *wr, const cJSON *f, const struct p2p_id *id,
                 bool second)
{
    char addresses[256] = "";
    const cJSON *list = cJSON_GetObjectItem(f, "addresses"), *item;
    struct p2p_reg_entry entries[ENTRIES_MAX];
    const char *ip = vectors_text(f, "ip");
    struct p2p_registration reg = {
        .peer_id = *id,
        .seq = vectors_number(f, "seq"),
        .expires_at_s = vectors_number(f, "expires_at"),
        .ip = {ip, strlen(ip)},
        .port = (uint16_t)vectors_number(f, "port"),
        .entries = entries,
        .count = entries_of(cJSON_GetObjectItem(f, "entries"), entries),
    };

    if (!second) {
        p2p_registration_put(wr, &reg);
        assert_int_equal(p2p_registration_size(&reg), wr->used);
        return;
    }
    cJSON_ArrayForEach(item, list)
    {
        if (addresses[0] != '\0')
            strcat(addresses, " ");
        strcat(addresses, item->valuestring);
    }
    reg.kind = (uint8_t)vectors_number(f, "kind");
    reg.name =
        (struct p2p_text){vectors_text(f, "name"), strlen(vectors_text(f, "name"))};
    reg.addresses = (struct p2p_text){addresses, strlen(addresses)};
    p2p_registration2_put(wr, &reg);
    assert_int_equal(p2p_registration2_size(&reg), wr->used);
}

static int
by_text(const void *a, const void *b)
{
    const struct p2p_text *x = a, *y = b;

    return strcmp(x->at, y->at);
}

static void
put_delta(struct p2p_wr *wr, const cJSON *f, const struct p2p_id *id)
{
    struct p2p_reg_entry added[ENTRIES_MAX];
    struct p2p_text removed[ENTRIES_MAX];
    struct p2p_reg_delta delta = {
        .peer_id = *id,
        .seq = vectors_number(f, "seq"),
        .base = vectors_number(f, "base"),
        .removed = removed,
        .added = added,
        .added_count = entries_of(cJSON_GetObjectItem(f, "added"), added),
    };
    const cJSON *r = cJSON_GetObjectItem(f, "removed")->child;

    for (; r != NULL; r = r->next)
        removed[delta.removed_count++] =
            (struct p2p_text){r->valuestring, strlen(r->valuestring)};
    qsort(removed, delta.removed_count, sizeof(removed[0]), by_text);
    p2p_reg_delta_put(wr, &delta);
    assert_int_equal(p2p_reg_delta_size(&delta), wr->used);
}

static void
known_registrations(void **state)
{
    cJSON *all = vectors_load("registration.json");
    int kinds[4] = {0, 0, 0, 0};

    (void)state;
    for (cJSON *c = all->child; c != NULL; c = c->next) {
        const cJSON *f = cJSON_GetObjectItem(c, "fields");
        const char *kind = vectors_text(c, "kind");
        struct p2p_rsa *key = vectors_key(vectors_text(c, "key"));
        struct p2p_signature sig;
        struct p2p_id id;
        uint8_t bytes[4096];
        struct p2p_wr wr;

        p2p_wr_init(&wr, bytes, sizeof(bytes));
        vectors_fill(f, "peer_id", id.b, sizeof(id.b));
        if (strcmp(kind, "registration") == 0) {
            put_registration(&wr, f, &id, false);
            kinds[0]++;
        } else if (strcmp(kind, "registration 2") == 0) {
            put_registration(&wr, f, &id, true);
            kinds[3]++;
        } else if (strcmp(kind, "delta") == 0) {
            put_delta(&wr, f, &id);
            kinds[1]++;
        } else {
            p2p_reg_leave_put(&wr, &id, vectors_number(f, "seq"));
            assert_int_equal(wr.used, P2P_REG_LEAVE_LEN);
            kinds[2]++;
        }
        assert_false(wr.failed);
        vectors_assert_equal(c, "canonical", bytes, wr.used);
        vectors_fill(c, "signature", sig.b, sizeof(sig.b));
        assert_int_equal(p2p_pss_verify(p2p_rsa_spki(key), bytes, wr.used, &sig),
                         P2P_OK);
        p2p_rsa_free(key);
    }
    assert_true(kinds[0] > 0 && kinds[1] > 0 && kinds[2] > 0 && kinds[3] > 0);
    cJSON_Delete(all);
}

static void
lengths_that_do_not_fit_fail(void **state)
{
    static char text[70000];
    static uint8_t out[80000];
    struct p2p_reg_entry entry = {.name = {text, 65536}};
    struct p2p_registration reg = {.entries = &entry, .count = 1};
    struct p2p_wr wr;

    (void)state;
    p2p_wr_init(&wr, out, sizeof(out));
    p2p_registration_put(&wr, &reg);
    assert_true(wr.failed);
    reg.count = 0;
    reg.ip = (struct p2p_text){text, 256};
    p2p_wr_init(&wr, out, sizeof(out));
    p2p_registration_put(&wr, &reg);
    assert_true(wr.failed);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_registrations),
        cmocka_unit_test(lengths_that_do_not_fit_fail),
    };

    if (p2p_crypto_init() != P2P_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
