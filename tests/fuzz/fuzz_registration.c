// uses p2p-discovery
/*
 * How the registry handles registrations. First byte: the kind of request, and its
 * address; then JSON. An accepted request is a valid record or delta, so it goes
 * through a registry and comes back unchanged.
 */
#include <cjson/cJSON.h>
#include <string.h>

#include "discovery/http/register_parse.h"
#include "discovery/registry/registry.h"
#include "fuzz.h"
#include "http/text/json.h"
#include "p2p/name.h"

#define NOW_S 1899999000u /* when the signatures of tests/vectors hold */

static const char *const addresses[] = {"127.0.0.1", "192.0.2.7", "2001:db8::1", "::1"};

static void
check_error(const struct register_error *e)
{
    MUST(e->status >= 400 && e->status < 600 && e->code != NULL);
    MUST(memchr(e->detail, '\0', sizeof(e->detail)) != NULL && e->detail[0] != '\0');
}

static void
check_entries(const struct p2p_reg_entry *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        MUST(p2p_name_check(entries[i].name.at, entries[i].name.len, true) == P2P_OK);
        MUST(entries[i].size <= P2P_FILE_SIZE_MAX);
        MUST(i == 0 || record_compare_entries(&entries[i - 1], &entries[i]) < 0);
    }
}

static bool
on_exported(void *arg, const struct registry_exported *e)
{
    const struct record *rec = arg;
    struct record again;

    MUST(record_decode(e->bytes, e->len, &again) == P2P_OK);
    MUST(p2p_id_equal(&again.id, &rec->id) && again.count == rec->count);
    MUST(again.port == rec->port && strcmp(again.ip, rec->ip) == 0);
    for (uint32_t i = 0; i < rec->count; i++)
        MUST(record_compare_entries(&again.entries[i], &rec->entries[i]) == 0);
    record_clear(&again);
    return true;
}

static void
register_one(const cJSON *json, const char *client_ip)
{
    struct registry_options opt = {
        .ttl_ms = 60000, .max_peers = 8, .max_peers_per_ip = 2, .max_bytes = 1 << 20};
    struct register_error error = {0};
    struct registry *r;
    struct record rec;
    uint64_t seq;

    if (!register_parse(json, client_ip, NOW_S, &rec, &error)) {
        check_error(&error);
        MUST(rec.entries == NULL);
        return;
    }
    MUST(strcmp(rec.from, client_ip) == 0);
    MUST(!rec.is_signed || (rec.expires_at_s > NOW_S && rec.has_content));
    check_entries(rec.entries, rec.count);
    MUST(registry_open(&opt, &r) == P2P_OK);
    MUST(registry_put(r, &rec, 0, &seq) == REGISTRY_OK);
    MUST(registry_export_one(r, &rec.id, on_exported, &rec));
    registry_close(r);
    record_clear(&rec);
}

static void
change_one(const cJSON *json, bool is_leave)
{
    static struct p2p_spki key;
    struct register_error error = {0};
    struct register_delta delta;
    struct register_leave leave;

    if (key.b[0] == 0) {
        struct p2p_rsa *rsa = fuzz_key("client");
        key = *p2p_rsa_spki(rsa);
        p2p_rsa_free(rsa);
    }
    if (is_leave) {
        if (!register_parse_leave(json, NOW_S, &leave, &error))
            check_error(&error);
        else
            (void)!register_leave_is_genuine(&leave, &key);
        return;
    }
    if (!register_parse_delta(json, NOW_S, &delta, &error)) {
        check_error(&error);
        MUST(delta.add == NULL && delta.remove == NULL);
        return;
    }
    check_entries(delta.delta.add, delta.delta.n_add);
    for (uint32_t i = 0; i < delta.delta.n_remove; i++)
        MUST(p2p_name_check(delta.remove[i].at, delta.remove[i].len, true) == P2P_OK);
    (void)!register_delta_is_genuine(&delta, &key);
    register_delta_clear(&delta);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cJSON *json;
    const char *why;
    char *text;

    if (size < 1)
        return 0;
    MUST(p2p_crypto_init() == P2P_OK);
    text = malloc(size);
    MUST(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    json = http_json_parse(text, size - 1, &why);
    free(text);
    if (json == NULL)
        return 0;
    if (data[0] % 4 < 2)
        register_one(json, addresses[data[0] / 4 % 4]);
    else
        change_one(json, data[0] % 4 == 2);
    cJSON_Delete(json);
    return 0;
}
