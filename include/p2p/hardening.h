/*
 * hardening - steps of every program before it uses a key. The memory of the keys
 * themselves is in p2p/vault.h.
 */
#ifndef P2P_HARDENING_H
#define P2P_HARDENING_H

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* Disables core dumps, and keeps other processes of this user from reading this one's
 * memory. Call it first in main; p2p_service_begin does. Under the address sanitizer,
 * whose leak check needs to read, the second part is left out. */
void p2p_hardening_begin(void);

/* The state of this process, for `p2p doctor` and tests. */
struct p2p_hardening {
    bool is_dumpable;          /* core dumps, ptrace, /proc/PID/mem */
    bool has_core_limit_zero;  /* RLIMIT_CORE */
    uint64_t memlock_bytes;    /* RLIMIT_MEMLOCK; UINT64_MAX: no limit */
    uint64_t key_memory_bytes; /* of the vault */
    uint64_t locked_bytes;     /* of them */
};
/* Asks the system and the vault; changes nothing. */
struct p2p_hardening p2p_hardening_look(void);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
