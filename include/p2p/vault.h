/*
 * vault - memory for secrets: private keys, passphrases, keys of connections.
 *
 * The pages of the vault contain nothing else, are locked (never in swap) and are left
 * out of core dumps. A block is wiped when it is freed. The vault grows in steps. When
 * it is full (16 MiB, or one block of 64 KiB), blocks come from the heap, and pages
 * beyond RLIMIT_MEMLOCK stay unlocked: both work, and are logged once at level debug.
 * After a fork, the child has the same blocks and locks them again.
 *
 * Any thread. Under the address sanitizer, every block comes from malloc, so that it is
 * checked.
 */
#ifndef P2P_VAULT_H
#define P2P_VAULT_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* `len` zero bytes; *returns owned*, free with p2p_vault_free. NULL: out of memory. */
void *p2p_vault_new(size_t len);
/* Wipes and frees a block of the vault or of the heap (malloc); NULL is fine. */
void p2p_vault_free(void *block);

/* The size of a block of the vault or of the heap, which is at least the requested
 * size. */
size_t p2p_vault_capacity(void *block);
/* True if the address is in the vault. */
bool p2p_vault_holds(const void *at);

struct p2p_vault_state {
    size_t size_bytes;   /* in the vault so far, used or free */
    size_t locked_bytes; /* of them */
};
/* Size and locked part at this moment. */
struct p2p_vault_state p2p_vault_look(void);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
