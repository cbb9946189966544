/*
 * request - a download that a user asks for: parsed from JSON, then completed with the
 * content and the sources that the network knows. It owns all that it holds.
 */
#ifndef P2P_UI_REQUEST_H
#define P2P_UI_REQUEST_H

#include "http/http.h"
#include "p2p/contents.h"
#include "ui/transfers/transfers.h"

struct cJSON;
struct p2p_discovery;
struct p2p_identity;
struct ui_peers;

/* Where contents and sources are looked for; all borrowed. */
struct ui_network {
    struct ui_peers *peers;
    struct p2p_discovery *discovery;
    struct p2p_identity *identity;
    uint64_t timeout_ms; /* of a peer that is asked */
};

struct ui_request {
    char filename[P2P_NAME_MAX + 1];
    struct p2p_digest root;
    bool root_known, is_auto;
    char save_as[P2P_NAME_MAX + 1];
    enum p2p_on_conflict conflict;
    bool is_any; /* take the best of several contents */
    uint64_t size;
    enum ui_priority priority;
    struct ui_source sources[UI_TRANSFER_SOURCES_MAX];
    size_t source_count;
    enum p2p_err err; /* of ui_request_find */
    struct p2p_contents
        contents; /* with AMBIGUOUS: the contents that the name may mean */
};

/* Parses the body of POST /api/transfers; *returns owned*, free with ui_request_free.
 * NULL: an error was answered. */
struct ui_request *ui_request_parse(struct http_request *req, struct ui_peers *peers,
                                    const struct cJSON *body);

/* Parses a source from the members `ip`, `port` and `peer_id` (may be missing unless
 * `needs_id`); otherwise answers and returns false. */
bool ui_request_parse_source(struct http_request *req, struct ui_peers *peers,
                             const struct cJSON *object, bool needs_id,
                             struct ui_source *out);
/* The same, without the id. */
bool ui_request_parse_address(struct http_request *req, const struct cJSON *object,
                              struct ui_source *out);
/* Answers 422: there is no peer with this id. */
void ui_request_fail_id(struct http_request *req);
/* Checks the name of a file, or of a folder if it ends in "/"; otherwise answers 400 or
 * 422 and returns false. */
bool ui_request_check_name(struct http_request *req, const char *name);

/*
 * Asks the network (on a worker) which content a name stands for, and which peers have
 * it. Sets err: NO_SOURCE, UNREACHABLE (no registry answers and no other peer is
 * known), AMBIGUOUS (the name has several contents, and trust does not decide).
 */
void ui_request_find(const struct ui_network *network, struct ui_request *r);

void ui_request_free(void *request); /* NULL is fine */

#endif
