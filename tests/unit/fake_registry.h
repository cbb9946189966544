/* A registry on loopback that answers as the test tells it to, and remembers the
 * requests. */
#ifndef FAKE_REGISTRY_H
#define FAKE_REGISTRY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct fake_request {
    char method[8];
    char *target;
    char *body; /* NUL-terminated */
};

struct fake_registry;
/* Fills in *status and returns the body of the answer, which the caller owns; NULL: no
 * answer. */
typedef char *fake_answer(struct fake_registry *fake,
                          const struct fake_request *request, int *status);

struct fake_registry {
    int listener;
    char url[64];
    fake_answer *answer;
    void *arg;
    const char *extra_header; /* one more header line of every answer, with CRLF */
    pthread_t thread;
    struct fake_request requests[256]; /* read them only while no request is running */
    size_t count;
};

void fake_start(struct fake_registry *fake, fake_answer *answer, void *arg);
/* Closes the port; requests stay readable until fake_clear. */
void fake_stop(struct fake_registry *fake);
void fake_clear(struct fake_registry *fake);

#endif
