/*
 * name - the rules for names that come from outside. Pure: text in, verdict out.
 */
#ifndef P2P_NAME_H
#define P2P_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/*
 * P2P_OK if `name` is valid, else NAME. Invalid are: invalid UTF-8, NUL and other
 * control characters, bidi and invisible marks (joiners and emoji selectors are allowed
 * only in their usual places), spaces other than U+0020, marks drawn over letters,
 * characters that look like '/' or a dot, escapes of them (%2f, %2e), backslash, ':'
 * (drive letters, streams), empty parts (leading, trailing or double '/'), parts that
 * begin with a dot or end in a dot or a space, names that are too long, and names
 * reserved on other systems (con, nul, ...). `allow_folders` false: one part only.
 */
P2P_MUST_CHECK enum p2p_err p2p_name_check(const char *name, size_t len,
                                           bool allow_folders);
/* The reason as a sentence for a person ("it contains ':'"); NULL if the name is
 * valid. */
const char *p2p_name_problem(const char *name, size_t len, bool allow_folders);

/* Writes a valid name similar to `name` to `out` (P2P_NAME_MAX + 1 bytes): "Re: a.eml"
 * gives "Re a.eml", "10:30" gives "10-30", "aux.c" gives "aux_.c". A valid name stays
 * unchanged. `name` may contain any bytes. NAME if it is too long or too deep. */
P2P_MUST_CHECK enum p2p_err p2p_name_usable(const char *name, size_t len,
                                            bool allow_folders, char *out);

/* Writes `name (number).ext` to `out` (P2P_NAME_MAX + 1 bytes), cut if it would be too
 * long. NAME if that is impossible. */
P2P_MUST_CHECK enum p2p_err p2p_name_numbered(const char *name, unsigned number,
                                              char *out);

/* Writes a similar name for file systems with stricter rules to `out` (P2P_NAME_MAX + 1
 * bytes): '?', '*' and similar characters become '_', with `ascii` also all characters
 * that are not ASCII; each part has at most `part_max` bytes and keeps its extension.
 * NAME if nothing is left. */
P2P_MUST_CHECK enum p2p_err p2p_name_safe(const char *name, size_t part_max, bool ascii,
                                          char *out);

/* The folder in which the files of an offer stand (`p2p send`), from its number:
 * "sent-1a2b3c4d/". Returns out. */
#define P2P_NAME_SENT_LEN 14
const char *p2p_name_sent(uint32_t offer, char out[P2P_NAME_SENT_LEN + 1]);
/* The length of such a folder at the beginning of a name; 0: it has none, or is the
 * folder alone. */
size_t p2p_name_sent_len(const char *name);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
