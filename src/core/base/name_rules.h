/* name_rules - single rules of p2p_name_problem, for those who make names that keep
 * them.
 */
#ifndef P2P_NAME_RULES_H
#define P2P_NAME_RULES_H

#include <stddef.h>

#include "core/base/name_hidden.h"

/* What is wrong with the character, as p2p_name_problem says it; NULL: nothing. */
const char *p2p_name_character_problem(uint32_t cp,
                                       const struct p2p_name_neighbors *neighbors);
/* Also the backslash itself. */
bool p2p_name_is_slash_lookalike(uint32_t cp);
bool p2p_name_is_dot_lookalike(uint32_t cp);
/* A device name of another system. */
bool p2p_name_is_reserved(const char *part, size_t len);
/* Where the extension of a part begins (its dot), or `len`. */
size_t p2p_name_extension(const char *leaf, size_t len);

#endif
