/*
 * control - the control socket of p2p-peer: `control.sock` in the keys directory. The
 * programs of one user ask the running peer through it.
 *
 * A message is a length (32 bits, network order) and that many bytes of JSON. A request
 * is an object with the member "verb"; each gets one answer, in order. An answer has
 * "ok": true and what the verb gives, or "ok": false with "error" (the name of a
 * p2p_err) and "message". A verb that the peer does not know gets UNSUPPORTED, so that
 * programs of different versions can talk. docs/ARCHITECTURE.md lists the verbs.
 *
 * The file has mode 0600, and the kernel tells who has connected: only the user who
 * serves and root get answers. Clients, sizes and waiting times are limited.
 *
 * A sandboxed process cannot make Unix sockets. So a daemon calls p2p_control_bind
 * before it enters its sandbox, and others connect with p2p_guardian_control.
 */
#ifndef P2P_CONTROL_H
#define P2P_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_CONTROL_FILE        "control.sock"
#define P2P_CONTROL_REQUEST_MAX (64 * 1024)
#define P2P_CONTROL_ANSWER_MAX  (1024 * 1024)
#define P2P_CONTROL_CLIENTS_MAX 16
/* A client that has asked nothing for this long is disconnected. */
#define P2P_CONTROL_IDLE_MS 60000

struct cJSON;

/* ---- The side that answers ---- */

/* Makes the socket in `keys_dir` and listens. Replaces the file that a killed process
 * left: call it only while this process has claimed the folder (p2p_keys_claim). `*fd`
 * is owned. UNSUPPORTED: the file system has no sockets. */
P2P_MUST_CHECK enum p2p_err p2p_control_bind(const char *keys_dir, int *fd);

/* Fills in `answer` for one request (both borrowed). Runs on the control thread, so it
 * must not take long. An error becomes the answer instead, with `why` (a sentence, or
 * empty for the text of the error). */
typedef enum p2p_err p2p_control_fn(void *arg, const struct cJSON *request,
                                    struct cJSON *answer, char *why, size_t cap);
/* The same for a verb that gets open files with its request: `count` descriptors. The
 * caller closes them after the call, so the function duplicates those that it keeps. */
typedef enum p2p_err p2p_control_files_fn(void *arg, const struct cJSON *request,
                                          const int *files, size_t count,
                                          struct cJSON *answer, char *why, size_t cap);
struct p2p_control_verb {
    const char *name;
    p2p_control_fn *run;
    p2p_control_files_fn *run_with_files; /* instead of `run`; NULL for most */
};

struct p2p_control; /* *returned owned*, free with p2p_control_stop */

/* Answers on a thread of its own. *Takes* the descriptor of p2p_control_bind. `verbs`
 * ends with a row without a name; it and `keys_dir` are borrowed until the stop. */
P2P_MUST_CHECK enum p2p_err p2p_control_start(int fd, const char *keys_dir,
                                              const struct p2p_control_verb *verbs,
                                              void *arg, struct p2p_control **out);
/* Disconnects all clients and removes the socket's file. NULL is fine. */
void p2p_control_stop(struct p2p_control *control);

/* ---- The side that asks ---- */

/* Connects to the peer that uses this keys directory. NOT_FOUND, UNREACHABLE: none is
 * running. NOT_ALLOWED: the socket belongs to another user. `*fd` is owned. */
P2P_MUST_CHECK enum p2p_err p2p_control_connect(const char *keys_dir, int *fd);
/* Sends the request (borrowed) and waits for its answer. `*answer` is owned, free with
 * cJSON_Delete, NULL after an error. The error of an answer with "ok": false is
 * returned; its sentence is in `why`, which may be NULL. TIMEOUT, CLOSED, MALFORMED. */
P2P_MUST_CHECK enum p2p_err p2p_control_ask(int fd, const struct cJSON *request,
                                            uint64_t timeout_ms, struct cJSON **answer,
                                            char *why, size_t cap);

/* The same, with open files for the verb (borrowed; at most P2P_CONTROL_FILES_MAX). */
#define P2P_CONTROL_FILES_MAX 4
P2P_MUST_CHECK enum p2p_err
p2p_control_ask_with_files(int fd, const struct cJSON *request, const int *files,
                           size_t count, uint64_t timeout_ms, struct cJSON **answer,
                           char *why, size_t cap);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
