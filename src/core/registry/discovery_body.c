/* Request bodies of registrations (docs/HTTP.md), signed over the canonical bytes of
 * msg. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/registry/discovery_internal.h"
#include "p2p/about.h"
#include "p2p/base64.h"
#include "p2p/bytes.h"
#include "p2p/msg.h"

static struct p2p_text
text_of(const char *text)
{
    return (struct p2p_text){text, strlen(text)};
}

/* The entries in the form that is signed; NULL when out of memory. */
static struct p2p_reg_entry *
entries_of(const struct p2p_reg_diff *diff)
{
    struct p2p_reg_entry *entries = calloc(diff->added_count + 1, sizeof(*entries));

    for (size_t i = 0; entries != NULL && i < diff->added_count; i++) {
        const struct p2p_reg_file *file = diff->added[i];
        entries[i] = (struct p2p_reg_entry){.name = text_of(file->name),
                                            .size = file->size,
                                            .root = file->root,
                                            .version = file->version};
        if (file->sha256_known)
            entries[i].sha256 = file->sha256;
    }
    return entries;
}

static struct p2p_text *
removed_of(const struct p2p_reg_diff *diff)
{
    struct p2p_text *names = calloc(diff->removed_count + 1, sizeof(*names));

    for (size_t i = 0; names != NULL && i < diff->removed_count; i++)
        names[i] = text_of(diff->removed[i]);
    return names;
}

/* ---- JSON; false when out of memory ---- */

static bool
add_hex(cJSON *object, const char *name, const uint8_t bytes[P2P_DIGEST_LEN])
{
    char hex[2 * P2P_DIGEST_LEN + 1];

    p2p_hex_format(bytes, P2P_DIGEST_LEN, hex);
    return cJSON_AddStringToObject(object, name, hex) != NULL;
}

static bool
add_number(cJSON *object, const char *name, uint64_t value)
{
    char digits[P2P_U64_TEXT_MAX];

    p2p_u64_format(value, digits);
    return cJSON_AddRawToObject(object, name, digits) != NULL;
}

static bool
add_entry(cJSON *array, const struct p2p_reg_file *file)
{
    cJSON *object = cJSON_CreateObject();

    if (object == NULL || !cJSON_AddItemToArray(array, object))
        return false;
    return cJSON_AddStringToObject(object, "name", file->name) != NULL &&
           add_number(object, "size", file->size) &&
           add_hex(object, "root", file->root.b) &&
           (!file->sha256_known || add_hex(object, "sha256", file->sha256.b)) &&
           add_number(object, "mtime", file->mtime_s) &&
           add_number(object, "version", file->version);
}

static bool
add_entries(cJSON *object, const char *name, const struct p2p_reg_diff *diff)
{
    cJSON *array = cJSON_AddArrayToObject(object, name);
    bool ok = array != NULL;

    for (size_t i = 0; ok && i < diff->added_count; i++)
        ok = add_entry(array, diff->added[i]);
    return ok;
}

static bool
add_names(cJSON *object, const char *name, const char *const *names, size_t count)
{
    cJSON *array = cJSON_AddArrayToObject(object, name);
    bool ok = array != NULL;

    for (size_t i = 0; ok && i < count; i++) {
        cJSON *text = cJSON_CreateString(names[i]);
        ok = text != NULL && cJSON_AddItemToArray(array, text);
    }
    return ok;
}

static bool
add_signature(cJSON *object, const char *name, const struct p2p_signature *signature)
{
    char text[P2P_BASE64_TEXT(P2P_RSA_LEN)];

    p2p_base64_format(signature->b, sizeof(signature->b), text);
    return cJSON_AddStringToObject(object, name, text) != NULL;
}

/* The members of a registration in the documentation. */
static bool
add_documented(cJSON *object, const struct p2p_reg *reg,
               const struct p2p_reg_diff *diff)
{
    char pem[P2P_PEM_LEN + 1];
    const char **names = calloc(diff->added_count + 1, sizeof(*names));
    struct p2p_id id;
    bool ok = names != NULL && p2p_spki_id(p2p_rsa_spki(reg->key), &id) == P2P_OK;

    for (size_t i = 0; ok && i < diff->added_count; i++)
        names[i] = diff->added[i]->name;
    p2p_spki_to_pem(p2p_rsa_spki(reg->key), pem);
    ok = ok && add_hex(object, "peer_id", id.b) &&
         cJSON_AddStringToObject(object, "public_key", pem) != NULL &&
         add_number(object, "port", reg->port) &&
         (reg->advertise == NULL ||
          cJSON_AddStringToObject(object, "ip", reg->advertise) != NULL) &&
         add_names(object, "files", names, diff->added_count);
    free(names);
    return ok;
}

/* Prints and frees the object. */
static enum p2p_err
finish(cJSON *object, bool ok, char **body)
{
    *body = ok ? cJSON_PrintUnformatted(object) : NULL;
    cJSON_Delete(object);
    return *body != NULL ? P2P_OK : P2P_ERR_NOMEM;
}

/* ---- Signatures ---- */

/* One of the two signatures of a whole registration. */
typedef size_t size_fn(const struct p2p_registration *r);
typedef void put_fn(struct p2p_wr *wr, const struct p2p_registration *r);

static enum p2p_err
sign_one(const struct p2p_rsa *key, const struct p2p_registration *r, size_fn *size,
         put_fn *put, struct p2p_signature *out)
{
    uint8_t *bytes = malloc(size(r));
    enum p2p_err err = bytes != NULL ? P2P_OK : P2P_ERR_NOMEM;
    struct p2p_wr wr;
    size_t len;

    if (err == P2P_OK) {
        p2p_wr_init(&wr, bytes, size(r));
        put(&wr, r);
        err = p2p_wr_end(&wr, &len);
    }
    if (err == P2P_OK)
        err = p2p_pss_sign(key, bytes, len, out);
    free(bytes);
    return err;
}

/* The first signature is for registries that do not know the second one. */
struct signatures {
    struct p2p_signature first, second;
};

/* ---- Further addresses ---- */

enum { OTHERS_TEXT = P2P_PEER_OTHERS_MAX * P2P_ADDR_TEXT };

static size_t
other_count(const struct p2p_reg *reg)
{
    return reg->other_count < P2P_PEER_OTHERS_MAX ? reg->other_count
                                                  : P2P_PEER_OTHERS_MAX;
}

/* As they are signed. */
static void
list_others(const struct p2p_reg *reg, char out[OTHERS_TEXT])
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < other_count(reg); i++) {
        char text[P2P_ADDR_TEXT];
        p2p_addr_format(&reg->others[i], text, sizeof(text));
        used += (size_t)snprintf(out + used, OTHERS_TEXT - used, "%s%s",
                                 i > 0 ? " " : "", text);
    }
}

static enum p2p_err
sign_whole(const struct p2p_reg *reg, const struct p2p_reg_diff *diff, uint64_t seq,
           uint64_t expires_at_s, struct signatures *out)
{
    struct p2p_reg_entry *entries = entries_of(diff);
    char others[OTHERS_TEXT];
    struct p2p_registration r = {
        .seq = seq,
        .expires_at_s = expires_at_s,
        .ip = text_of(reg->advertise != NULL ? reg->advertise : ""),
        .port = reg->port,
        .entries = entries,
        .count = (uint32_t)diff->added_count,
    };
    enum p2p_err err = p2p_spki_id(p2p_rsa_spki(reg->key), &r.peer_id);

    if (err == P2P_OK && entries == NULL)
        err = P2P_ERR_NOMEM;
    if (err == P2P_OK)
        err = sign_one(reg->key, &r, p2p_registration_size, p2p_registration_put,
                       &out->first);
    if (err == P2P_OK && reg->about != NULL) {
        r.kind = (uint8_t)reg->about->kind;
        r.name = text_of(reg->about->name);
        list_others(reg, others);
        r.addresses = text_of(others);
        err = sign_one(reg->key, &r, p2p_registration2_size, p2p_registration2_put,
                       &out->second);
    }
    free(entries);
    return err;
}

static enum p2p_err
sign_delta(const struct p2p_reg *reg, const struct p2p_reg_diff *diff, uint64_t seq,
           uint64_t base, struct p2p_signature *out)
{
    struct p2p_reg_entry *added = entries_of(diff);
    struct p2p_text *removed = removed_of(diff);
    struct p2p_reg_delta delta = {
        .seq = seq,
        .base = base,
        .removed = removed,
        .removed_count = (uint32_t)diff->removed_count,
        .added = added,
        .added_count = (uint32_t)diff->added_count,
    };
    enum p2p_err err = p2p_spki_id(p2p_rsa_spki(reg->key), &delta.peer_id);
    struct p2p_wr wr;
    uint8_t *bytes = NULL;
    size_t len;

    if (err == P2P_OK && (added == NULL || removed == NULL ||
                          (bytes = malloc(p2p_reg_delta_size(&delta))) == NULL))
        err = P2P_ERR_NOMEM;
    if (err == P2P_OK) {
        p2p_wr_init(&wr, bytes, p2p_reg_delta_size(&delta));
        p2p_reg_delta_put(&wr, &delta);
        err = p2p_wr_end(&wr, &len);
    }
    if (err == P2P_OK)
        err = p2p_pss_sign(reg->key, bytes, len, out);
    free(bytes);
    free(added);
    free(removed);
    return err;
}

/* ---- Bodies ---- */

static bool
add_others(cJSON *object, const struct p2p_reg *reg)
{
    cJSON *list = cJSON_AddArrayToObject(object, "addresses");
    bool ok = list != NULL;

    for (size_t i = 0; i < other_count(reg) && ok; i++) {
        char text[P2P_ADDR_TEXT];
        p2p_addr_format(&reg->others[i], text, sizeof(text));
        ok = cJSON_AddItemToArray(list, cJSON_CreateString(text));
    }
    return ok;
}

/* The data that the second signature covers in addition to the first one. */
static bool
add_about(cJSON *object, const struct p2p_reg *reg, const struct signatures *signatures)
{
    const struct p2p_about *about = reg->about;

    return cJSON_AddStringToObject(object, "name", about->name) != NULL &&
           cJSON_AddStringToObject(object, "kind", p2p_about_kind_name(about->kind)) !=
               NULL &&
           add_others(object, reg) &&
           add_signature(object, "signature2", &signatures->second);
}

enum p2p_err
p2p_reg_body_whole(const struct p2p_reg *reg, const struct p2p_reg_diff *diff,
                   uint64_t seq, uint64_t expires_at_s, char **body)
{
    static const int protocols[] = {2, 1};
    struct signatures signatures;
    cJSON *object, *spoken;
    enum p2p_err err = sign_whole(reg, diff, seq, expires_at_s, &signatures);

    *body = NULL;
    if (err != P2P_OK)
        return err;
    object = cJSON_CreateObject();
    spoken = cJSON_CreateIntArray(protocols, reg->no_protocol_1 ? 1 : 2);
    return finish(object,
                  cJSON_AddItemToObject(object, "protocols", spoken) &&
                      add_documented(object, reg, diff) &&
                      add_entries(object, "entries", diff) &&
                      add_number(object, "seq", seq) &&
                      add_number(object, "expires_at", expires_at_s) &&
                      add_signature(object, "signature", &signatures.first) &&
                      (reg->about == NULL || add_about(object, reg, &signatures)),
                  body);
}

enum p2p_err
p2p_reg_body_delta(const struct p2p_reg *reg, const struct p2p_reg_diff *diff,
                   uint64_t seq, uint64_t base, char **body)
{
    struct p2p_signature signature;
    struct p2p_id id;
    cJSON *object;
    enum p2p_err err = sign_delta(reg, diff, seq, base, &signature);

    *body = NULL;
    if (err == P2P_OK)
        err = p2p_spki_id(p2p_rsa_spki(reg->key), &id);
    if (err != P2P_OK)
        return err;
    object = cJSON_CreateObject();
    return finish(object,
                  add_hex(object, "peer_id", id.b) && add_number(object, "seq", seq) &&
                      add_number(object, "base", base) &&
                      add_entries(object, "add", diff) &&
                      add_names(object, "remove", diff->removed, diff->removed_count) &&
                      add_signature(object, "signature", &signature),
                  body);
}

enum p2p_err
p2p_reg_body_unsigned(const struct p2p_reg *reg, const struct p2p_reg_diff *diff,
                      char **body)
{
    cJSON *object = cJSON_CreateObject();

    return finish(object, add_documented(object, reg, diff), body);
}

enum p2p_err
p2p_reg_body_leave(const struct p2p_rsa *key, uint64_t seq, char **body)
{
    uint8_t bytes[P2P_REG_LEAVE_LEN];
    struct p2p_signature signature;
    struct p2p_id id;
    struct p2p_wr wr;
    cJSON *object;
    size_t len;
    enum p2p_err err = p2p_spki_id(p2p_rsa_spki(key), &id);

    *body = NULL;
    p2p_wr_init(&wr, bytes, sizeof(bytes));
    p2p_reg_leave_put(&wr, &id, seq);
    if (err == P2P_OK)
        err = p2p_wr_end(&wr, &len);
    if (err == P2P_OK)
        err = p2p_pss_sign(key, bytes, len, &signature);
    if (err != P2P_OK)
        return err;
    object = cJSON_CreateObject();
    return finish(object,
                  add_hex(object, "peer_id", id.b) && add_number(object, "seq", seq) &&
                      add_signature(object, "signature", &signature),
                  body);
}
