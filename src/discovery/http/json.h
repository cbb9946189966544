/* Peers in JSON form. */
#ifndef P2P_DISCOVERY_JSON_H
#define P2P_DISCOVERY_JSON_H

#include "discovery/registry/registry.h"
#include "http/text/json.h"

/* {"peer_id","ip","port","files":[names],"files_count","verified","last_seen",
 * "protocols"} with at most names_max names. */
void json_put_peer(struct http_json_out *o, const struct registry_peer *shown,
                   uint32_t names_max);
/* The same with "seq" and "expires_at" of a signed registration. */
void json_put_peer_in_short(struct http_json_out *o, const struct registry_peer *shown,
                            uint32_t names_max);
/* The same with "seq", "expires_at" and "entries" (size, root, sha256) of a signed
 * registration. */
void json_put_peer_in_full(struct http_json_out *o, const struct registry_peer *shown);
/* "peers": [{"peer_id","ip","port","verified"}], each with "name", "kind" and
 * "addresses" if the registry knows them. */
void json_put_sources(struct http_json_out *o, struct registry *r,
                      const struct registry_source *sources, uint32_t count);

/* False for a digest of zeros, which stands for "unknown". */
bool json_digest_is_known(const struct p2p_digest *d);

#endif
