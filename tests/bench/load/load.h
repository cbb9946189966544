/*
 * What the programs that load p2p-discovery share: people and files made of numbers, so
 * that two runs meet the same ones, a little HTTP, and times.
 */
#ifndef P2P_BENCH_LOAD_H
#define P2P_BENCH_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "p2p/crypto.h"

_Noreturn void die(const char *what);
double now_s(void);
void sleep_until(double when_s);

/* ---- names and peers ---- */

#define NAME_SIZE 96

uint64_t next_random(uint64_t *state);
/* "word word word 123.ext", 20 to 40 bytes. */
void make_name(uint64_t n, char out[NAME_SIZE]);
/* A random number that passes for an RSA-2048 modulus: making 100,000 real ones would
 * take hours. */
void make_key(uint64_t peer, struct p2p_spki *key);
void make_id(uint64_t peer, char hex[65]);

/* ---- HTTP, as little as is needed ---- */

#define ANSWER_MAX (16u * 1024 * 1024)

int dial(unsigned port);
void send_all(int fd, const char *data, size_t len);
/* Sends a GET without a body. */
void ask(int fd, const char *path);
/* Reads one answer with its head, ends it with a NUL; returns its status. */
int receive(int fd, char *buffer);

/* ---- registrations ---- */

#define BODY_MAX (64u * 1024)

/* A peer with `files` of `names` files, a tenth of which change with the version; half
 * of all are common ones. `out` has BODY_MAX bytes; returns the length. */
size_t make_body(uint64_t peer, unsigned files, uint64_t names, unsigned version,
                 char *out);
void post_registration(int fd, const char *body, size_t len, char *answer);

/* ---- times ---- */

struct samples {
    double *at; /* seconds */
    size_t count, cap;
};

void samples_add(struct samples *s, double value);
/* Moves all of `from` over. */
void samples_take(struct samples *s, struct samples *from);
/* "queries=N p50_ms=.. p90_ms=.. p99_ms=.. max_ms=..", frees them. */
void samples_print(struct samples *s);

#endif
