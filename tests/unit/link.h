/*
 * link - a simulated network between two ends, for machines that take the time as an
 * argument: one direction of a path with a delay, a rate, a queue, losses, duplicates
 * and packets out of order. Chance comes from a seed, so a run can be repeated.
 */
#ifndef TESTS_UNIT_LINK_H
#define TESTS_UNIT_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINK_PACKET_MAX = 1500, LINK_OVERHEAD = 65 }; /* DTLS, UDP, IP */

struct link_options {
    uint64_t delay_us;
    uint64_t rate;  /* bytes a second; 0: endless */
    size_t queue;   /* bytes that may wait; 0: endless */
    unsigned lost;  /* of 10,000 packets */
    unsigned twice; /* of 10,000 */
    unsigned late;  /* of 10,000: takes up to twice as long */
    size_t longest; /* packets that are longer are lost; 0: none */
};

struct link_packet {
    uint64_t at_us;
    struct link_packet *next;
    size_t len;
    uint8_t bytes[LINK_PACKET_MAX];
};

struct link {
    struct link_options opt;
    uint64_t chance;
    uint64_t free_us; /* when the line has sent what waits */
    struct link_packet *first, *last, *unused;
    size_t most_waiting; /* bytes in the queue, the most */
    size_t sent, dropped;
};

void link_init(struct link *l, const struct link_options *opt, uint64_t seed);
void link_clear(struct link *l);
void link_send(struct link *l, const uint8_t *data, size_t len, uint64_t now_us);
/* The packet that has arrived by now; its length, or 0. */
size_t link_receive(struct link *l, uint64_t now_us, uint8_t out[LINK_PACKET_MAX]);
/* When the next one arrives; UINT64_MAX: none is on the way. */
uint64_t link_due_us(const struct link *l);
/* A number below `below` from the seed. */
uint64_t link_chance(struct link *l, uint64_t below);

#endif
