/* Shared by the files of the relay's loop: relay.c (life and turns), sessions.c (two
 * connections that were joined) and client.c (connections until then). relay.c uses
 * sessions.c, and both use client.c. */
#ifndef RELAY_RELAY_INTERNAL_H
#define RELAY_RELAY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "p2p/lock.h"
#include "relay/relay.h"
#include "relay/session.h"
#include "relay/tickets.h"

enum {
    RELAY_HELLO_MS = 5000,    /* for the line with the token, however it trickles */
    RELAY_PARTNER_MS = 20000, /* for the other side */
    RELAY_CLIENTS_MAX = 256,  /* that are not joined */
    RELAY_CLIENTS_PER_SOURCE = 16,
    RELAY_TICKETS_MAX = 65536,
    RELAY_ACCOUNTS_MAX = 65536,
};

/* A connection that is not joined yet. */
struct client {
    struct watched watched; /* first member */
    TAILQ_ENTRY(client) link;
    int fd;
    struct account_key source;
    uint64_t deadline_ms;
    bool is_waiting; /* its token was good: for the other side */
    struct p2p_relay_token token;
    size_t len;
    char line[P2P_RELAY_LINE_MAX];
};
TAILQ_HEAD(client_list, client);

P2P_MUTEX_KIND(relay_lock);
struct relay {
    struct relay_options opt; /* `limits` is the copy that the loop uses */
    int epoll_fd, wake_fd;
    pthread_t thread;
    bool is_started;
    _Atomic bool is_stopping, has_new_limits;
    struct watched listener_watch, wake_watch;
    uint64_t accept_again_ms; /* 0: it accepts */

    struct client_list clients; /* the oldest first */
    size_t client_count;
    struct session_list sessions;
    size_t session_count;
    struct tickets *tickets;
    struct accounts *accounts;
    struct p2p_rate rate; /* of all sessions */
    uint64_t next_look_ms;

    struct relay_lock lock;
    struct relay_limits new_limits P2P_GUARDED_BY(relay_lock);
    struct {
        _Atomic uint64_t sessions, waiting, sessions_total, bytes_total, accounts;
        _Atomic uint64_t refused[RELAY_REFUSALS];
    } stats;
};

/* ---- client.c ---- */

/* Accepts what has arrived. */
void clients_accept(struct relay *r);
/* The client has sent something, or has gone. Returns the client that it is to be
 * joined with now: both have shown their token. NULL: not yet, or it has been freed. */
struct client *client_on_event(struct relay *r, struct client *c);
/* Ends those whose time is over. */
void clients_expire(struct relay *r, uint64_t now_ms);
void clients_close(struct relay *r);
/* Takes the client off the list and frees it; returns its descriptor. */
int client_release(struct relay *r, struct client *c);
/* Says why, and closes. */
void client_refuse(struct relay *r, struct client *c, enum relay_refusal why);
/* For the metrics. */
void clients_count_refusal(struct relay *r, enum relay_refusal why);

/* ---- sessions.c ---- */

/* Joins two clients, which are freed; or refuses both. */
void sessions_join(struct relay *r, struct client *caller, struct client *callee);
/* Notes what epoll says of one end. */
void sessions_on_event(struct session_side *side, uint32_t events);
/* One turn for each session that has something to do. Returns the bytes that came in. */
uint64_t sessions_run(struct relay *r);
/* Ends those that are too old, or were idle for too long. */
void sessions_expire(struct relay *r, uint64_t now_ms);
void sessions_close(struct relay *r);

#endif
