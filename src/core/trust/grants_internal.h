/* grants.db, for the files of this room that keep tables in it. */
#ifndef P2P_TRUST_GRANTS_INTERNAL_H
#define P2P_TRUST_GRANTS_INTERNAL_H

#include <stdbool.h>

#include "p2p/sqlite.h"

/* Opens the database, and makes it if it is missing. NOT_FOUND: it is missing. *Returns
 * owned*, close with p2p_sqlite_close. */
P2P_MUST_CHECK enum p2p_err p2p_grants_open(const char *keys_dir, bool create,
                                            sqlite3 **db);

#endif
