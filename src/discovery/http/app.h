/* The objects that the routes of p2p-discovery use. Made in main.c; read-only while the
 * program serves. */
#ifndef P2P_DISCOVERY_APP_H
#define P2P_DISCOVERY_APP_H

#include "discovery/http/meeting.h"
#include "discovery/http/timing.h"
#include "discovery/registry/changes.h"
#include "discovery/registry/registry.h"
#include "discovery/registry/search.h"
#include "discovery/store/store.h"
#include "http/http.h"

struct housekeeper;
struct prober;
struct stun_server;

struct app {
    bool require_signed;
    const char *snapshot; /* its file; NULL: none is written */
    struct registry *registry;
    struct changes *changes;
    struct store *store; /* NULL: memory only */
    struct http_server *server;
    struct http_waitlist *waiters;
    struct housekeeper *housekeeper;
    struct http_ratelimit *registrations; /* by peer id; NULL: no limit */
    struct http_prepared *heartbeat_answer;
    uint64_t started_ms;
    struct timing searches[MATCH_MODES];
    struct meeting meeting;
    struct prober *prober;    /* NULL: --no-probe */
    struct stun_server *stun; /* NULL: no port is free for it, or --no-stun */
    uint16_t stun_ports[2];   /* 0: none */
};

extern const struct http_route discovery_routes[];

/* Handlers, by file. routes.c: */
void get_heartbeat(struct http_request *req, void *app);
void get_health(struct http_request *req, void *app);
void get_changes(struct http_request *req, void *app);
/* routes_register.c: */
void post_register(struct http_request *req, void *app);
void post_delta(struct http_request *req, void *app);
void delete_register(struct http_request *req, void *app);
/* routes_list.c: */
void get_peers(struct http_request *req, void *app);
void get_peer(struct http_request *req, void *app);
/* routes_search.c: */
void get_search(struct http_request *req, void *app);
/* routes_box.c: */
void post_box(struct http_request *req, void *app);
void delete_box(struct http_request *req, void *app);
void get_box_messages(struct http_request *req, void *app);
/* routes_code.c: */
void post_code(struct http_request *req, void *app);
void post_claim(struct http_request *req, void *app);
/* routes_relay.c: */
void get_reach(struct http_request *req, void *app);
void post_relay(struct http_request *req, void *app);
/* routes_page.c: */
void get_page(struct http_request *req, void *app);
void get_page_part(struct http_request *req, void *app);
/* metrics.c: */
void get_metrics(struct http_request *req, void *app);

#endif
