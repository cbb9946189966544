// uses tests/unit/fake_registry.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include "core/registry/discovery_internal.h"
#include "fake_registry.h"
#include "p2p/bytes.h"
#include "p2p/discovery.h"
#include "p2p/identity.h"
#include "p2p/msg.h"
#include "test_keys.h"

static struct p2p_rsa *key;
static struct p2p_id id;

/* How the fake registry behaves, and what it stores. */
struct behaviour {
    bool knows_signatures, knows_deltas, forgets;
    uint64_t seq;       /* seq of the record that it has */
    uint64_t clock_s;   /* 0: takes any time */
    int fail;           /* if not 0: the status of every answer */
    const char *record; /* what it lists for /peers/ID, without seq; NULL: nothing */
    uint64_t newer;     /* how much newer than our last registration */
};

/* Builds the signed bytes from the JSON alone, as a registry does. */

static uint8_t
base64_digit(char c)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    return (uint8_t)(strchr(digits, c) - digits);
}

static void
take_signature(const cJSON *json, struct p2p_signature *out)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(json, "signature"));
    uint8_t bytes[258];

    assert_non_null(text);
    assert_int_equal(strlen(text), 344);
    assert_string_equal(text + 342, "==");
    for (size_t i = 0, o = 0; i < 342; i += 4) {
        uint32_t bits = (uint32_t)base64_digit(text[i]) << 18 |
                        (uint32_t)base64_digit(text[i + 1]) << 12 |
                        (i + 2 < 342 ? (uint32_t)base64_digit(text[i + 2]) << 6 : 0) |
                        (i + 3 < 342 ? base64_digit(text[i + 3]) : 0);
        bytes[o++] = (uint8_t)(bits >> 16);
        bytes[o++] = (uint8_t)(bits >> 8);
        bytes[o++] = (uint8_t)bits;
    }
    memcpy(out->b, bytes, sizeof(out->b));
}

static uint64_t
number(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(json, name);

    assert_true(cJSON_IsNumber(item));
    return (uint64_t)item->valuedouble;
}

static struct p2p_text
text_of(const cJSON *item)
{
    const char *text = cJSON_GetStringValue(item);

    return text != NULL ? (struct p2p_text){text, strlen(text)}
                        : (struct p2p_text){"", 0};
}

static uint32_t
take_entries(const cJSON *array, struct p2p_reg_entry *out)
{
    uint32_t count = 0;
    const cJSON *item;

    cJSON_ArrayForEach(item, array)
    {
        const char *sha256 = cJSON_GetStringValue(cJSON_GetObjectItem(item, "sha256"));
        struct p2p_reg_entry *e = &out[count++];
        *e = (struct p2p_reg_entry){.name = text_of(cJSON_GetObjectItem(item, "name")),
                                    .size = number(item, "size"),
                                    .version = (uint32_t)number(item, "version")};
        assert_int_equal(
            p2p_hex_parse(cJSON_GetStringValue(cJSON_GetObjectItem(item, "root")),
                          e->root.b, 32),
            P2P_OK);
        if (sha256 != NULL)
            assert_int_equal(p2p_hex_parse(sha256, e->sha256.b, 32), P2P_OK);
    }
    return count;
}

static bool
is_signed_well(const cJSON *json, bool delta)
{
    struct p2p_reg_entry entries[64];
    struct p2p_text removed[64];
    struct p2p_registration r = {
        .peer_id = id, .seq = number(json, "seq"), .entries = entries};
    struct p2p_reg_delta d = {
        .peer_id = id, .seq = r.seq, .removed = removed, .added = entries};
    struct p2p_signature signature;
    uint8_t bytes[65536];
    struct p2p_wr wr;
    const cJSON *item;
    size_t len;

    take_signature(json, &signature);
    p2p_wr_init(&wr, bytes, sizeof(bytes));
    if (delta) {
        d.base = number(json, "base");
        d.added_count = take_entries(cJSON_GetObjectItem(json, "add"), entries);
        cJSON_ArrayForEach(item, cJSON_GetObjectItem(json, "remove"))
            removed[d.removed_count++] = text_of(item);
        p2p_reg_delta_put(&wr, &d);
    } else {
        r.expires_at_s = number(json, "expires_at");
        r.ip = text_of(cJSON_GetObjectItem(json, "ip"));
        r.port = (uint16_t)number(json, "port");
        r.count = take_entries(cJSON_GetObjectItem(json, "entries"), entries);
        p2p_registration_put(&wr, &r);
    }
    assert_int_equal(p2p_wr_end(&wr, &len), P2P_OK);
    return p2p_pss_verify(p2p_rsa_spki(key), bytes, len, &signature) == P2P_OK;
}

static char *
conflict(const struct behaviour *b, int *status)
{
    char *text;

    *status = 409;
    assert_true(asprintf(&text, "{\"base\":%llu}", (unsigned long long)b->seq) > 0);
    return text;
}

static char *
answer_registration(struct behaviour *b, const cJSON *json, bool delta, int *status)
{
    bool is_signed = cJSON_HasObjectItem(json, "signature");

    if (delta && !b->knows_deltas) {
        *status = 404;
        return strdup("{}");
    }
    if (is_signed && !b->knows_signatures) {
        *status = 422;
        return strdup("{\"detail\":\"what is this\"}");
    }
    if (is_signed && b->clock_s != 0 &&
        number(json, "seq") > (b->clock_s + 86400) * 1000) {
        *status = 422;
        return strdup("{\"code\":\"seq_ahead\"}");
    }
    if (is_signed && b->clock_s != 0 && !delta &&
        (number(json, "expires_at") <= b->clock_s ||
         number(json, "expires_at") > b->clock_s + 7200)) {
        *status = 422;
        return strdup("{\"code\":\"expired\"}");
    }
    if (is_signed) {
        assert_true(is_signed_well(json, delta));
        if (number(json, "seq") <= b->seq || (delta && number(json, "base") != b->seq))
            return conflict(b, status);
        b->seq = number(json, "seq");
    }
    b->forgets = false;
    return strdup("{\"message\":\"registered\",\"ip\":\"127.0.0.1\"}");
}

/* Two registries may share one behavior, because each has its own thread. */
static pthread_mutex_t answering = PTHREAD_MUTEX_INITIALIZER;

static char *
answer(struct fake_registry *fake, const struct fake_request *request, int *status)
{
    struct behaviour *b = fake->arg;
    cJSON *json = cJSON_Parse(request->body);
    char *text = NULL;

    pthread_mutex_lock(&answering);
    if (b->fail != 0) {
        *status = b->fail;
        text = strdup("{\"detail\":\"refused\"}");
    } else if (strcmp(request->method, "DELETE") == 0) {
        text = strdup("{}");
    } else if (strncmp(request->target, "/register", 9) == 0) {
        text = answer_registration(b, json, request->target[9] == '/', status);
    } else if (strncmp(request->target, "/peers/", 7) == 0) {
        *status = b->record != NULL ? 200 : 404;
        if (b->record == NULL ||
            asprintf(&text, "{\"seq\":%llu,%s}",
                     (unsigned long long)(b->seq + b->newer), b->record) < 0)
            text = strdup("{}");
    } else {
        *status = b->forgets ? 404 : 200;
        text = strdup(b->forgets ? "{\"error\":\"peer not found\"}"
                                 : "{\"message\":\"heartbeat received\"}");
    }
    pthread_mutex_unlock(&answering);
    cJSON_Delete(json);
    return text;
}

/* ---- The peer's side ---- */

static struct p2p_reg_file files[] = {
    {.name = "a",
     .size = 1,
     .root = {{1}},
     .sha256 = {{9}},
     .sha256_known = true,
     .version = 1},
    {.name = "b \"quoted\" \xc3\xa9", .size = 2, .root = {{2}}, .version = 1},
    {.name = "c", .size = 3, .root = {{3}}, .version = 7},
};

static struct p2p_reg
registration(size_t count)
{
    return (struct p2p_reg){
        .key = key, .port = 9000, .ttl_s = 3600, .files = files, .count = count};
}

struct world {
    struct fake_registry fake[2];
    struct behaviour behaviour[2];
    struct p2p_discovery *d;
};

static int
world_open(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    const char *urls[2];

    for (int i = 0; i < 2; i++) {
        w->behaviour[i] =
            (struct behaviour){.knows_signatures = true, .knows_deltas = true};
        fake_start(&w->fake[i], answer, &w->behaviour[i]);
        urls[i] = w->fake[i].url;
    }
    *state = w;
    return p2p_discovery_open(urls, 2, 5000, &w->d) == P2P_OK ? 0 : -1;
}

static int
world_close(void **state)
{
    struct world *w = *state;

    p2p_discovery_close(w->d);
    for (int i = 0; i < 2; i++) {
        fake_stop(&w->fake[i]);
        fake_clear(&w->fake[i]);
    }
    free(w);
    return 0;
}

static void
assert_asked(const struct fake_registry *fake, size_t i, const char *method,
             const char *target)
{
    assert_true(i < fake->count);
    assert_string_equal(fake->requests[i].method, method);
    assert_string_equal(fake->requests[i].target, target);
}

static void
whole_then_nothing_then_delta(void **state)
{
    struct world *w = *state;
    struct p2p_reg reg = registration(2);
    struct p2p_registry_state states[2];
    cJSON *json;

    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(w->fake[i].count, 1);
        assert_asked(&w->fake[i], 0, "POST", "/register");
    }
    json = cJSON_Parse(w->fake[0].requests[0].body);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "files")), 2);
    assert_int_equal(
        strlen(cJSON_GetStringValue(cJSON_GetObjectItem(json, "public_key"))),
        P2P_PEM_LEN);
    cJSON_Delete(json);

    reg.count = 3;
    files[0].version = 2; /* changed: added again, not removed */
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    assert_asked(&w->fake[1], 1, "POST", "/register/delta");
    json = cJSON_Parse(w->fake[1].requests[1].body);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "add")), 2);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "remove")), 0);
    cJSON_Delete(json);

    reg.files = files + 1;
    reg.count = 1;
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    json = cJSON_Parse(w->fake[1].requests[2].body);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "add")), 0);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "remove")), 2);
    cJSON_Delete(json);
    assert_int_equal(p2p_discovery_states(w->d, states, 2), 2);
    assert_true(states[0].registered && states[0].is_signed && states[0].reachable);
}

static void
another_port_or_address_is_whole_again(void **state)
{
    struct world *w = *state;
    struct p2p_reg reg = registration(1);

    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    reg.port = 9001;
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    reg.advertise = "10.0.0.5";
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    assert_int_equal(p2p_discovery_register(w->d, &reg, true), P2P_OK);
    assert_int_equal(w->fake[0].count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_asked(&w->fake[0], i, "POST", "/register");
}

/* ---- another device with our identity ---- */

static void
a_copy_is_a_newer_record_elsewhere(void **state)
{
    static const struct {
        const char *record;
        uint64_t newer;
        const char *found; /* NULL: it is us */
    } cases[] = {
        {"\"ip\":\"10.0.0.9\",\"port\":9000,\"addresses\":[\"10.0.0.9:9000\"]", 5,
         "10.0.0.9:9000"},
        {"\"ip\":\"10.0.0.1\",\"port\":9100,\"addresses\":[]", 5, "10.0.0.1:9100"},
        /* our own last record, whatever it says: we have moved since */
        {"\"ip\":\"10.0.0.9\",\"port\":9000,\"addresses\":[\"10.0.0.9:9000\"]", 0,
         NULL},
        /* p2p-ui has registered us; the registry sees the address of a router */
        {"\"ip\":\"203.0.113.9\",\"port\":9000,\"addresses\":[\"10.0.0.1:9000\"]", 5,
         NULL},
        {"\"ip\":\"10.0.0.1\",\"port\":9000", 5, NULL},
        {"\"ip\":\"203.0.113.7\",\"port\":7000,\"addresses\":[\"10.0.0.1:9000\"]", 5,
         NULL},
        /* answers of no registry */
        {"\"ip\":\"no where\",\"port\":9100", 5, NULL},
        {"\"ip\":\"10.0.0.9\",\"port\":\"x\"", 5, NULL},
        {"\"ip\":\"10.0.0.1\",\"port\":9000,\"addresses\":[5,\"x\",\"y y:1\"]", 5,
         NULL},
    };
    struct p2p_addr here[2], at;
    const struct p2p_own_place own = {.port = 9000, .at = here, .count = 2};
    struct world *w = *state;
    struct p2p_reg reg = registration(1);

    assert_int_equal(p2p_addr_make("10.0.0.1", 9000, &here[0]), P2P_OK);
    assert_int_equal(p2p_addr_make("203.0.113.7", 7000, &here[1]), P2P_OK);
    w->behaviour[0].record = cases[0].record;
    w->behaviour[0].newer = 5;
    assert_false(p2p_discovery_find_copy(w->d, &id, &own, &at)); /* nothing told yet */
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[P2P_ADDR_TEXT];

        w->behaviour[0].record = cases[i].record;
        w->behaviour[0].newer = cases[i].newer;
        if (p2p_discovery_find_copy(w->d, &id, &own, &at) != (cases[i].found != NULL))
            fail_msg("case %zu", i);
        if (cases[i].found != NULL)
            assert_string_equal(p2p_addr_format(&at, text, sizeof(text)),
                                cases[i].found);
    }
}

static void
a_base_that_does_not_fit_is_whole_again(void **state)
{
    struct world *w = *state;
    struct p2p_reg reg = registration(1);

    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    w->behaviour[0].seq += 30000; /* another program of this identity was there */
    reg.count = 2;
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    assert_asked(&w->fake[0], 1, "POST", "/register/delta");
    assert_asked(&w->fake[0], 2, "POST", "/register");
    assert_int_equal(w->fake[0].count, 3);
    assert_int_equal(w->fake[1].count, 2);
}

static void
a_clock_that_went_back_a_little_goes_on_above(void **state)
{
    struct world *w = *state;
    struct p2p_reg reg = registration(1);
    uint64_t there = p2p_time_ms() + 50000;

    w->behaviour[0].seq = there;
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    assert_true(w->behaviour[0].seq == there + 1);
    assert_true(w->behaviour[1].seq <
                there); /* the answer of one registry does not count for another */
}

/* One registry could replay at the other what the peer signed for it, and that record
 * would stay there forever. */
static void
no_registry_raises_the_seq_beyond_a_minute(void **state)
{
    struct world *w = *state;
    struct p2p_reg reg = registration(1);
    uint64_t limit = p2p_time_ms() + 62000;

    w->behaviour[0].seq = limit;
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    for (size_t i = 0; i < w->fake[0].count; i++) {
        cJSON *json = cJSON_Parse(w->fake[0].requests[i].body);

        assert_true(number(json, "seq") < limit);
        cJSON_Delete(json);
    }
    assert_true(w->behaviour[0].seq == limit);
    assert_true(w->behaviour[1].seq > 0);
    assert_int_equal(p2p_discovery_heartbeat(w->d, &id), P2P_ERR_NOT_FOUND);
}

/* The clock is ten years behind: the peer signs nothing that ends later than two hours
 * after the time on its clock. */
static void
a_registry_gets_what_its_own_clock_can_take(void **state)
{
    struct world *w = *state;
    struct p2p_reg reg = registration(1);
    time_t then = (time_t)p2p_time_s() - 10 * 365 * 86400;
    char header[64];

    strftime(header, sizeof(header), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n",
             gmtime(&then));
    w->behaviour[0].clock_s = (uint64_t)then;
    w->fake[0].extra_header = header;
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    assert_true(w->behaviour[0].seq / 1000 - (uint64_t)then < 10);
    assert_true(w->behaviour[1].seq / 1000 + 10 > p2p_time_s());
    reg.count = 2;
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    assert_true(w->behaviour[0].seq / 1000 - (uint64_t)then < 10);
}

/* The clock was ten years ahead when the last one was stored. */
static void
a_stored_seq_from_a_wrong_clock_is_dropped(void **state)
{
    struct world *w = *state;
    struct p2p_reg reg = registration(1);

    w->behaviour[0].clock_s = w->behaviour[1].clock_s = p2p_time_s();
    w->d->last_seq = w->d->stored_seq = p2p_time_ms() + 10ull * 365 * 86400 * 1000;
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    for (int i = 0; i < 2; i++) {
        assert_true(w->behaviour[i].seq > 0);
        assert_true(w->behaviour[i].seq < p2p_time_ms() + 10000);
    }
    assert_true(w->d->last_seq < p2p_time_ms() + 10000);
}

/* The seq is above the stored one whatever the clock shows, and a seq that no registry
 * accepted is not used again. */
static void
the_last_seq_outlives_the_program(void **state)
{
    struct world *w = *state;
    struct p2p_reg reg = registration(1);
    uint64_t last = p2p_time_ms() + 30000, stored;
    char folder[] = "/tmp/p2p-test-seq-XXXXXX", file[64];
    struct p2p_identity *identity;

    assert_non_null(mkdtemp(folder));
    assert_int_equal(p2p_identity_open(folder, true, NULL, NULL, &identity, NULL, 0),
                     P2P_OK);
    assert_int_equal(p2p_identity_load_seq(identity, &stored), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_identity_store_seq(identity, last, false), P2P_OK);
    assert_int_equal(p2p_identity_store_seq(identity, 5, false), P2P_OK);
    p2p_discovery_keep_seq(w->d, identity);
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    assert_true(w->behaviour[0].seq == last + 1);
    assert_int_equal(p2p_identity_load_seq(identity, &stored), P2P_OK);
    assert_true(stored > last && stored <= last + 61000);
    snprintf(file, sizeof(file), "%s/registration_seq", folder);
    for (const char *const *bad =
             (const char *const[]){"", "\n", "-1\n", "12", "99999999999999999999999\n",
                                   NULL};
         *bad != NULL; bad++) {
        FILE *f = fopen(file, "w");

        fputs(*bad, f);
        fclose(f);
        assert_int_equal(p2p_identity_load_seq(identity, &stored), P2P_ERR_CORRUPT);
    }
    p2p_identity_close(identity);
    for (const char *const *name =
             (const char *const[]){"private_key.pem", "public_key.pem",
                                   "registration_seq", ".lock", NULL};
         *name != NULL; name++) {
        snprintf(file, sizeof(file), "%s/%s", folder, *name);
        (void)unlink(file);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void
registries_that_share_a_store_get_one_record(void **state)
{
    struct world *w = *state;
    struct p2p_reg reg = registration(1);
    size_t requests;

    w->fake[1].arg = &w->behaviour[0];
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    reg.count = 3;
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    requests = w->fake[0].count + w->fake[1].count;
    assert_int_equal(requests, 4); /* 409 with the seq just sent is an acceptance */
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    assert_int_equal(w->fake[0].count + w->fake[1].count, requests);
}

static void
documented_registries_get_the_documented_form(void **state)
{
    struct world *w = *state;
    struct p2p_reg reg = registration(2);
    struct p2p_registry_state states[2];
    cJSON *json;

    w->behaviour[0].knows_signatures = w->behaviour[0].knows_deltas = false;
    w->behaviour[1].knows_deltas = false;
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    assert_int_equal(w->fake[0].count, 2);
    json = cJSON_Parse(w->fake[0].requests[1].body);
    assert_false(cJSON_HasObjectItem(json, "signature"));
    assert_false(cJSON_HasObjectItem(json, "entries"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "files")), 2);
    cJSON_Delete(json);
    p2p_discovery_states(w->d, states, 2);
    assert_true(states[0].registered && !states[0].is_signed);

    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    assert_int_equal(w->fake[0].count, 2); /* nothing changed, nothing sent */
    reg.count = 3;
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    assert_int_equal(w->fake[0].count, 4);
    assert_asked(&w->fake[1], 1, "POST", "/register/delta");
    assert_asked(&w->fake[1], 2, "POST", "/register");
}

static void
a_forgetful_registry_is_told_again(void **state)
{
    struct world *w = *state;
    struct p2p_reg reg = registration(2);

    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    assert_int_equal(p2p_discovery_heartbeat(w->d, &id), P2P_OK);
    w->behaviour[1].forgets = true;
    assert_int_equal(p2p_discovery_heartbeat(w->d, &id), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    assert_int_equal(w->fake[0].count, 3); /* register, 2 heartbeats */
    assert_int_equal(w->fake[1].count, 4);
    assert_asked(&w->fake[1], 3, "POST", "/register");
    assert_int_equal(p2p_discovery_heartbeat(w->d, &id), P2P_OK);
    assert_int_equal(strncmp(w->fake[0].requests[1].target, "/heartbeat?peer_id=", 19),
                     0);
    assert_int_equal(strlen(w->fake[0].requests[1].target), 19 + 64);
}

static void
refusals(void **state)
{
    static const struct {
        int status;
        enum p2p_err err;
    } cases[] = {{401, P2P_ERR_NOT_ALLOWED},  {413, P2P_ERR_TOO_LARGE},
                 {429, P2P_ERR_RATE_LIMITED}, {500, P2P_ERR_REMOTE},
                 {409, P2P_ERR_EXISTS},       {422, P2P_ERR_REMOTE}};
    struct world *w = *state;
    struct p2p_reg reg = registration(2);
    struct p2p_registry_state states[2];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        w->behaviour[0].fail = w->behaviour[1].fail = cases[i].status;
        assert_int_equal(p2p_discovery_register(w->d, &reg, false), cases[i].err);
        p2p_discovery_states(w->d, states, 2);
        assert_string_equal(states[1].detail, "refused");
        assert_false(states[1].registered);
    }
    assert_true(w->fake[0].count < 20);
    w->behaviour[1].fail = 0; /* one registry that accepts it is enough */
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
}

/* A registry that asks the peer to wait gets nothing meanwhile; the other one does not
 * have to wait. */
static void
retry_after_is_honored_within_limits(void **state)
{
    struct world *w = *state;
    struct p2p_reg reg = registration(2);

    assert_int_equal(p2p_discovery_held_until(w->d), 0);
    w->behaviour[0].fail = 429;
    w->fake[0].extra_header = "Retry-After: 86400\r\n";
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    uint64_t held_ms = p2p_discovery_held_until(w->d), now_ms = p2p_now_ms();
    assert_true(held_ms > now_ms && held_ms <= now_ms + 300 * 1000);
    size_t asked = w->fake[0].count;

    w->behaviour[0].fail = 0;
    reg.count = 3;
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    assert_int_equal(p2p_discovery_register(w->d, &reg, true), P2P_OK);
    assert_int_equal(w->fake[0].count, asked);
    assert_int_equal(p2p_discovery_heartbeat(w->d, &id), P2P_OK);
    assert_int_equal(w->fake[0].count, asked + 1); /* heartbeats go on */

    w->behaviour[1].fail = 503;
    w->fake[1].extra_header = "Retry-After: 100\r\n";
    assert_int_equal(p2p_discovery_register(w->d, &reg, true), P2P_ERR_BUSY);
    assert_true(p2p_discovery_held_until(w->d) <= p2p_now_ms() + 100 * 1000);
    assert_int_equal(p2p_discovery_register(w->d, &reg, true), P2P_ERR_RATE_LIMITED);
}

static void
leaving_is_signed(void **state)
{
    struct world *w = *state;
    struct p2p_reg reg = registration(2);
    uint8_t bytes[P2P_REG_LEAVE_LEN];
    struct p2p_signature signature;
    struct p2p_wr wr;
    cJSON *json;

    p2p_discovery_leave(
        w->d, key); /* not registered anywhere, so there is nothing to leave */
    assert_int_equal(w->fake[0].count, 0);
    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    p2p_discovery_leave(w->d, key);
    assert_asked(&w->fake[0], 1, "DELETE", "/register");
    json = cJSON_Parse(w->fake[0].requests[1].body);
    take_signature(json, &signature);
    p2p_wr_init(&wr, bytes, sizeof(bytes));
    p2p_reg_leave_put(&wr, &id, number(json, "seq"));
    assert_int_equal(
        p2p_pss_verify(p2p_rsa_spki(key), bytes, sizeof(bytes), &signature), P2P_OK);
    cJSON_Delete(json);
}

/* The peer ends while a new registration of everything is under way, or after one
 * failed: the registry still has the old record. */
static void
leaving_removes_a_record_whose_renewal_failed(void **state)
{
    struct world *w = *state;
    struct p2p_reg reg = registration(2);
    size_t asked;

    assert_int_equal(p2p_discovery_register(w->d, &reg, false), P2P_OK);
    w->behaviour[0].fail = 503;
    (void)!p2p_discovery_register(w->d, &reg, true);
    w->behaviour[0].fail = 0;
    asked = w->fake[0].count;
    p2p_discovery_leave(w->d, key);
    assert_int_equal(w->fake[0].count, asked + 1);
    assert_asked(&w->fake[0], asked, "DELETE", "/register");
    p2p_discovery_leave(w->d, key);
    assert_int_equal(w->fake[0].count, asked + 1);
}

static int
make_key(void **state)
{
    (void)state;
    if (p2p_crypto_init() != P2P_OK)
        return -1;
    key = test_key(0);
    return p2p_spki_id(p2p_rsa_spki(key), &id) == P2P_OK ? 0 : -1;
}

static int
free_key(void **state)
{
    (void)state;
    p2p_rsa_free(key);
    return 0;
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(whole_then_nothing_then_delta),
        WORLD_TEST(another_port_or_address_is_whole_again),
        WORLD_TEST(a_copy_is_a_newer_record_elsewhere),
        WORLD_TEST(a_base_that_does_not_fit_is_whole_again),
        WORLD_TEST(a_clock_that_went_back_a_little_goes_on_above),
        WORLD_TEST(no_registry_raises_the_seq_beyond_a_minute),
        WORLD_TEST(a_registry_gets_what_its_own_clock_can_take),
        WORLD_TEST(a_stored_seq_from_a_wrong_clock_is_dropped),
        WORLD_TEST(the_last_seq_outlives_the_program),
        WORLD_TEST(registries_that_share_a_store_get_one_record),
        WORLD_TEST(documented_registries_get_the_documented_form),
        WORLD_TEST(a_forgetful_registry_is_told_again),
        WORLD_TEST(refusals),
        WORLD_TEST(retry_after_is_honored_within_limits),
        WORLD_TEST(leaving_is_signed),
        WORLD_TEST(leaving_removes_a_record_whose_renewal_failed),
    };

    return cmocka_run_group_tests(tests, make_key, free_key);
}
