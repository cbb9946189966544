/*
 * settings - reads and changes a configuration file (p2p/options.h) line by line, so
 * that comments, order and blank lines are kept.
 *
 * `section` is "" for the lines before the first [section], which are for all programs;
 * otherwise it is "p2p-peer", "p2p-ui", "p2p-discovery", "p2p", "p2p get" or the like.
 * A name that appears several times is a list. Returned texts are borrowed until the
 * next change. One thread.
 */
#ifndef P2P_SETTINGS_H
#define P2P_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_settings; /* *returned owned*, free with p2p_settings_close */

/* Opens the file; a missing file counts as empty. TOO_LARGE: over 256 KiB. MALFORMED:
 * not UTF-8 text. */
P2P_MUST_CHECK enum p2p_err p2p_settings_open(const char *path,
                                              struct p2p_settings **out);
/* NULL is fine. */
void p2p_settings_close(struct p2p_settings *settings);

/* True if a program reads this name in this section; otherwise `why` gets a
 * sentence. */
bool p2p_settings_are_known(const char *section, const char *name, char *why,
                            size_t cap);

/* The names that programs read, in the order of the alphabet; NULL after the last. */
const char *p2p_settings_known_at(size_t index);

/* Reads the values of one name, at most `cap`; returns their number. */
size_t p2p_settings_get(const struct p2p_settings *settings, const char *section,
                        const char *name, const char **values, size_t cap);

/* Visits each setting in the order of the file. */
typedef void p2p_settings_fn(void *arg, const char *section, const char *name,
                             const char *value);
void p2p_settings_each(const struct p2p_settings *settings, p2p_settings_fn *fn,
                       void *arg);

/* Replaces all values of the name; none (count 0) removes it. USAGE: a value has a line
 * break, or begins or ends with a space. NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_settings_set(struct p2p_settings *settings,
                                             const char *section, const char *name,
                                             const char *const *values, size_t count);

/* Writes the file completely (as a temporary file, flushed and renamed), with mode
 * 0600; creates its folder. */
P2P_MUST_CHECK enum p2p_err p2p_settings_save(const struct p2p_settings *settings);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
