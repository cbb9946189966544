#include "discovery/http/register_parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "http/text/json.h"
#include "p2p/about.h"
#include "p2p/addr.h"
#include "p2p/base64.h"
#include "p2p/bytes.h"
#include "p2p/limits.h"
#include "p2p/path.h"

/* The largest integer that JSON numbers carry exactly. */
#define MAX_EXACT (((uint64_t)1 << 53) - 1)

/* ---- saying no ---- */

static bool __attribute__((format(printf, 4, 5)))
refuse(struct register_error *e, unsigned status, const char *code, const char *format,
       ...)
{
    va_list args;

    e->status = status;
    e->code = code;
    va_start(args, format);
    vsnprintf(e->detail, sizeof(e->detail), format, args);
    va_end(args);
    return false;
}

static bool
refuse_field(struct register_error *e, const char *field, const char *want)
{
    return refuse(e, 422, "bad_field", "%s must be %s", field, want);
}

/* ---- single fields ---- */

static bool
get_id(const cJSON *json, struct p2p_id *id, struct register_error *e)
{
    const char *text = http_json_string(json, "peer_id");

    if (text == NULL || strlen(text) != P2P_ID_HEX_LEN ||
        p2p_hex_parse(text, id->b, sizeof(id->b)) != P2P_OK)
        return refuse_field(e, "peer_id", "64 hex digits");
    return true;
}

static bool
get_number(const cJSON *json, const char *name, uint64_t min, uint64_t max,
           uint64_t *out, struct register_error *e)
{
    if (http_json_u64(json, name, min, max, out))
        return true;
    return refuse(e, 422, "bad_field", "%s must be a whole number from %llu to %llu",
                  name, (unsigned long long)min, (unsigned long long)max);
}

static bool
get_digest(const cJSON *json, const char *name, bool is_optional,
           struct p2p_digest *out, struct register_error *e)
{
    const char *text = http_json_string(json, name);

    memset(out, 0, sizeof(*out));
    if (is_optional && (!cJSON_HasObjectItem(json, name) ||
                        cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(json, name))))
        return true;
    if (text == NULL || strlen(text) != 2 * sizeof(out->b) ||
        p2p_hex_parse(text, out->b, sizeof(out->b)) != P2P_OK)
        return refuse_field(e, name, "64 hex digits");
    return true;
}

static bool
get_signature(const cJSON *json, const char *name, struct p2p_signature *out,
              struct register_error *e)
{
    if (p2p_base64_parse(http_json_string(json, name), out->b, sizeof(out->b)))
        return true;
    return refuse(e, 401, "bad_signature", "%s must be %d bytes in base64", name,
                  P2P_RSA_LEN);
}

static bool
get_name(const cJSON *value, struct p2p_text *out, struct register_error *e)
{
    const char *text = cJSON_GetStringValue(value);

    if (text == NULL)
        return refuse_field(e, "a file name", "a text");
    *out = (struct p2p_text){text, strlen(text)};
    if (p2p_name_check(out->at, out->len, true) != P2P_OK)
        return refuse(e, 422, "bad_name", "%s", p2p_err_text(P2P_ERR_NAME));
    return true;
}

/* ---- lists ---- */

static bool
list_length(const cJSON *list, const char *field, uint32_t *count,
            struct register_error *e)
{
    int n = 0;

    *count = 0;
    if (!cJSON_IsArray(list))
        return refuse_field(e, field, "a list");
    n = cJSON_GetArraySize(list);
    if (n > P2P_REGISTER_FILES_MAX)
        return refuse(e, 422, "too_many_files", "%s may hold at most %d", field,
                      P2P_REGISTER_FILES_MAX);
    *count = (uint32_t)n;
    return true;
}

static bool
get_entry(const cJSON *json, struct p2p_reg_entry *entry, struct register_error *e)
{
    uint64_t version = 0;

    if (!cJSON_IsObject(json))
        return refuse_field(e, "an entry", "an object");
    if (!get_name(cJSON_GetObjectItemCaseSensitive(json, "name"), &entry->name, e) ||
        !get_number(json, "size", 0, P2P_FILE_SIZE_MAX, &entry->size, e) ||
        !get_digest(json, "root", false, &entry->root, e) ||
        !get_digest(json, "sha256", true, &entry->sha256, e))
        return false;
    if (cJSON_HasObjectItem(json, "version") &&
        !get_number(json, "version", 0, UINT32_MAX, &version, e))
        return false;
    entry->version = (uint32_t)version;
    return true;
}

/* Entries must be sorted, without duplicates: the canonical bytes have only one order.
 */
static bool
sort_entries(struct p2p_reg_entry *entries, uint32_t count, struct register_error *e)
{
    qsort(entries, count, sizeof(*entries), record_compare_entries);
    for (uint32_t i = 1; i < count; i++)
        if (record_compare_entries(&entries[i - 1], &entries[i]) == 0)
            return refuse(e, 422, "doubled_name", "a file name appears twice");
    return true;
}

static bool
get_entries(const cJSON *list, const char *field, struct p2p_reg_entry **entries,
            uint32_t *count, struct register_error *e)
{
    const cJSON *item;
    uint32_t i = 0;

    if (!list_length(list, field, count, e))
        return false;
    if ((*entries = calloc(*count + 1u, sizeof(**entries))) == NULL)
        return refuse(e, 500, "nomem", "out of memory");
    cJSON_ArrayForEach(item,
                       list) if (!get_entry(item, &(*entries)[i++], e)) return false;
    return sort_entries(*entries, *count, e);
}

/* The documented form: only names. The same name twice counts as one file. */
static bool
get_files(const cJSON *list, struct record *r, struct register_error *e)
{
    const cJSON *item;
    uint32_t n = 0, kept = 0;

    if (!list_length(list, "files", &n, e))
        return false;
    if ((r->entries = calloc(n + 1u, sizeof(*r->entries))) == NULL)
        return refuse(e, 500, "nomem", "out of memory");
    n = 0;
    cJSON_ArrayForEach(
        item, list) if (!get_name(item, &r->entries[n++].name, e)) return false;
    qsort(r->entries, n, sizeof(*r->entries), record_compare_entries);
    for (uint32_t i = 0; i < n; i++)
        if (i == 0 ||
            record_compare_entries(&r->entries[kept - 1], &r->entries[i]) != 0)
            r->entries[kept++] = r->entries[i];
    r->count = kept;
    return true;
}

/* ---- a registration ---- */

static bool
get_key(const cJSON *json, struct record *r, struct register_error *e)
{
    const char *pem = http_json_string(json, "public_key");
    struct p2p_id id;

    if (pem == NULL || p2p_spki_from_pem(pem, strlen(pem), &r->key) != P2P_OK)
        return refuse_field(e, "public_key", "an RSA-2048 public key in canonical PEM");
    if (p2p_spki_id(&r->key, &id) != P2P_OK || !p2p_id_equal(&id, &r->id))
        return refuse_field(e, "peer_id", "the SHA-256 of public_key");
    return true;
}

static bool
get_ip(const cJSON *json, const char *client_ip, struct record *r,
       struct register_error *e)
{
    const char *text = http_json_string(json, "ip");

    r->is_ip_stated = cJSON_HasObjectItem(json, "ip");
    if (!r->is_ip_stated)
        text = client_ip;
    if (text == NULL || record_parse_ip(text, r->ip) != P2P_OK)
        return refuse_field(e, "ip", "an IP address that peers can connect to");
    r->is_ip_claimed = r->is_ip_stated && record_ip_is_claimed(r->ip, client_ip);
    return true;
}

static bool
get_protocols(const cJSON *json, struct record *r, struct register_error *e)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "protocols"), *item;

    r->protocols = 1;
    if (list == NULL)
        return true;
    if (!cJSON_IsArray(list))
        return refuse_field(e, "protocols", "a list of numbers");
    r->protocols = 0;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsNumber(item))
            return refuse_field(e, "protocols", "a list of numbers");
        if (item->valuedouble == 1 || item->valuedouble == 2)
            r->protocols |= (uint8_t)(1 << (item->valueint - 1));
    }
    return true;
}

/* A seq is a time in ms. A seq far in the future would win over all later ones. */
static bool
get_seq(const cJSON *json, uint64_t now_s, uint64_t *seq, struct register_error *e)
{
    if (!get_number(json, "seq", 1, MAX_EXACT, seq, e))
        return false;
    if (registry_seq_is_ahead(*seq, now_s))
        return refuse(e, 422, "seq_ahead",
                      "seq (a time in milliseconds) is more than %u s ahead of the "
                      "registry's clock, which shows %llu: check both clocks",
                      REGISTRY_SEQ_AHEAD_MS / 1000, (unsigned long long)now_s);
    return true;
}

/* The text names the registry's time, because a wrong clock is the usual reason. */
static bool
check_expiry(uint64_t expires_at_s, uint64_t now_s, struct register_error *e)
{
    if (expires_at_s <= now_s)
        return refuse(e, 422, "expired",
                      "this registration expired %llu s ago, according to the "
                      "registry's clock, which shows %llu: check both clocks",
                      (unsigned long long)(now_s - expires_at_s),
                      (unsigned long long)now_s);
    if (expires_at_s > now_s + REGISTRY_SIGNATURE_MAX_S)
        return refuse(e, 422, "expires_too_late",
                      "expires_at is more than %u s ahead of the registry's clock, "
                      "which shows %llu: check both clocks",
                      REGISTRY_SIGNATURE_MAX_S, (unsigned long long)now_s);
    return true;
}

static bool
verify(const struct p2p_spki *key, const struct p2p_signature *signature,
       uint8_t *bytes, struct p2p_wr *wr)
{
    bool is_genuine = false;
    size_t len;

    if (bytes != NULL && p2p_wr_end(wr, &len) == P2P_OK)
        is_genuine = p2p_pss_verify(key, bytes, len, signature) == P2P_OK;
    free(bytes);
    return is_genuine;
}

/* ---- what the second signature covers beside the first ---- */

enum { ADDRESSES_MAX = 8, ADDRESSES_TEXT = ADDRESSES_MAX * (P2P_HOST_MAX + 9) };

static bool
get_about(const cJSON *json, struct p2p_about *about, struct register_error *e)
{
    const char *name = http_json_string(json, "name");
    const char *kind = http_json_string(json, "kind");

    if (cJSON_HasObjectItem(json, "name") &&
        (name == NULL ||
         (name[0] != '\0' && !p2p_about_set_name(about, name, strlen(name)))))
        return refuse_field(e, "name",
                            "at most 63 bytes of text without hidden characters");
    if (cJSON_HasObjectItem(json, "kind") &&
        (kind == NULL || p2p_about_kind_parse(kind, &about->kind) != P2P_OK))
        return refuse_field(e, "kind",
                            "laptop, desktop, phone, server, tablet or unknown");
    return true;
}

/* `out`: as they are signed, with a space between two. `listed`: those that are shown,
 * in canonical form. */
static bool
get_addresses(const cJSON *json, char out[ADDRESSES_TEXT], char *listed,
              struct register_error *e)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "addresses"), *item;
    size_t used = 0, count = 0;

    out[0] = '\0';
    if (list == NULL)
        return true;
    if (!cJSON_IsArray(list))
        return refuse_field(e, "addresses", "a list of HOST:PORT");
    cJSON_ArrayForEach(item, list)
    {
        const char *text = cJSON_GetStringValue(item);
        struct p2p_addr addr;

        if (text == NULL || ++count > ADDRESSES_MAX ||
            strpbrk(text, " \t\r\n") != NULL ||
            p2p_addr_parse(text, 0, &addr) != P2P_OK ||
            strlen(text) + 2 > ADDRESSES_TEXT - used)
            return refuse_field(e, "addresses", "a list of at most 8 HOST:PORT");
        used += (size_t)snprintf(out + used, ADDRESSES_TEXT - used, "%s%s",
                                 used > 0 ? " " : "", text);
        record_add_address(listed, &addr);
    }
    return true;
}

/* ---- signatures of a registration ---- */

typedef size_t size_fn(const struct p2p_registration *reg);
typedef void put_fn(struct p2p_wr *wr, const struct p2p_registration *reg);

static bool
is_signed_so(const struct p2p_registration *reg, const struct p2p_spki *key,
             const struct p2p_signature *signature, size_fn *size, put_fn *put)
{
    uint8_t *bytes = malloc(size(reg));
    struct p2p_wr wr;

    p2p_wr_init(&wr, bytes, bytes != NULL ? size(reg) : 0);
    if (bytes != NULL)
        put(&wr, reg);
    return verify(key, signature, bytes, &wr);
}

/* The second signature covers all that the first does, so that it is the one that
 * counts where it is given; without it the name is not taken. */
static bool
check_signature(const cJSON *json, struct record *r, struct p2p_registration *reg,
                struct register_error *e)
{
    char addresses[ADDRESSES_TEXT];
    struct p2p_signature signature;
    bool is_genuine;

    if (!get_signature(json, "signature", &signature, e))
        return false;
    if (!cJSON_HasObjectItem(json, "signature2")) {
        is_genuine = is_signed_so(reg, &r->key, &signature, p2p_registration_size,
                                  p2p_registration_put);
    } else {
        if (!get_signature(json, "signature2", &signature, e) ||
            !get_about(json, &r->about, e) ||
            !get_addresses(json, addresses, r->addresses, e))
            return false;
        reg->kind = (uint8_t)r->about.kind;
        reg->name = (struct p2p_text){r->about.name, strlen(r->about.name)};
        reg->addresses = (struct p2p_text){addresses, strlen(addresses)};
        is_genuine = is_signed_so(reg, &r->key, &signature, p2p_registration2_size,
                                  p2p_registration2_put);
    }
    return is_genuine || refuse(e, 401, "bad_signature", "invalid signature");
}

static bool
get_signed_part(const cJSON *json, uint64_t now_s, struct record *r,
                struct register_error *e)
{
    /* The text that the peer signed, not the address that it is listed under. */
    const char *ip = http_json_string(json, "ip");
    struct p2p_registration reg = {
        .peer_id = r->id,
        .ip = {ip != NULL ? ip : "", ip != NULL ? strlen(ip) : 0},
        .port = r->port,
        .entries = r->entries,
        .count = r->count,
    };

    r->is_signed = true;
    if (!get_seq(json, now_s, &r->seq, e) ||
        !get_number(json, "expires_at", 1, MAX_EXACT, &r->expires_at_s, e) ||
        !check_expiry(r->expires_at_s, now_s, e))
        return false;
    if (!r->has_content)
        return refuse_field(e, "entries", "given in a signed registration");
    reg.seq = r->seq;
    reg.expires_at_s = r->expires_at_s;
    return check_signature(json, r, &reg, e);
}

static bool
fill_record(const cJSON *json, const char *client_ip, uint64_t now_s, struct record *r,
            struct register_error *e)
{
    const cJSON *entries = cJSON_GetObjectItemCaseSensitive(json, "entries");
    uint64_t port;

    if (!get_id(json, &r->id, e) || !get_key(json, r, e) ||
        !get_number(json, "port", 1, 65535, &port, e) ||
        !get_ip(json, client_ip, r, e) || !get_protocols(json, r, e))
        return false;
    r->port = (uint16_t)port;
    r->has_content = entries != NULL;
    if (entries != NULL) {
        if (!get_entries(entries, "entries", &r->entries, &r->count, e))
            return false;
    } else if (!get_files(cJSON_GetObjectItemCaseSensitive(json, "files"), r, e))
        return false;
    if (cJSON_HasObjectItem(json, "signature"))
        return get_signed_part(json, now_s, r, e);
    return true;
}

bool
register_parse(const struct cJSON *json, const char *client_ip, uint64_t now_s,
               struct record *out, struct register_error *e)
{
    *out = (struct record){0};
    snprintf(out->from, sizeof(out->from), "%s", client_ip);
    if (fill_record(json, client_ip, now_s, out, e))
        return true;
    record_clear(out);
    return false;
}

/* ---- delta and leave ---- */

static bool
get_removed(const cJSON *list, struct register_delta *d, struct register_error *e)
{
    const cJSON *item;
    uint32_t n = 0;

    if (!list_length(list, "remove", &d->delta.n_remove, e))
        return false;
    if ((d->remove = calloc(d->delta.n_remove + 1u, sizeof(*d->remove))) == NULL)
        return refuse(e, 500, "nomem", "out of memory");
    cJSON_ArrayForEach(item,
                       list) if (!get_name(item, &d->remove[n++], e)) return false;
    qsort(d->remove, n, sizeof(*d->remove), record_compare_texts);
    d->delta.remove = d->remove;
    return true;
}

static bool
fill_delta(const cJSON *json, uint64_t now_s, struct register_delta *d,
           struct register_error *e)
{
    if (!get_id(json, &d->delta.id, e) || !get_seq(json, now_s, &d->delta.seq, e) ||
        !get_number(json, "base", 0, MAX_EXACT, &d->delta.base, e) ||
        !get_signature(json, "signature", &d->signature, e) ||
        !get_entries(cJSON_GetObjectItemCaseSensitive(json, "add"), "add", &d->add,
                     &d->delta.n_add, e) ||
        !get_removed(cJSON_GetObjectItemCaseSensitive(json, "remove"), d, e))
        return false;
    d->delta.add = d->add;
    return true;
}

bool
register_parse_delta(const struct cJSON *json, uint64_t now_s,
                     struct register_delta *out, struct register_error *e)
{
    *out = (struct register_delta){0};
    if (fill_delta(json, now_s, out, e))
        return true;
    register_delta_clear(out);
    return false;
}

void
register_delta_clear(struct register_delta *d)
{
    free(d->add);
    free(d->remove);
    *d = (struct register_delta){0};
}

bool
register_delta_is_genuine(const struct register_delta *d, const struct p2p_spki *key)
{
    struct p2p_reg_delta delta = {
        .peer_id = d->delta.id,
        .seq = d->delta.seq,
        .base = d->delta.base,
        .removed = d->remove,
        .removed_count = d->delta.n_remove,
        .added = d->add,
        .added_count = d->delta.n_add,
    };
    size_t size = p2p_reg_delta_size(&delta);
    uint8_t *bytes = malloc(size);
    struct p2p_wr wr;

    p2p_wr_init(&wr, bytes, bytes != NULL ? size : 0);
    if (bytes != NULL)
        p2p_reg_delta_put(&wr, &delta);
    return verify(key, &d->signature, bytes, &wr);
}

bool
register_parse_leave(const struct cJSON *json, uint64_t now_s,
                     struct register_leave *out, struct register_error *e)
{
    return get_id(json, &out->id, e) && get_seq(json, now_s, &out->seq, e) &&
           get_signature(json, "signature", &out->signature, e);
}

bool
register_leave_is_genuine(const struct register_leave *l, const struct p2p_spki *key)
{
    uint8_t bytes[P2P_REG_LEAVE_LEN];
    struct p2p_wr wr;
    size_t len;

    p2p_wr_init(&wr, bytes, sizeof(bytes));
    p2p_reg_leave_put(&wr, &l->id, l->seq);
    return p2p_wr_end(&wr, &len) == P2P_OK &&
           p2p_pss_verify(key, bytes, len, &l->signature) == P2P_OK;
}
