/* json - reads JSON that others have written: nothing about it is trusted. */
#ifndef P2P_REGISTRY_JSON_H
#define P2P_REGISTRY_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/crypto.h"

struct cJSON;

/* Parses JSON. NULL if it is invalid, nested too deeply or has too many values; free
 * with cJSON_Delete. */
struct cJSON *p2p_json_parse(const char *text, size_t len);
/* A member of an object; NULL if it is missing or no text. */
const char *p2p_json_text(const struct cJSON *object, const char *name);
/* False if the member is missing, is no whole number, or exceeds `max`. */
bool p2p_json_u64(const struct cJSON *object, const char *name, uint64_t max,
                  uint64_t *out);
/* False if the member is missing, too. */
bool p2p_json_bool(const struct cJSON *object, const char *name);
/* Reads 64 hex digits from the member with this name; false and zeros if they are
 * missing or invalid. */
bool p2p_json_digest(const struct cJSON *object, const char *name,
                     uint8_t out[P2P_DIGEST_LEN]);
/* The text of an error answer, escaped; empty if there is none. */
void p2p_json_detail(const char *text, size_t len, char *out, size_t cap);

/* ---- call_json.c: what one side tells the other for a channel ---- */

struct p2p_call_channel;
/* Adds it to the object; nothing if there is no channel. False: out of memory. */
bool p2p_call_channel_put(struct cJSON *object, const struct p2p_call_channel *c,
                          const char *setup);
/* Reads it; `right`: what "setup" must be. The form of the texts is checked by whoever
 * uses them. */
bool p2p_call_channel_get(const struct cJSON *object, const char *right,
                          struct p2p_call_channel *c);

#endif
