/*
 * inbox - what other devices would like to send to this one (OFFER, docs/PROTOCOL.md).
 * An offer is one row of bounded size until a person, or a rule for its sender, accepts
 * it; nothing is downloaded before. Rows are kept in `inbox.db` in the keys directory
 * (0600), so that they survive restarts.
 *
 * Limits: waiting offers in total, for each sender, and for all strangers together;
 * bytes of one offer and of all; new offers of strangers per minute. An offer that has
 * ended is remembered for some time, so that its sender learns how it ended.
 *
 * Thread-safe. A new offer writes one row, without waiting for the disk.
 */
#ifndef PEER_INBOX_H
#define PEER_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/about.h"
#include "p2p/crypto.h"
#include "p2p/err.h"
#include "p2p/msg.h"

#define INBOX_FILE           "inbox.db"
#define INBOX_WAITING_MAX    100
#define INBOX_PER_SENDER_MAX 10
#define INBOX_STRANGERS_MAX  10 /* waiting offers of all strangers together */
#define INBOX_ENDED_MAX      100
#define INBOX_BYTES_MAX      (16u * 1024 * 1024) /* of all rows */
#define INBOX_OFFER_BYTES    (2u * 1024 * 1024)  /* of one */
#define INBOX_STRANGER_BYTES \
    (256u * 1024)              /* size limit of one offer of an unknown peer */
#define INBOX_STRANGER_RATE 30 /* new offers a minute */
#define INBOX_PARTS_MAX     8  /* offers whose records arrive */
#define INBOX_KEEP_MAX_S    (30u * 24 * 3600)

enum inbox_from { INBOX_FROM_ALL, INBOX_FROM_KNOWN, INBOX_FROM_NONE };

struct inbox; /* *returned owned*, free with inbox_close */

/* `keys_dir` NULL: nothing is kept on disk. A damaged file is replaced. */
P2P_MUST_CHECK enum p2p_err inbox_open(const char *keys_dir, enum inbox_from from,
                                       struct inbox **out);
void inbox_close(struct inbox *box); /* NULL is fine */

struct inbox_sender {
    struct p2p_id id;
    const char *name; /* as it says; may be "" */
    bool is_known;    /* the user trusts it, or has downloaded from it */
};
/* Takes one record of an offer. MALFORMED: a name, a text or a number that cannot be.
 * Otherwise `*state` is the answer. */
P2P_MUST_CHECK enum p2p_err inbox_take(struct inbox *box,
                                       const struct inbox_sender *sender,
                                       const struct p2p_msg_offer *record,
                                       enum p2p_offer_state *state);

/* One offer, without its items and its text. */
struct inbox_row {
    uint8_t id[P2P_OFFER_ID_LEN];
    struct p2p_id peer;
    char name[P2P_ABOUT_NAME_MAX + 1];
    enum p2p_offer_state state;
    bool is_taken; /* accepted, and somebody has begun to download it */
    uint32_t count;
    uint64_t size, received_s, expires_s;
};
/* All offers, the newest first; *returns owned* array of `*count`, free(). */
P2P_MUST_CHECK enum p2p_err inbox_list(struct inbox *box, struct inbox_row **rows,
                                       size_t *count);
/* Counts the changes: with the same number, the list is the same. */
uint64_t inbox_changes(struct inbox *box);
/* The items of one offer, from number `first`, at most `max`; and its text (owned, may
 * be NULL). `visit` runs under the lock and must not call the inbox. NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err
inbox_items(struct inbox *box, const uint8_t id[P2P_OFFER_ID_LEN], uint32_t first,
            uint32_t max, void (*visit)(void *arg, const struct p2p_offer_item *),
            void *arg, char **text);
/* The user's decision: ACCEPTED or DECLINED. Declining an offer that was accepted is
 * too late (USAGE). NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err inbox_answer(struct inbox *box,
                                         const uint8_t id[P2P_OFFER_ID_LEN],
                                         enum p2p_offer_state state);
/* Claims an accepted offer, so that only one program downloads it. EXISTS: another one
 * has it. NOT_FOUND, USAGE (it was not accepted). */
P2P_MUST_CHECK enum p2p_err inbox_claim(struct inbox *box,
                                        const uint8_t id[P2P_OFFER_ID_LEN]);
/* From now on, offers of this device are accepted without a question, or no longer. */
P2P_MUST_CHECK enum p2p_err inbox_set_always(struct inbox *box,
                                             const struct p2p_id *peer, bool always);
/* Whether there is such a rule. */
bool inbox_is_always(struct inbox *box, const struct p2p_id *peer);

#endif
