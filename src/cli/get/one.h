/* one - runs one download in the foreground: shows its progress, stops at Ctrl-C and
 * keeps what has arrived. Single-threaded. */
#ifndef CLI_ONE_H
#define CLI_ONE_H

#include "cli/get/get.h"
#include "p2p/stop.h"

struct get_one {
    const struct get_options *opt;
    struct p2p_identity *identity;
    const struct p2p_stop *stop;
    const struct get_output *output;
    /* While it runs. */
    struct get_print print;
    int over_fd;
    struct p2p_download_status last; /* written before over_fd */
};
/* Returns when the download has ended. CANCELLED: by Ctrl-C. */
P2P_MUST_CHECK enum p2p_err get_one(struct get_one *one,
                                    const struct p2p_download_options *download);

#endif
