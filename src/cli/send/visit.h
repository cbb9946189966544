/*
 * visit - the receiver's side of a link: finds its files as a browser does, but without
 * the page of the registry. The device keeps its number as a guest, so the same command
 * resumes after an interruption without another use of the link. Single-threaded.
 */
#ifndef CLI_VISIT_H
#define CLI_VISIT_H

#include "p2p/code.h"
#include "p2p/conn.h"
#include "p2p/download.h"
#include "p2p/stop.h"

struct visit {
    char url[P2P_CODE_REGISTRY_MAX]; /* of the registry where the sender is */
    struct p2p_discovery *discovery;
    struct p2p_visit link;
    struct p2p_reach reach; /* borrows both */
    struct p2p_welcome welcome;
    struct p2p_wanted *files; /* owned, and their names */
    size_t count, file_room;
    char **folders; /* owned: empty ones, without the last slash */
    size_t folder_count, folder_room;
    uint64_t size;
};

struct visit_options {
    struct p2p_identity *identity;
    const char *pin; /* NULL: asks for it on the terminal, if the link has one */
    uint64_t timeout_ms;
    const struct p2p_stop *stop;
};

/* Opens the link and lists its files. Returns 0 or the exit status; prints its own
 * messages. `v` is to be closed in any case. */
int visit_open(struct visit *v, const char *link, const struct visit_options *opt);
/* Everything is here: tells the sender. */
void visit_finish(struct visit *v, const struct visit_options *opt);
void visit_close(struct visit *v);

#endif
