/*
 * boxes - where peers leave messages for each other: a peer's own box, which exists
 * while the peer reads it, and boxes for answers, which exist for a minute after
 * somebody asked for one with a number that nobody can guess, or until that reader
 * drops them; those of codes (codes.h) exist while they are read, for a day at most,
 * and those of links while they are read.
 * Knows neither HTTP nor signatures. Every message, box and byte is bounded: per box,
 * per source, in total. When a box is full, a message that was read makes room first,
 * then the oldest one of the source that has most in it. Safe from any thread. Times
 * are p2p_now_ms.
 */
#ifndef P2P_HTTP_BOXES_H
#define P2P_HTTP_BOXES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

struct boxes; /* *returned owned*, free with boxes_free */

enum {
    BOXES_MESSAGE_MAX = 8 * 1024,
    BOXES_IN_PEERS_BOX = 32,
    BOXES_IN_ANSWER_BOX = 4,
    BOXES_MESSAGE_MS = 60 * 1000,
    BOXES_READER_MS = 120 * 1000, /* a peer that has not read for so long has no box */
    BOXES_ANSWER_MS = 60 * 1000,
    BOXES_ANSWERS_PER_SOURCE = 16,
    BOXES_LINKS_PER_SOURCE = 64, /* a few devices behind one router */
    BOXES_TELL_MS = 40 * 1000,   /* other registries hear of a reader this often */
    BOXES_CODE_MS = 24 * 3600 * 1000,
};

struct boxes_limits {
    size_t max_boxes;
    size_t max_bytes, max_bytes_per_source; /* of messages that wait */
};

/* A peer id, or a number of 16 bytes with zeros behind it. */
struct box_id {
    uint8_t b[32];
    bool is_peer;
};
/* An address in the form of http/source/address.h, IPv6 as its /64. */
struct box_source {
    uint8_t b[16];
};

enum box_result {
    BOX_OK,
    BOX_NONE,    /* nobody reads there */
    BOX_FULL,    /* no message in it may make room, or no memory is left */
    BOX_CROWDED, /* this source has too many boxes or too much in them */
};

/* Copies the limits; *returns owned*, free with boxes_free. */
P2P_MUST_CHECK enum p2p_err boxes_new(const struct boxes_limits *limits,
                                      struct boxes **out);
/* NULL is fine. */
void boxes_free(struct boxes *b);

/* Somebody reads: the box exists from now on, for some time. The caller has checked
 * that it may. */
enum box_result boxes_attend(struct boxes *b, const struct box_id *id,
                             const struct box_source *source, uint64_t now_ms);
/* The same for the box of a link, not of a peer: reading keeps it. NONE: it is of a
 * code. */
enum box_result boxes_attend_link(struct boxes *b, const struct box_id *id,
                                  const struct box_source *source, uint64_t now_ms);
/* Does somebody read this box, as that of a link? */
bool boxes_has_link(struct boxes *b, const struct box_id *id, uint64_t now_ms);
/* True if other registries are to hear now that this box is read. The next time is
 * later. */
bool boxes_is_news(struct boxes *b, const struct box_id *id, uint64_t now_ms);
/* Makes the box of a code: whoever knows its number keeps it alive by reading. Counts
 * as one for answers. */
enum box_result boxes_make_for_code(struct boxes *b, const struct box_id *id,
                                    const struct box_source *source, uint64_t now_ms);
/* Removes a box for answers, with what is in it: its reader has ended. NONE: there is
 * none, or it is of another kind. */
enum box_result boxes_drop(struct boxes *b, const struct box_id *id, uint64_t now_ms);
/* Is there such a box? */
bool boxes_has(struct boxes *b, const struct box_id *id, uint64_t now_ms);
/* Appends a copy of the message. Numbers rise; `*number` asks for one that is at least
 * so high, and becomes that of the message. */
enum box_result boxes_post(struct boxes *b, const struct box_id *id,
                           const struct box_source *source, const char *text,
                           size_t len, uint64_t now_ms, uint64_t *number);
/*
 * Visits the messages behind number `after`, the oldest first; `*next` is what to ask
 * for next time. Those up to `after` count as read. The text is borrowed for the call,
 * which must be quick. A number that was never given counts as 0: the registry was
 * restarted.
 */
typedef void boxes_visit(void *arg, uint64_t number, const char *text, size_t len);
/* Visits the messages of a box with higher numbers than `after`, which counts as read.
 * `*next` is the last number. */
enum box_result boxes_read(struct boxes *b, const struct box_id *id, uint64_t after,
                           uint64_t now_ms, boxes_visit *visit, void *arg,
                           uint64_t *next);

struct boxes_stats {
    uint64_t boxes, messages, bytes; /* now */
    uint64_t posted;                 /* since the start */
};
/* From any thread. */
void boxes_stats(struct boxes *b, struct boxes_stats *out);

#endif
