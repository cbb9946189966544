/*
 * lock_order - finds locks that are taken in two orders, which could be a deadlock.
 *
 * Built into the programs of `make CC=clang SAN=...` only (p2p/lock.h calls it): the
 * functions of a kind of lock know its name there. Each thread notes which locks it
 * holds. The first time that a lock of kind B is taken while one of kind A is held, "A
 * before B" is kept for the life of the process. Taking them the other way round later,
 * also by way of third kinds, or two locks of one kind, prints both names and aborts,
 * although no thread had to wait. Thread-safe.
 */
#ifndef P2P_LOCK_ORDER_H
#define P2P_LOCK_ORDER_H

#include <stdatomic.h>

/* One for each kind and file; static, so zero at first. */
typedef _Atomic unsigned p2p_lock_order_id;

/* The thread is about to take this lock. */
void p2p_lock_order_take(const void *lock, const char *kind, p2p_lock_order_id *id);
/* It has taken the lock without waiting, which cannot be part of a deadlock. */
void p2p_lock_order_took(const void *lock, const char *kind, p2p_lock_order_id *id);
/* It is about to release the lock. */
void p2p_lock_order_release(const void *lock);

#endif
