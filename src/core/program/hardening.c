#include "p2p/hardening.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include "p2p/vault.h"

#if defined(__SANITIZE_ADDRESS__)
#define LOOKS_INSIDE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LOOKS_INSIDE 1
#endif
#endif
#ifndef LOOKS_INSIDE
#define LOOKS_INSIDE 0
#endif

void
p2p_hardening_begin(void)
{
    const struct rlimit none = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &none);
    if (!LOOKS_INSIDE)
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

struct p2p_hardening
p2p_hardening_look(void)
{
    struct p2p_vault_state vault = p2p_vault_look();
    struct rlimit core = {1, 1}, memlock = {0, 0};

    (void)getrlimit(RLIMIT_CORE, &core);
    (void)getrlimit(RLIMIT_MEMLOCK, &memlock);
    return (struct p2p_hardening){
        .is_dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0,
        .has_core_limit_zero = core.rlim_cur == 0,
        .memlock_bytes =
            memlock.rlim_cur == RLIM_INFINITY ? UINT64_MAX : memlock.rlim_cur,
        .key_memory_bytes = vault.size_bytes,
        .locked_bytes = vault.locked_bytes,
    };
}
