/*
 * Token buckets by key (an address, a peer id) in a table of fixed size. When a set of
 * the table is full, its fullest bucket is dropped, because that forgives least. Safe
 * from any thread.
 */
#ifndef P2P_HTTP_RATELIMIT_H
#define P2P_HTTP_RATELIMIT_H

#include <stddef.h>
#include <stdint.h>

struct http_ratelimit;

/*
 * `per_second` tokens are added per second, up to `burst`. `slots` is rounded up to a
 * power of two. NULL: out of memory. Free accepts NULL.
 */
struct http_ratelimit *http_ratelimit_new(double per_second, double burst,
                                          size_t slots);
void http_ratelimit_free(struct http_ratelimit *t);

/* Takes `cost` tokens and returns 0, or returns the whole seconds (>= 1) until they are
 * available. */
unsigned http_ratelimit_take(struct http_ratelimit *t, const void *key, size_t key_len,
                             double cost, uint64_t now_ms);

/* Takes the cost of something that is done, if necessary as a debt of up to `burst`. */
void http_ratelimit_charge(struct http_ratelimit *t, const void *key, size_t key_len,
                           double cost, uint64_t now_ms);

/* The same for an address in text form: IPv4 counts as a /32, IPv6 as a /64. */
unsigned http_ratelimit_take_ip(struct http_ratelimit *t, const char *ip, double cost,
                                uint64_t now_ms);
void http_ratelimit_charge_ip(struct http_ratelimit *t, const char *ip, double cost,
                              uint64_t now_ms);

#endif
