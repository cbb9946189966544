/*
 * name - the rules for names that come from outside. Pure: text in, verdict out.
 */
#ifndef P2P_NAME_H
#define P2P_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/*
 * P2P_OK when `name` may be used at all, else NAME. Refused: invalid UTF-8, NUL and
 * other controls, bidi and invisible marks (joiners and emoji selectors only where they
 * belong), spaces other than U+0020, marks drawn over letters, look-alikes of '/' and
 * of dots, escapes of them (%2f, %2e), backslash, ':' (drive letters, streams), empty
 * parts (leading, trailing or double '/'), parts that begin with a dot or end in a dot
 * or a space, over-long names, names reserved on other systems (con, nul, ...).
 * `allow_folders` false: one part only.
 */
P2P_MUST_CHECK enum p2p_err p2p_name_check(const char *name, size_t len,
                                           bool allow_folders);
/* The same as a sentence for a person ("it contains ':'"), NULL when nothing is wrong.
 */
const char *p2p_name_problem(const char *name, size_t len, bool allow_folders);

/* A name like `name` that may be used, into `out` (P2P_NAME_MAX + 1 bytes): "Re: a.eml"
 * gives "Re a.eml", "10:30" gives "10-30", "aux.c" gives "aux_.c". A name that may be
 * used stays as it is. `name` may hold any bytes. NAME when it is too long or too deep.
 */
P2P_MUST_CHECK enum p2p_err p2p_name_usable(const char *name, size_t len,
                                            bool allow_folders, char *out);

/* `name (number).ext` into `out` (P2P_NAME_MAX + 1 bytes), cut where it would get too
 * long. NAME when that is not possible. */
P2P_MUST_CHECK enum p2p_err p2p_name_numbered(const char *name, unsigned number,
                                              char *out);

/* A name like this one for file systems with stricter rules, into `out` (P2P_NAME_MAX +
 * 1 bytes): '?', '*' and the like become '_', and with `ascii` all that is not ASCII;
 * each part has at most `part_max` bytes and keeps its extension. NAME when nothing is
 * left. */
P2P_MUST_CHECK enum p2p_err p2p_name_safe(const char *name, size_t part_max, bool ascii,
                                          char *out);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
