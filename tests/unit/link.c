#include "link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SECOND_US = 1000000 };

void
link_init(struct link *l, const struct link_options *opt, uint64_t seed)
{
    memset(l, 0, sizeof(*l));
    l->opt = *opt;
    l->chance = seed * 2 + 1;
}

static void
free_list(struct link_packet *p)
{
    while (p != NULL) {
        struct link_packet *next = p->next;

        free(p);
        p = next;
    }
}

void
link_clear(struct link *l)
{
    free_list(l->first);
    free_list(l->unused);
    l->first = l->unused = NULL;
}

uint64_t
link_chance(struct link *l, uint64_t below)
{
    l->chance ^= l->chance << 13;
    l->chance ^= l->chance >> 7;
    l->chance ^= l->chance << 17;
    return (l->chance >> 11) % below;
}

static bool
happens(struct link *l, unsigned of_10000)
{
    return of_10000 > 0 && link_chance(l, 10000) < of_10000;
}

static void
insert(struct link *l, const uint8_t *data, size_t len, uint64_t at_us)
{
    struct link_packet *p = l->unused, **place = &l->first;

    if (p != NULL)
        l->unused = p->next;
    else
        p = malloc(sizeof(*p));
    assert_non_null(p);
    assert_in_range(len, 1, LINK_PACKET_MAX);
    memcpy(p->bytes, data, len);
    p->len = len;
    p->at_us = at_us;
    if (l->first != NULL && l->last->at_us <= at_us)
        place = &l->last->next;
    while (*place != NULL && (*place)->at_us <= at_us)
        place = &(*place)->next;
    p->next = *place;
    *place = p;
    if (p->next == NULL)
        l->last = p;
}

/* When the packet has left; 0: the queue is full. */
static uint64_t
pass_line(struct link *l, size_t len, uint64_t now_us)
{
    uint64_t begin = l->free_us > now_us ? l->free_us : now_us;
    size_t waiting;

    if (l->opt.rate == 0)
        return now_us;
    waiting = (size_t)((begin - now_us) * l->opt.rate / SECOND_US);
    if (l->opt.queue > 0 && waiting + len > l->opt.queue)
        return 0;
    if (waiting > l->most_waiting)
        l->most_waiting = waiting;
    l->free_us = begin + (uint64_t)len * SECOND_US / l->opt.rate;
    return l->free_us;
}

void
link_send(struct link *l, const uint8_t *data, size_t len, uint64_t now_us)
{
    uint64_t left_us = pass_line(l, len + LINK_OVERHEAD, now_us);

    l->sent++;
    if (left_us == 0 || happens(l, l->opt.lost) ||
        (l->opt.longest > 0 && len > l->opt.longest)) {
        l->dropped++;
        return;
    }
    left_us += l->opt.delay_us;
    if (happens(l, l->opt.late))
        left_us += link_chance(l, l->opt.delay_us + 1);
    insert(l, data, len, left_us);
    if (happens(l, l->opt.twice))
        insert(l, data, len, left_us + link_chance(l, l->opt.delay_us + 1));
}

size_t
link_receive(struct link *l, uint64_t now_us, uint8_t out[LINK_PACKET_MAX])
{
    struct link_packet *p = l->first;
    size_t len;

    if (p == NULL || p->at_us > now_us)
        return 0;
    l->first = p->next;
    p->next = l->unused;
    l->unused = p;
    len = p->len;
    memcpy(out, p->bytes, len);
    return len;
}

uint64_t
link_due_us(const struct link *l)
{
    return l->first != NULL ? l->first->at_us : UINT64_MAX;
}
