/* name_hidden - which characters of a name hide something, given those beside them. */
#ifndef P2P_NAME_HIDDEN_H
#define P2P_NAME_HIDDEN_H

#include <stdbool.h>
#include <stdint.h>

/* The code points before and after in the same part of the name; 0 at its ends. */
struct p2p_name_neighbors {
    uint32_t before, after;
};
/* What is wrong with the character, as p2p_name_problem says it; NULL: nothing. */
const char *p2p_name_hidden(uint32_t cp, const struct p2p_name_neighbors *neighbors);

#endif
