/*
 * settings - reads and changes a configuration file (p2p/options.h) as its lines, so
 * that comments, order and blank lines stay as the owner wrote them.
 *
 * `section` is "" for the lines before the first [section], which are for all programs;
 * else "p2p-peer", "p2p-ui", "p2p-discovery", "p2p" or "p2p get" and the like. A name
 * that stands there several times is a list. Text from here is borrowed until the next
 * change. One thread.
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

/* A file that does not exist is an empty one. TOO_LARGE: over 256 KiB. MALFORMED: no
 * UTF-8 text. */
P2P_MUST_CHECK enum p2p_err p2p_settings_open(const char *path,
                                              struct p2p_settings **out);
/* NULL is fine. */
void p2p_settings_close(struct p2p_settings *settings);

/* Whether a program reads this name in this section; `why` gets a sentence if none
 * does. */
bool p2p_settings_are_known(const char *section, const char *name, char *why,
                            size_t cap);

/* The values of one name, `cap` at most; returns how many there are. */
size_t p2p_settings_get(const struct p2p_settings *settings, const char *section,
                        const char *name, const char **values, size_t cap);

/* Each setting in the order of the file. */
typedef void p2p_settings_fn(void *arg, const char *section, const char *name,
                             const char *value);
void p2p_settings_each(const struct p2p_settings *settings, p2p_settings_fn *fn,
                       void *arg);

/* Replaces all values of the name; none (count 0) removes it. USAGE: a value has a line
 * break, or begins or ends with a space. NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_settings_set(struct p2p_settings *settings,
                                             const char *section, const char *name,
                                             const char *const *values, size_t count);

/* Writes the file whole (aside, flushed, renamed), mode 0600; makes its folder. */
P2P_MUST_CHECK enum p2p_err p2p_settings_save(const struct p2p_settings *settings);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
