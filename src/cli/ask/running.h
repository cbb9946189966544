/* running - what the running p2p-peer of these keys says about itself over its control
 * socket (p2p/control.h). */
#ifndef CLI_RUNNING_H
#define CLI_RUNNING_H

#include "p2p/identity.h"

struct cJSON;

/* Asks one verb. NULL: no peer runs, or it did not answer; `*err` tells which
 * (NOT_FOUND, UNREACHABLE: no peer runs). Free with cJSON_Delete. */
struct cJSON *cli_ask_running(const char *keys_dir, const char *verb,
                              enum p2p_err *err);

/* Prints the uploads that run and the sum of all, as lines of `p2p status`. */
void cli_print_uploads(const struct cJSON *answer, struct p2p_identity *identity);
/* Adds the members "peer" (null if none runs), "uploads" and "uploaded". `status` and
 * `uploads` may be NULL. */
void cli_put_running(struct cJSON *object, const struct cJSON *status,
                     const struct cJSON *uploads, struct p2p_identity *identity);
/* Does the running peer share with the whole Internet? Null: it did not say. */
const struct cJSON *cli_running_public(const struct cJSON *status);
/* Where another device with this identity was seen lately (borrows from `status`);
 * NULL: nowhere. `status` may be NULL. */
const char *cli_running_copy(const struct cJSON *status);

#endif
