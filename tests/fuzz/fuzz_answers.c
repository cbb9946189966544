/*
 * How a client handles the answers of registries. The registries' side of HTTP is
 * replaced: each answer is a piece of the input. First byte: the request; then one
 * piece for each answer: u8 status, u8 Date, u16 length, body.
 */
#include <limits.h>
#include <string.h>

#include "core/registry/discovery_internal.h"
#include "fuzz.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/name.h"

#define CALLS_MAX 24u /* each round of registering makes a signature */

static const uint8_t *input;
static size_t input_left;
static unsigned calls_made;

static size_t
take(size_t want)
{
    size_t n = want < input_left ? want : input_left;

    input += n;
    input_left -= n;
    return n;
}

static uint8_t
take_byte(void)
{
    return take(1) == 1 ? input[-1] : 0;
}

/* replaces core/registry/discovery_http.c */

void
p2p_http_global_init(void)
{
}

static void
answer(struct p2p_http_call *call)
{
    static const long statuses[] = {200, 200, 200, 201, 404, 409, 422,
                                    429, 401, 413, 503, 500, 0,   204};
    size_t len;

    call->status = statuses[take_byte() % (sizeof(statuses) / sizeof(statuses[0]))];
    call->err = input_left == 0 || calls_made++ >= CALLS_MAX ? P2P_ERR_UNREACHABLE
                : call->status == 0                          ? P2P_ERR_TIMEOUT
                                                             : P2P_OK;
    if (call->err != P2P_OK)
        return;
    call->date_s = take_byte() * 10000000ll;
    len = take_byte() * 256u;
    len += take_byte();
    len = take(len);
    if (len == 0)
        return;
    call->answer = malloc(len + 1);
    MUST(call->answer != NULL);
    memcpy(call->answer, input - len, len);
    call->answer[len] = '\0';
    call->len = len;
}

void
p2p_http_run(struct p2p_http_call *calls, size_t count, uint64_t timeout_ms,
             uint64_t patience_ms, const struct p2p_stop *stop)
{
    (void)timeout_ms;
    (void)patience_ms;
    (void)stop;
    for (size_t i = 0; i < count; i++) {
        MUST(calls[i].url != NULL && calls[i].method != NULL);
        answer(&calls[i]);
    }
}

void
p2p_http_call_clear(struct p2p_http_call *call)
{
    free(call->url);
    free(call->body);
    free(call->answer);
    *call = (struct p2p_http_call){0};
}

enum p2p_err
p2p_http_status_err(long status)
{
    return status >= 200 && status < 300 ? P2P_OK
           : status == 404               ? P2P_ERR_NOT_FOUND
           : status == 409               ? P2P_ERR_EXISTS
                                         : P2P_ERR_REMOTE;
}

char *
p2p_http_url(const char *base, const char *path, const char *const *arguments,
             size_t count)
{
    for (size_t i = 0; i < count; i++)
        MUST(arguments[i] != NULL && strlen(arguments[i]) < 10000);
    MUST(strlen(path) < 200);
    return strdup(base);
}

/* what must be true of accepted answers */

static void
check_peers(const struct p2p_peer_list *list, bool has_names)
{
    size_t bytes = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct p2p_peer_info *peer = &list->at[i];
        struct p2p_addr again;

        MUST(p2p_addr_make(peer->addr.host, peer->addr.port, &again) == P2P_OK);
        MUST(p2p_addr_equal(&again, &peer->addr)); /* canonical */
        MUST(peer->registry < 2);
        MUST(peer->file_count <= peer->files_total);
        MUST(peer->file_count <= (has_names ? P2P_PEER_NAMES_KEPT : 1u));
        for (size_t k = 0; k < peer->file_count; k++) {
            MUST(p2p_name_check(peer->files[k], strlen(peer->files[k]), true) ==
                 P2P_OK);
            bytes += strlen(peer->files[k]);
        }
        for (size_t k = 0; k < i; k++) /* no peer is listed twice */
            MUST(!p2p_id_equal(&list->at[k].id, &peer->id));
    }
    MUST(bytes <= P2P_NAMES_BYTES_MAX);
}

static void
ask_peers(struct p2p_discovery *d, unsigned how)
{
    struct p2p_digest root = {{7}};
    struct p2p_peer_list list;
    enum p2p_err err = how % 3 == 0   ? p2p_discovery_peers(d, &list)
                       : how % 3 == 1 ? p2p_discovery_find(d, "a.txt", &list)
                                      : p2p_discovery_find_root(d, &root, &list);

    if (err != P2P_OK)
        MUST(list.count == 0);
    check_peers(&list, how % 3 == 0);
    for (size_t i = 0; how % 3 == 1 && i < list.count; i++)
        MUST(list.at[i].files_total == 0 || p2p_peer_has(&list.at[i], "a.txt"));
    p2p_peer_list_clear(&list);
}

static void
search(struct p2p_discovery *d, unsigned how)
{
    struct p2p_search_results results;
    size_t limit = how % 7 + 1;
    enum p2p_err err =
        p2p_discovery_search(d, "a", (enum p2p_search_mode)(how % 4), limit, &results);

    if (err != P2P_OK)
        MUST(results.count == 0);
    MUST(results.count <= limit);
    for (size_t i = 0; i < results.count; i++) {
        const struct p2p_search_result *r = &results.at[i];

        MUST(p2p_name_check(r->name, strlen(r->name), true) == P2P_OK);
        MUST(r->size <= P2P_FILE_SIZE_MAX);
        check_peers(&r->peers, false);
    }
    p2p_search_results_clear(&results);
}

static void
tell(struct p2p_discovery *d, unsigned how)
{
    static struct p2p_rsa *key;
    struct p2p_reg_file files[] = {{.name = "a", .size = 1}, {.name = "b", .size = 2}};
    struct p2p_reg reg = {.port = 9, .ttl_s = 600, .files = files, .count = how % 3};
    struct p2p_registry_state states[2];
    struct p2p_id id;

    if (key == NULL)
        key = fuzz_key("client");
    MUST(p2p_spki_id(p2p_rsa_spki(key), &id) == P2P_OK);
    reg.key = key;
    for (unsigned i = 0; i < 3 && input_left > 0; i++) {
        (void)!p2p_discovery_register(d, &reg, (how >> i & 1) != 0);
        (void)!p2p_discovery_heartbeat(d, &id);
        reg.count = (reg.count + 1) % 3;
    }
    p2p_discovery_leave(d, key);
    /* No registry can make the client sign a seq so far ahead that other registries
     * refuse it. */
    MUST(d->last_seq <= p2p_time_ms() + 120000);
    MUST(p2p_discovery_states(d, states, 2) == 2);
    for (unsigned i = 0; i < 2; i++) {
        const char *detail = states[i].detail;

        MUST(memchr(detail, '\0', sizeof(states[i].detail)) != NULL);
        for (; *detail != '\0'; detail++)
            MUST((unsigned char)*detail >= ' ');
        MUST(d->at[i].seq <= p2p_time_ms() + 120000);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const urls[] = {"http://192.0.2.1:1", "http://192.0.2.2:1"};
    struct p2p_discovery *d;
    unsigned how;

    MUST(p2p_crypto_init() == P2P_OK);
    input = data;
    input_left = size;
    calls_made = 0;
    how = take_byte();
    MUST(p2p_discovery_open(urls, 2, 1000, &d) == P2P_OK);
    if (how % 4 < 2)
        ask_peers(d, how / 4);
    else if (how % 4 == 2)
        search(d, how / 4);
    else
        tell(d, how / 4);
    p2p_discovery_close(d);
    return 0;
}
