/*
 * conn - one client of the peer: from accept through the handshake to the last byte.
 *
 * conn.c: life and bytes. conn_read.c: requests come in. conn_handshake.c: until the
 * client is proven. requests.h: what it asked for. serve1.c and serve2.c: answers. A
 * connection belongs to one loop and is touched by its thread only; while a job of it
 * is at a worker, `working` is set and it is not freed.
 */
#ifndef PEER_CONN_H
#define PEER_CONN_H

#include <netinet/in.h>
#include <stdbool.h>

#include "p2p/handshake.h"
#include "p2p/session.h"
#include "peer/admission.h"
#include "peer/compress.h"
#include "peer/requests.h"
#include "peer/workers.h"

struct loop;
struct client;

enum conn_state {
    CONN_NEW,
    CONN_WAITING,   /* accepted, but as many handshakes as may run do run */
    CONN_HANDSHAKE, /* hello to M5 */
    CONN_OPEN2,
    CONN_OPEN1,  /* unproven until a frame of the client opens */
    CONN_CLOSED, /* in the graveyard until the loop's turn ends and no job is out */
};

enum conn_timer { TIMER_FIRST, TIMER_HANDSHAKE, TIMER_IDLE, TIMER_STALL, CONN_TIMERS };

/* Work for a connection that is done elsewhere; one at a time (`working`). */
struct conn_job {
    struct job job; /* first: workers know only this */
    struct conn *conn;
    void (*resume)(struct conn *c); /* on the loop, unless the connection has closed */
};

/* What a HELLO of protocol 1 said, and the answer to it. */
struct greeting1 {
    struct p2p_spki spki;
    struct p2p_id id; /* claimed */
    size_t used;      /* bytes of the HELLO */
    struct p2p_session1 *session;
    uint8_t answer[P2P_SESSION1_SIZE];
};

/* Only needed until a client is proven. */
struct greeting {
    struct p2p_handshake *hs;
    struct greeting1 *one;
    struct conn_job job;
    enum p2p_err verdict; /* of the job */
    bool has_worked;      /* it has paid for the use of the private key */
    uint64_t deadline_ms; /* for all of it */
    size_t len;
    uint8_t bytes[P2P_HELLO1_MAX];
};

struct conn {
    struct loop *loop;
    int fd;
    enum conn_state state;
    bool writable;  /* as far as we know */
    bool readable;  /* edge seen, EAGAIN not yet */
    bool progress;  /* bytes moved in this turn */
    bool finishing; /* no more requests: close when all is answered */
    bool working;   /* a job is out */
    bool in_run, is_throttled;
    bool had_turn;    /* the limits let it send since it was throttled last */
    bool is_parked;   /* has requests that wait for the shared files to change */
    bool is_known;    /* the user trusts it or has downloaded from it */
    bool is_unproven; /* protocol 1: no frame of it has opened yet */
    bool has_place, is_stranger; /* counted by the server as open, and as which */
    unsigned access_generation;  /* of the lists that let it in */
    enum admission_end ended;

    struct admission_source source;
    struct admission_ticket ticket;
    struct greeting *greeting;
    struct p2p_direction in, out;
    struct p2p_session1 *session1;
    struct client *client;
    uint64_t
        prepaid; /* bytes that the rate limits have let pass and that are not sent */
    struct requests requests;

    uint8_t *rx; /* a frame that is not complete yet */
    size_t rx_len, rx_cap;
    size_t kept; /* memory it makes us keep, as far as the server has counted it */
    uint8_t *tx; /* what the socket did not take yet */
    size_t tx_len, tx_at;

    struct cold_read *cold;  /* the job for it, made at need */
    struct promise *promise; /* protocol 1: what META said last */
    struct goodput goodput;

    enum conn_timer timer;
    bool has_timer;
    uint64_t timer_at_ms;
    TAILQ_ENTRY(conn) all_link, run_link, timer_link, park_link;
};

/* A connection stands in one of run, throttled and waiting at most: they share
 * run_link. */

struct conn *conn_new(struct loop *loop, int fd, const struct sockaddr_storage *from);
void conn_free(struct conn *c); /* wipes; the loop's business */

/* Ends it now: out of all lists, socket closed, into the graveyard. */
void conn_close(struct conn *c, enum p2p_err why);

/* Events, from the loop. */
void conn_on_events(struct conn *c, uint32_t epoll_events);
void conn_on_timer(struct conn *c);
void conn_run(struct conn *c);       /* its turn: read, answer, send */
void conn_begin(struct conn *c);     /* admitted: the handshake may start */
void conn_shut_down(struct conn *c); /* the server stops: finish what runs */
bool conn_is_idle(const struct conn *c);
/* The lists of who may download have changed: closes it when it may not any longer. */
void conn_recheck(struct conn *c);

/* conn_read.c: takes requests as far as they are there and may be kept. */
P2P_MUST_CHECK enum p2p_err conn_read(struct conn *c);
bool conn_can_read(const struct conn *c); /* without a new event */
void conn_account(struct conn *c);        /* after a turn: what it costs now */

/* For conn_handshake.c. */
void conn_greet(struct conn *c);
void greeting_free(struct greeting *g);
void conn_opened(struct conn *c, enum conn_state state, const struct p2p_id *id);
/* A first frame of it opened: it has the key it claims. An error ends it. */
P2P_MUST_CHECK enum p2p_err conn_proven(struct conn *c);
/* Puts bytes in front of what will be read. */
P2P_MUST_CHECK enum p2p_err conn_unread(struct conn *c, const uint8_t *data,
                                        size_t len);
/* Sends or keeps what the socket does not take. */
P2P_MUST_CHECK enum p2p_err conn_send(struct conn *c, const uint8_t *data, size_t len);

#endif
