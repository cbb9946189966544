/* JSON objects that several answers share (docs/openapi.yaml, "schemas"). */
#ifndef P2P_UI_JSON_H
#define P2P_UI_JSON_H

#include <stdbool.h>

#include "http/http.h"
#include "http/text/json.h"
#include "p2p/crypto.h"
#include "p2p/identity.h"
#include "p2p/reach.h"

#define UI_SHORT_ID_LEN 19 /* 16 digits and "..." */

/* The first 16 digits and "..."; `out` holds UI_SHORT_ID_LEN + 1. Returns out. */
const char *ui_short_id(const struct p2p_id *id, char *out);

void ui_json_id(struct http_json_out *o,
                const struct p2p_id *id); /* peer_id, peer_id_full */
/* name, name_is_claim, kind: what people call a peer; `said` is what a registry, mDNS
 * or the peer itself says (NULL: nothing). */
void ui_json_name(struct http_json_out *o, struct p2p_identity *identity,
                  const struct p2p_id *id, const struct p2p_about *said);
/* Member `path`: how a peer is reached. */
void ui_json_path(struct http_json_out *o, enum p2p_path_kind kind, uint64_t rtt_us);
void ui_json_size(struct http_json_out *o, uint64_t size); /* size, size_mb */
void ui_json_digest(struct http_json_out *o, const char *name, bool is_known,
                    const struct p2p_digest *digest);
/* Empty texts and zeros become null. */
void ui_json_text(struct http_json_out *o, const char *name, const char *value);
void ui_json_number(struct http_json_out *o, const char *name, uint64_t value);

/* Member `next`: the offset of the next page as a cursor; 0 is null. */
void ui_json_cursor(struct http_json_out *o, size_t next);
/* The query's `limit` (1..1000, `fallback` when absent) and `cursor`; answers 400 and
 * returns false. */
bool ui_query_page(struct http_request *req, size_t fallback, size_t *offset,
                   size_t *limit);

void ui_json_begin(struct http_json_out *o, size_t expected); /* init and '{' */
/* Closes the object and answers with it. */
void ui_json_reply(struct http_json_out *o, struct http_request *req, unsigned status);

#endif
