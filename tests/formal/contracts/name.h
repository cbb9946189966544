/*
 * Contracts of the rules for names. name.c proves them, others rely on them.
 */
#ifndef CONTRACTS_NAME_H
#define CONTRACTS_NAME_H

#include "core/name/name_rules.h"
#include "p2p/limits.h"
#include "p2p/name.h"
#include "text.h"

/*@ assigns \nothing; */
bool p2p_name_is_slash_lookalike(uint32_t cp);

/*@ assigns \nothing; */
bool p2p_name_is_dot_lookalike(uint32_t cp);

/*@ requires \valid_read(neighbors); assigns \nothing; */
const char *p2p_name_character_problem(uint32_t cp, const struct p2p_name_neighbors *neighbors);

/*@ requires READABLE(part, len); assigns \nothing; */
bool p2p_name_is_reserved(const char *part, size_t len);

/*@
  requires READABLE(name, len);
  assigns \nothing;
  ensures \result == P2P_OK || \result == P2P_ERR_NAME;
*/
enum p2p_err p2p_name_check(const char *name, size_t len, bool allow_folders);

/*@ requires READABLE(leaf, len); assigns \nothing; ensures \result <= len && len - \result <= 36; */
size_t p2p_name_extension(const char *leaf, size_t len);

#endif
