/*
 * news - what registries with one Redis tell each other about meetings: who reads a
 * box or does not any longer, a message in it, and whether a peer can be reached. Bytes
 * only. Trust boundary: meet_news_parse reads what another version of this program, or
 * somebody with the password of Redis, has written.
 *
 * open     1 || box || source[16]
 * message  2 || box || source[16] || u64 number || text
 * reached  3 || peer[32] || u8 1 yes, 0 no || u16 port || u8 length || IP
 * drop     4 || box || source[16]
 * link     5 || box || source[16]     (open, for the box of a link)
 * box    = u8 1 of a peer, 0 for answers || id[32]
 */
#ifndef P2P_DISCOVERY_NEWS_H
#define P2P_DISCOVERY_NEWS_H

#include "discovery/meet/trials.h"

enum meet_news_type {
    MEET_OPEN = 1,
    MEET_MESSAGE,
    MEET_REACHED,
    MEET_DROP,
    MEET_OPEN_LINK
};

struct meet_news {
    enum meet_news_type type;
    struct box_id box;
    struct box_source source;
    uint64_t number;  /* of the message */
    const char *text; /* of the message; borrowed */
    size_t len;
    struct p2p_id peer;
    struct p2p_addr addr;
    bool is_reached;
};

#define MEET_NEWS_MAX (1 + 33 + 16 + 8 + BOXES_MESSAGE_MAX)
/* Writes them. Returns the length; 0: the text is too long. */
size_t meet_news_format(const struct meet_news *news, uint8_t out[MEET_NEWS_MAX]);
/* MALFORMED, also for types of later versions. */
P2P_MUST_CHECK enum p2p_err meet_news_parse(const uint8_t *bytes, size_t len,
                                            struct meet_news *out);

#endif
