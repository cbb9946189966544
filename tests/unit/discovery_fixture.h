/* discovery_fixture.h - a client of the registry, pointed at fake ones. */
#ifndef TESTS_UNIT_DISCOVERY_FIXTURE_H
#define TESTS_UNIT_DISCOVERY_FIXTURE_H

#include <string.h>

#include "fake_registry.h"
#include "p2p/discovery.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

#define PEER(id, ip, port) "{\"peer_id\":" id ",\"ip\":" ip ",\"port\":" port "}"

/* Answers every request with the text in fake->arg. */
static inline char *
answer_text(struct fake_registry *fake, const struct fake_request *request, int *status)
{
    (void)request;
    (void)status;
    return strdup(fake->arg);
}

static inline struct p2p_discovery *
open_at(const char *const *urls, size_t count, uint64_t timeout_ms)
{
    struct p2p_discovery *d;

    assert_int_equal(p2p_discovery_open(urls, count, timeout_ms, &d), P2P_OK);
    return d;
}

static inline struct p2p_discovery *
open_one(const struct fake_registry *fake)
{
    const char *url = fake->url;

    return open_at(&url, 1, 5000);
}

#endif
