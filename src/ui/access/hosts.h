/* The names under which a browser may open the dashboard. */
#ifndef P2P_UI_HOSTS_H
#define P2P_UI_HOSTS_H

#include <limits.h>

#include "p2p/options.h"

#define UI_HOST_NAME_SIZE (HOST_NAME_MAX + sizeof(".local"))

struct ui_hosts {
    const char *at[P2P_OPTION_LIST_MAX + 4]; /* NULL behind the last */
    char name[UI_HOST_NAME_SIZE];            /* of this machine */
    char label[UI_HOST_NAME_SIZE];           /* its first part */
    char local[UI_HOST_NAME_SIZE];           /* the name that mDNS gives it */
};

/* Collects the names of --allow-host, this machine's own name, and that name under
 * .local. `allowed` is borrowed, and `out` must not move. */
void ui_hosts_find(struct ui_hosts *out, const struct p2p_option_list *allowed);

#endif
