/* Memory for secrets: blocks of a few sizes, taken from one reserved range of
 * addresses. */
#include "p2p/vault.h"
#include "p2p/lock.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "p2p/err.h"
#include "p2p/log.h"

#if defined(__SANITIZE_ADDRESS__)
#define IS_CHECKED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_CHECKED 1
#endif
#endif
#ifndef IS_CHECKED
#define IS_CHECKED 0
#endif

enum {
    RESERVE = 16 << 20, /* addresses; memory comes in steps */
    STEP = 64 << 10,
    /* Multiples of 64 bytes up to 1 KiB, then powers of two up to 64 KiB. */
    UNIT = 64,
    SMALL_KINDS = 16,
    KINDS = SMALL_KINDS + 6,
    BLOCK_MAX = (SMALL_KINDS * UNIT) << (KINDS - SMALL_KINDS),
};

/* The header before each block. It has 16 bytes, so that the block is aligned for any
 * type. */
struct head {
    _Alignas(16) struct head *next; /* while it is free */
    uint32_t kind;
};

P2P_MUTEX_KIND(vault_lock);
/* Readers without the lock see `base` once it is there. */
static struct {
    struct vault_lock lock;
    _Atomic(char *) base;
    bool was_tried P2P_GUARDED_BY(vault_lock);
    size_t size P2P_GUARDED_BY(vault_lock);
    size_t used P2P_GUARDED_BY(vault_lock);
    size_t locked P2P_GUARDED_BY(vault_lock);
    bool said_unlocked P2P_GUARDED_BY(vault_lock);
    bool said_full P2P_GUARDED_BY(vault_lock);
    struct head *free[KINDS] P2P_GUARDED_BY(vault_lock);
} vault = {.lock = P2P_MUTEX_INITIALIZER};

/* The size of a block of this kind, including its header. */
static size_t
size_of_kind(unsigned kind)
{
    return kind < SMALL_KINDS ? (kind + 1) * (size_t)UNIT
                              : (size_t)SMALL_KINDS * UNIT << (kind - SMALL_KINDS + 1);
}

static void
before_fork(void) P2P_ACQUIRES(vault_lock)
{
    p2p_lock(&vault.lock);
}

static void
after_fork(void) P2P_RELEASES(vault_lock)
{
    p2p_unlock(&vault.lock);
}

/* A child process inherits the pages, but not their locks (mlock). */
static void
after_fork_in_child(void) P2P_RELEASES(vault_lock)
{
    char *base = atomic_load(&vault.base);

    if (vault.locked > 0 && mlock(base, vault.locked) != 0)
        vault.locked = 0;
    p2p_unlock(&vault.lock);
}

/* Reserves the range of addresses, once. If that fails, the heap is used. */
static char *
open_vault(void) P2P_REQUIRES(vault_lock)
{
    char *base = atomic_load(&vault.base);

    if (base != NULL || vault.was_tried || IS_CHECKED)
        return base;
    vault.was_tried = true;
    base = mmap(NULL, RESERVE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    (void)madvise(base, RESERVE, MADV_DONTDUMP);
    if (pthread_atfork(before_fork, after_fork, after_fork_in_child) != 0) {
        munmap(base, RESERVE);
        return NULL;
    }
    atomic_store(&vault.base, base);
    return base;
}

/* Makes one more step of the range usable. Locks it if all steps before it are locked:
 * `locked` counts bytes from the base. */
static bool
grow(char *base) P2P_REQUIRES(vault_lock)
{
    char *step = base + vault.size;

    if (vault.size + STEP > RESERVE ||
        mprotect(step, STEP, PROT_READ | PROT_WRITE) != 0)
        return false;
    if (vault.locked == vault.size && mlock(step, STEP) == 0)
        vault.locked += STEP;
    vault.size += STEP;
    return true;
}

static struct head *
take(unsigned kind) P2P_REQUIRES(vault_lock)
{
    char *base = open_vault();
    size_t len = size_of_kind(kind);
    struct head *head = vault.free[kind];

    if (base == NULL)
        return NULL;
    if (head != NULL) {
        vault.free[kind] = head->next;
        head->next = NULL;
        return head;
    }
    while (vault.used + len > vault.size)
        if (!grow(base))
            return NULL;
    head = (struct head *)(void *)(base + vault.used);
    vault.used += len;
    head->kind = kind;
    return head;
}

/* The warning to log now, once; "" if there is none. */
static const char *
new_remark(bool is_full) P2P_REQUIRES(vault_lock)
{
    const char *remark = "";

    if (is_full && !vault.said_full) {
        vault.said_full = true;
        remark = "key memory: no protected memory left, so some secrets are in "
                 "ordinary memory";
    } else if (vault.locked < vault.size && !vault.said_unlocked) {
        vault.said_unlocked = true;
        remark = "key memory: cannot lock all of it, so some keys may be written to "
                 "swap: raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=)";
    }
    return remark;
}

void *
p2p_vault_new(size_t len)
{
    unsigned kind = 0;
    struct head *head = NULL;
    const char *remark;

    if (IS_CHECKED || len > BLOCK_MAX - sizeof(*head))
        return calloc(1, len);
    while (size_of_kind(kind) < len + sizeof(*head))
        kind++;
    p2p_lock(&vault.lock);
    head = take(kind);
    remark = new_remark(head == NULL);
    p2p_unlock(&vault.lock);
    if (remark[0] != '\0')
        p2p_log_debug("%s", remark);
    return head != NULL ? (void *)(head + 1) : calloc(1, len);
}

bool
p2p_vault_holds(const void *at)
{
    uintptr_t base = (uintptr_t)atomic_load_explicit(&vault.base, memory_order_acquire);

    return base != 0 && (uintptr_t)at - base < RESERVE;
}

size_t
p2p_vault_capacity(void *block)
{
    if (!p2p_vault_holds(block))
        return malloc_usable_size(block);
    return size_of_kind(((struct head *)block)[-1].kind) - sizeof(struct head);
}

void
p2p_vault_free(void *block)
{
    struct head *head;

    if (block == NULL)
        return;
    explicit_bzero(block, p2p_vault_capacity(block));
    if (!p2p_vault_holds(block)) {
        free(block);
        return;
    }
    head = (struct head *)block - 1;
    p2p_lock(&vault.lock);
    head->next = vault.free[head->kind];
    vault.free[head->kind] = head;
    p2p_unlock(&vault.lock);
}

struct p2p_vault_state
p2p_vault_look(void)
{
    struct p2p_vault_state state;

    p2p_lock(&vault.lock);
    state = (struct p2p_vault_state){vault.size, vault.locked};
    p2p_unlock(&vault.lock);
    return state;
}
