/*
 * conn - one client of the peer, from accept through the handshake to the last byte.
 * conn.c: life and bytes. conn_read.c: reads requests. conn_handshake.c: everything
 * until the client is proven. requests.h: its unanswered requests. serve1.c and
 * serve2.c: answers. A connection belongs to one loop, and only its thread touches it.
 * While a worker runs a job of it, `working` is set and the connection is not freed.
 */
#ifndef PEER_CONN_H
#define PEER_CONN_H

#include <netinet/in.h>
#include <stdbool.h>

#include "p2p/handshake.h"
#include "p2p/link.h"
#include "p2p/session.h"
#include "peer/access/access.h"
#include "peer/access/admission.h"
#include "peer/server/compress.h"
#include "peer/server/requests.h"
#include "peer/server/workers.h"

struct loop;
struct client;

enum conn_state {
    CONN_NEW,
    CONN_WAITING,   /* accepted, waits for a free place for its handshake */
    CONN_HANDSHAKE, /* hello to M5 */
    CONN_OPEN2,
    CONN_GUEST,  /* of a link: the channel has proven that it knows the secret */
    CONN_OPEN1,  /* unproven until a frame of the client can be decrypted */
    CONN_CLOSED, /* closed; freed when the loop's turn has ended and no job is running
                  */
};

enum conn_timer { TIMER_FIRST, TIMER_HANDSHAKE, TIMER_IDLE, TIMER_STALL, CONN_TIMERS };

/* Work of a connection that a worker thread does; one job at a time (`working`). */
struct conn_job {
    struct job job; /* first member: workers know only this one */
    struct conn *conn;
    void (*resume)(struct conn *c); /* runs on the loop, unless the connection was
                                     * closed */
};

/* The content of a HELLO of protocol 1, and the answer to it. */
struct greeting1 {
    struct p2p_spki spki;
    struct p2p_id id; /* claimed */
    size_t used;      /* bytes of the HELLO */
    struct p2p_session1 *session;
    uint8_t answer[P2P_SESSION1_SIZE];
};

/* State that is needed only until the client is proven. */
struct greeting {
    struct p2p_handshake *hs;
    struct greeting1 *one;
    struct conn_job job;
    enum p2p_err verdict; /* of the job */
    bool has_worked;      /* a token for the private key was paid */
    uint64_t deadline_ms; /* for all of it */
    size_t len;
    uint8_t bytes[P2P_HELLO1_MAX];
};

struct conn {
    struct loop *loop;
    int fd;
    enum conn_state state;
    bool writable;  /* as far as we know */
    bool readable;  /* epoll reported it; no EAGAIN since */
    bool progress;  /* bytes moved in this turn */
    bool finishing; /* no more requests: close the connection after the last answer */
    bool working;   /* a job is out */
    bool in_run, is_throttled;
    bool had_turn;    /* it has sent something since it was throttled last */
    bool is_parked;   /* has requests that wait for the shared files to change */
    bool is_known;    /* the user trusts it or has downloaded from it */
    bool is_unproven; /* protocol 1: no frame was decrypted yet */
    bool is_relayed;  /* through a relay: only for the peer that called */
    bool is_outside;  /* comes from outside the local networks; each relayed one does */
    bool has_place,
        is_stranger; /* counted by the server as open, and in which counter */
    unsigned access_generation; /* version of the lists that allowed it */
    enum admission_end ended;

    struct p2p_id caller;              /* of a relayed one */
    char name[P2P_ABOUT_NAME_MAX + 1]; /* as the client says, or "" */
    struct access_standing standing;   /* when it connected */
    bool needs_pin, has_used;          /* of a guest: before any file; has downloaded */
    struct p2p_guest_id guest;
    struct admission_source source;
    struct admission_ticket ticket;
    struct greeting *greeting;
    struct p2p_direction in, out;
    struct p2p_session1 *session1;
    struct client *client;
    uint64_t
        prepaid; /* bytes that the rate limits have allowed and that are not yet sent */
    struct requests requests;

    uint8_t *rx; /* a frame that is not complete yet */
    size_t rx_len, rx_cap;
    size_t kept; /* memory that it uses, as the server has counted it */
    uint8_t *tx; /* bytes that the socket did not accept yet */
    size_t tx_len, tx_at;

    struct cold_read *cold;    /* the job for it, created when needed */
    struct seek *seek;         /* likewise, for old contents */
    struct leaves_job *leaves; /* likewise, for LEAVES? */
    struct promise *promise;   /* protocol 1: the content of the last META */
    struct goodput goodput;

    enum conn_timer timer;
    bool has_timer;
    uint64_t timer_at_ms;
    TAILQ_ENTRY(conn) all_link, run_link, timer_link, park_link;
};

/* A connection is in at most one of the lists run, throttled and waiting: they share
 * run_link. */

/* `caller`: the peer that called for this way through a relay; NULL: it was accepted.
 * `guest`: `caller` is a link, and this its guest; NULL: it is a peer. */
struct conn *conn_new(struct loop *loop, int fd, const struct sockaddr_storage *from,
                      const struct p2p_id *caller, const struct p2p_guest_id *guest);
void conn_free(struct conn *c); /* wipes; the loop's business */

/* Closes it now: removes it from all lists, closes the socket, and moves it to the list
 * of closed connections. */
void conn_close(struct conn *c, enum p2p_err why);

/* Events, from the loop. */
void conn_on_events(struct conn *c, uint32_t epoll_events);
void conn_on_timer(struct conn *c);
void conn_run(struct conn *c);       /* its turn: read, answer, send */
void conn_begin(struct conn *c);     /* admitted: the handshake may start */
void conn_shut_down(struct conn *c); /* the server stops: finish the running requests */
bool conn_is_idle(const struct conn *c);
/* The lists of allowed peers or the rules have changed: closes the connection if its
 * peer may no longer download, and the files that it may no longer see. */
void conn_recheck(struct conn *c);

/* conn_read.c: reads the requests that have arrived, as far as memory allows. */
P2P_MUST_CHECK enum p2p_err conn_read(struct conn *c);
bool conn_can_read(const struct conn *c); /* without a new event */
void conn_account(struct conn *c);        /* after a turn: counts the memory that it
                                           * uses now */

/* For conn_handshake.c. */
void conn_greet(struct conn *c);
void greeting_free(struct greeting *g);
void conn_opened(struct conn *c, enum conn_state state, const struct p2p_id *id);
/* Its first frame was decrypted, so it has the key that it claims. An error closes
 * it. */
P2P_MUST_CHECK enum p2p_err conn_proven(struct conn *c);
/* Inserts bytes before those that will be read. */
P2P_MUST_CHECK enum p2p_err conn_unread(struct conn *c, const uint8_t *data,
                                        size_t len);
/* Sends bytes, and keeps those that the socket does not accept. */
P2P_MUST_CHECK enum p2p_err conn_send(struct conn *c, const uint8_t *data, size_t len);

#endif
