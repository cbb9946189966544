/* The database of grants and links. */
#include "core/trust/grants_internal.h"
#include "p2p/grants.h"
#include "p2p/sqlite.h"

/*
 * `peers` has ids one after the other. The columns from token_sha256 on are for grants
 * to the holder of a secret and for those that end, which this version does not make: a
 * row that uses one of them is no rule for a folder.
 */
static const char schema[] =
    "CREATE TABLE grants(id INTEGER PRIMARY KEY AUTOINCREMENT, who INTEGER NOT NULL,"
    " what INTEGER NOT NULL, folder TEXT, peers BLOB, created_s INTEGER NOT NULL,"
    " token_sha256 BLOB, expires_s INTEGER, uses_left INTEGER, bytes_left INTEGER);"
    "CREATE UNIQUE INDEX grants_by_folder ON grants(folder)"
    " WHERE what = 1 AND token_sha256 IS NULL AND expires_s IS NULL"
    " AND uses_left IS NULL AND bytes_left IS NULL;";

enum p2p_err
p2p_grants_open(const char *keys_dir, bool create, sqlite3 **db)
{
    return p2p_sqlite_open_own(keys_dir, P2P_GRANTS_FILE, create, schema, db);
}
