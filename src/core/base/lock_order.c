#include "core/base/lock_order.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KINDS_MAX = 256, HELD_MAX = 16 };

/* Kinds are numbers from 1. names[] and before[] only grow, under the lock; before[] is
 * read without it for orders that are known already. */
static pthread_mutex_t lock_of_order = PTHREAD_MUTEX_INITIALIZER;
static const char *names[KINDS_MAX];
static unsigned count = 1;
static atomic_bool before[KINDS_MAX][KINDS_MAX];

static _Thread_local struct {
    const void *lock;
    unsigned kind;
} held[HELD_MAX];
static _Thread_local size_t held_count;

/* ---- kinds ---- */

static unsigned
find_kind(const char *kind)
{
    unsigned i = 1;

    pthread_mutex_lock(&lock_of_order);
    while (i < count && strcmp(names[i], kind) != 0)
        i++;
    if (i == KINDS_MAX) {
        fprintf(stderr, "lock order: more than %d kinds of locks\n", KINDS_MAX - 1);
        abort();
    }
    if (i == count)
        names[count++] = kind;
    pthread_mutex_unlock(&lock_of_order);
    return i;
}

static unsigned
kind_of(const char *kind, p2p_lock_order_id *id)
{
    unsigned known = atomic_load(id);

    if (known == 0) {
        known = find_kind(kind);
        atomic_store(id, known);
    }
    return known;
}

/* ---- the order ---- */

/* Under the lock: whether some kinds were taken in the order `from`, ..., `to`. */
static bool
leads_to(unsigned from, unsigned to, bool *seen)
{
    if (from == to)
        return true;
    seen[from] = true;
    for (unsigned next = 1; next < count; next++)
        if (atomic_load(&before[from][next]) && !seen[next] && leads_to(next, to, seen))
            return true;
    return false;
}

static void
complain(unsigned first, unsigned second)
{
    fprintf(stderr,
            first == second
                ? "lock order: a thread takes a second %s while it holds one: %s\n"
                : "lock order: a thread takes %s while it holds %s, and the other "
                  "order was seen before\n",
            names[second], names[first]);
    abort();
}

static void
note_order(unsigned first, unsigned second)
{
    bool seen[KINDS_MAX] = {false};

    if (atomic_load(&before[first][second]))
        return;
    pthread_mutex_lock(&lock_of_order);
    if (leads_to(second, first, seen))
        complain(first, second);
    atomic_store(&before[first][second], true);
    pthread_mutex_unlock(&lock_of_order);
}

static void
hold(const void *lock, unsigned kind)
{
    if (held_count == HELD_MAX) {
        fprintf(stderr, "lock order: a thread holds more than %d locks\n", HELD_MAX);
        abort();
    }
    held[held_count].lock = lock;
    held[held_count++].kind = kind;
}

void
p2p_lock_order_take(const void *lock, const char *kind, p2p_lock_order_id *id)
{
    unsigned number = kind_of(kind, id);

    for (size_t i = 0; i < held_count; i++)
        note_order(held[i].kind, number);
    hold(lock, number);
}

void
p2p_lock_order_took(const void *lock, const char *kind, p2p_lock_order_id *id)
{
    hold(lock, kind_of(kind, id));
}

void
p2p_lock_order_release(const void *lock)
{
    size_t i = held_count;

    while (i > 0 && held[i - 1].lock != lock)
        i--;
    if (i == 0)
        return;
    memmove(&held[i - 1], &held[i], (held_count - i) * sizeof(held[0]));
    held_count--;
}
