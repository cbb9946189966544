#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "load.h"

_Noreturn void
die(const char *what)
{
    fprintf(stderr, "load: %.300s\n", what);
    exit(1);
}

double
now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void
sleep_until(double when_s)
{
    struct timespec t = {.tv_sec = (time_t)when_s};

    t.tv_nsec = (long)((when_s - (double)t.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

static void
make_room(struct samples *s, size_t more)
{
    size_t cap = s->cap;

    while (cap - s->count < more)
        cap = cap * 2 + 1024;
    if (cap == s->cap)
        return;
    if ((s->at = realloc(s->at, cap * sizeof(*s->at))) == NULL)
        die("out of memory");
    s->cap = cap;
}

void
samples_add(struct samples *s, double value)
{
    make_room(s, 1);
    s->at[s->count++] = value;
}

void
samples_take(struct samples *s, struct samples *from)
{
    make_room(s, from->count);
    if (from->count > 0)
        memcpy(s->at + s->count, from->at, from->count * sizeof(*s->at));
    s->count += from->count;
    free(from->at);
    *from = (struct samples){0};
}

static int
compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

void
samples_print(struct samples *s)
{
    size_t n = s->count;

    if (n == 0)
        die("nothing was measured");
    qsort(s->at, n, sizeof(*s->at), compare_doubles);
    printf("queries=%zu p50_ms=%.3f p90_ms=%.3f p99_ms=%.3f max_ms=%.3f\n", n,
           s->at[n / 2] * 1e3, s->at[n * 9 / 10] * 1e3, s->at[n * 99 / 100] * 1e3,
           s->at[n - 1] * 1e3);
    free(s->at);
    *s = (struct samples){0};
}
