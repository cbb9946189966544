/* sandbox_internal - declarations shared by the files of the sandbox. For no other
 * files. */
#ifndef P2P_SANDBOX_INTERNAL_H
#define P2P_SANDBOX_INTERNAL_H

#include "p2p/sandbox.h"

/* Call each one after no_new_privs. UNSUPPORTED: this kernel or build has none. */
P2P_MUST_CHECK enum p2p_err
p2p_sandbox_enter_landlock(const struct p2p_sandbox_rules *rules, int *abi);
P2P_MUST_CHECK enum p2p_err p2p_sandbox_enter_seccomp(void);

#endif
