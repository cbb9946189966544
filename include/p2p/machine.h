/*
 * machine - the name and kind of this machine, unless its owner sets them. Reads system
 * files: call it before a sandbox closes.
 */
#ifndef P2P_MACHINE_H
#define P2P_MACHINE_H

#include "p2p/about.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* The kind by the type of its chassis (DMI); UNKNOWN where there is none. */
enum p2p_about_kind p2p_machine_kind(void);
/* The kind of a chassis type of SMBIOS (7.4.1). */
enum p2p_about_kind p2p_machine_kind_of_chassis(unsigned type);

/*
 * Uses the options --name and --device-kind; NULL if one is not set. Without a name,
 * the host's name is used, or "" if that cannot be shown. USAGE: one of the options is
 * invalid; `why` (cap bytes) tells which one and what to do.
 */
P2P_MUST_CHECK enum p2p_err p2p_machine_about(const char *name, const char *kind,
                                              struct p2p_about *out, char *why,
                                              size_t cap);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
