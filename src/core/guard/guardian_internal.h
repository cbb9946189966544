/*
 * guardian_internal - the messages between parent and child, and declarations shared by
 * the files of the guardian and service.c. For no other files. There are two pairs of
 * sockets (SOCK_SEQPACKET: a message arrives completely or not at all). On `orders`,
 * each side sends when it wants and expects no answer; on `requests`, the child asks
 * and the parent answers.
 */
#ifndef P2P_GUARDIAN_INTERNAL_H
#define P2P_GUARDIAN_INTERNAL_H

#include <netinet/in.h>
#include <sys/types.h>

#include "p2p/guardian.h"

enum { P2P_GUARDIAN_TEXT_MAX = 4096 };

enum p2p_guardian_verb {
    /* orders, to the child */
    P2P_GUARDIAN_STOP = 1,
    P2P_GUARDIAN_RELOAD,
    /* orders, to the parent */
    P2P_GUARDIAN_WATCH,  /* a path and its descriptor; allowed only before SEALED */
    P2P_GUARDIAN_SEALED, /* the sandbox is closed: from here on the child is not trusted
                          */
    P2P_GUARDIAN_READY,  /* the ready line */
    P2P_GUARDIAN_ALIVE,  /* for the watchdog */
    P2P_GUARDIAN_REPLACE,
    P2P_GUARDIAN_REREAD, /* the settings */
    /* requests */
    P2P_GUARDIAN_OPEN,       /* a path; the answer has a descriptor */
    P2P_GUARDIAN_PASSPHRASE, /* the prompt; the answer is the passphrase */
    P2P_GUARDIAN_SOCKET,     /* a path; the answer has a connection to Avahi at that
                              * path */
    P2P_GUARDIAN_CONTROL,    /* nothing; the answer has a connection to p2p-peer */
    P2P_GUARDIAN_CALLER,     /* two addresses in hex; the answer is the reason */
};

/* Two socket addresses, each with the size of an IPv6 one and filled up with zeros. */
enum { P2P_GUARDIAN_ADDR_SIZE = sizeof(struct sockaddr_in6) };

struct p2p_guardian_message {
    uint32_t verb; /* in an answer: enum p2p_err */
    uint32_t len;  /* of the text */
    char text[P2P_GUARDIAN_TEXT_MAX + 1];
};

/* Sends or receives one message, with a descriptor if `fd` is not -1. False: the other
 * side is gone, or it sent something invalid. A received text ends with a NUL and
 * contains no other. */
bool p2p_guardian_send(int sock, uint32_t verb, const char *text, int fd);
bool p2p_guardian_take(int sock, struct p2p_guardian_message *message, int *fd);

/* ---- Who serves (guardian_user.c) ---- */

struct p2p_guardian_user {
    bool changes; /* root changes to another user */
    uid_t uid;
    gid_t gid;
    char name[64]; /* empty: the uid has no name */
};

/* Logs why not. USAGE. */
P2P_MUST_CHECK enum p2p_err
p2p_guardian_choose_user(const struct p2p_guardian_options *opt,
                         struct p2p_guardian_user *user);
P2P_MUST_CHECK enum p2p_err p2p_guardian_become(const struct p2p_guardian_user *user);

/* ---- The child (guardian_child.c) ---- */

/* Descriptors from its parent; -1 if there is none. */
struct p2p_guardian_child {
    int orders, requests;
    int state;        /* the same file in memory for all children */
    bool is_confined; /* system calls are filtered */
    uint64_t
        alive_ms; /* interval between two signs of life; 0: nothing waits for them */
};
extern struct p2p_guardian_child p2p_guardian_child;

/* Runs the child after fork: changes the user, enters the sandbox, serves. Returns its
 * exit status. */
int p2p_guardian_serve(const struct p2p_guardian_options *opt,
                       const struct p2p_guardian_user *user,
                       const struct p2p_guardian_child *child, pid_t parent);
/* Waits for SIGTERM or an order to stop. Calls `hang_up` when the settings were read
 * again. */
void p2p_guardian_wait_child(void (*hang_up)(void));

/* ---- Avahi (guardian_bus.c) ---- */

enum { P2P_GUARDIAN_SOCKET_MAX = 104 };
/* The path of the socket that `wanted` stands for: the system bus or Avahi's own. NULL:
 * another one, which the child may not use. Returns out. */
const char *p2p_guardian_socket(const char *wanted, char out[P2P_GUARDIAN_SOCKET_MAX]);
/* Whether that is Avahi's own socket, not the bus. */
bool p2p_guardian_is_avahi(const char *path);
/* Asks the parent for the passphrase. NOT_ALLOWED: this daemon does not need one. */
P2P_MUST_CHECK enum p2p_err p2p_guardian_ask_socket(const char *path, int *fd);

/* ---- For service.c and the parent ---- */

/* Tells systemd this state, as sd_notify does. */
void p2p_service_notify(const char *state);
/* Half of the interval of systemd's watchdog; 0 if it has none. */
uint64_t p2p_service_watchdog_ms(void);
void p2p_service_stop_signals(void *sigset);
/* Prints the ready line and notifies systemd. */
void p2p_service_say_ready(const char *line);

#endif
