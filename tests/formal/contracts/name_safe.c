/*
 * Names for file systems that allow less (name/name_safe.c) against their contracts: `make prove`.
 * What is proven: a name stays in the memory that is promised for it, no function reads beyond the
 * name, there is no run-time error, and every loop ends.
 *
 * prove: is_refused_elsewhere,cut,shorten,put_part,p2p_name_safe
 */
#include "name.h"

#include "core/name/name_safe.c"

/*@ assigns \nothing; */
static bool is_refused_elsewhere(uint32_t cp);
/*@ requires READABLE(part, len); assigns \nothing; ensures \result <= len && \result <= max; */
static size_t cut(const char *part, size_t len, size_t max);
/*@ requires \valid(part + (0 .. len - 1)) && max > EXTENSION_MAX;
    assigns part[0 .. len - 1];
    ensures \result <= len && \result <= max;
*/
static size_t shorten(char *part, size_t len, size_t max);
/*@ requires READABLE(part, len) && \valid(out + (0 .. len - 1)) && max > EXTENSION_MAX;
    requires \separated(part + (0 .. len - 1), out + (0 .. len - 1));
    assigns out[0 .. len - 1];
    ensures \result <= len;
*/
static size_t put_part(const char *part, size_t len, size_t max, bool ascii, char *out);
/*@ requires valid_read_string(name) && \valid(out + (0 .. P2P_NAME_MAX));
    requires \separated(name + (0 .. strlen(name)), out + (0 .. P2P_NAME_MAX));
    assigns out[0 .. P2P_NAME_MAX];
*/
enum p2p_err p2p_name_safe(const char *name, size_t part_max, bool ascii, char *out);
