/* take - p2p receive --link: a link by which others put files into a folder. */
#ifndef CLI_TAKE_H
#define CLI_TAKE_H

#include "cli/ask/common.h"

struct take_options {
    const struct cli_common *common;
    const char *folder, *title, *pin; /* pin, title: NULL for none */
    uint64_t expires_ms, uses, bytes; /* uses, bytes: 0 for no limit */
    bool keep, quiet, insecure;
};

#define TAKE_EXPIRES_MS (24 * 3600 * 1000)

/* Makes the link, and runs until a guest has finished (as many as `uses`), or Ctrl-C;
 * returns the exit status. Before this program has other threads. */
int take_run(const struct take_options *opt);

#endif
