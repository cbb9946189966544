/* sandbox_internal - what the files of the sandbox share. Nobody else. */
#ifndef P2P_SANDBOX_INTERNAL_H
#define P2P_SANDBOX_INTERNAL_H

#include "p2p/sandbox.h"

/* Each after no_new_privs. UNSUPPORTED: this kernel or build has none. */
P2P_MUST_CHECK enum p2p_err
p2p_sandbox_enter_landlock(const struct p2p_sandbox_rules *rules, int *abi);
P2P_MUST_CHECK enum p2p_err p2p_sandbox_enter_seccomp(void);

#endif
