/* name_hidden - finds characters of a name that hide something, given the characters
 * beside them. */
#ifndef P2P_NAME_HIDDEN_H
#define P2P_NAME_HIDDEN_H

#include <stdbool.h>
#include <stdint.h>

/* The code points before and after it in the same part of the name; 0 at the ends. */
struct p2p_name_neighbors {
    uint32_t before, after;
};
/* The problem with the character, in the words of p2p_name_problem; NULL if there is
 * none. */
const char *p2p_name_hidden(uint32_t cp, const struct p2p_name_neighbors *neighbors);

#endif
