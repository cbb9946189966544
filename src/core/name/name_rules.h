/* name_rules - single rules of p2p_name_problem, for code that makes valid names. */
#ifndef P2P_NAME_RULES_H
#define P2P_NAME_RULES_H

#include <stddef.h>

#include "core/name/name_hidden.h"

/* The problem with the character, in the words of p2p_name_problem; NULL if there is
 * none. */
const char *p2p_name_character_problem(uint32_t cp,
                                       const struct p2p_name_neighbors *neighbors);
/* Also the backslash itself. */
bool p2p_name_is_slash_lookalike(uint32_t cp);
bool p2p_name_is_dot_lookalike(uint32_t cp);
/* True for a device name of another system. */
bool p2p_name_is_reserved(const char *part, size_t len);
/* The position of the dot of a part's extension, or `len`. */
size_t p2p_name_extension(const char *leaf, size_t len);

#endif
