/*
 * links - the links that this peer answers, and what their guests may still have:
 * until when, how often, how many bytes, with which PIN. Which files a guest sees is
 * not decided here: those of an offer (offers.h), or of a grant (p2p/access.h). A use
 * is one guest that downloads something; the same guest may come again. Thread-safe;
 * questions wait for nothing but the lock.
 */
#ifndef PEER_LINKS_H
#define PEER_LINKS_H

#include "p2p/guests.h"
#include "p2p/links.h"

struct links; /* *returned owned*, free with links_free */

#define LINKS_MAX       P2P_LINKS_MAX
#define LINKS_TITLE_MAX P2P_LINKS_TITLE_MAX
#define LINKS_WRONG_MAX 5 /* PINs, then no more are taken for a while */
#define LINKS_LOCKED_MS (15 * 60 * 1000)
#define LINKS_NO_LIMIT  P2P_LINKS_NO_LIMIT

#define LINKS_NEAR_MAX 64

#define LINKS_TABLE (1ull << 32)

struct links_options {
    struct p2p_id peer;        /* told to guests */
    const struct p2p_rsa *key; /* as in p2p_guests_options; borrowed until links_free */
    /* As p2p_guests_options.on_guest. */
    void (*on_guest)(void *arg, int fd, const struct p2p_id *link,
                     const struct p2p_guest_id *guest);
    /* Is there still an offer with this number? NULL: there always is. */
    bool (*has_offer)(void *arg, uint32_t number);
    void *arg;
};

/* What a link is made of; copied. */
struct links_entry {
    /* The number of the offer that it belongs to; LINKS_TABLE and more: of the row. */
    uint64_t owner;
    struct p2p_link_keys keys;
    char title[LINKS_TITLE_MAX + 1];
    uint64_t expires_s;             /* by the time of day */
    uint64_t uses_left, bytes_left; /* or LINKS_NO_LIMIT */
    bool has_pin;
    struct p2p_link_pin pin;
    /* Where guests are met beside the registries: the URL of this machine's p2p-ui.
     * Empty: nowhere. */
    char near[LINKS_NEAR_MAX];
};

/* Without links; *returns owned*. NOMEM. */
P2P_MUST_CHECK enum p2p_err links_new(const struct links_options *opt,
                                      struct links **out);
/* From now on links can be answered. Borrows `discovery` until links_halt; NULL: there
 * is no registry. */
void links_begin(struct links *l, struct p2p_discovery *discovery);
/* Meets no more guests. NULL is fine, here and for free. */
void links_halt(struct links *l);
/* After links_halt. */
void links_free(struct links *l);

/* Answers one more link. TOO_LARGE: there are too many; UNSUPPORTED: without a registry
 * no guest finds it; EXISTS. */
P2P_MUST_CHECK enum p2p_err links_add(struct links *l, const struct links_entry *entry);
/* Removes the links of this owner; true if there was one. Waits until nobody is being
 * met. The guests that are connected are the server's business. */
bool links_remove(struct links *l, uint64_t owner);
/* Removes those that have expired, and those of offers that have ended; true if there
 * was one. */
bool links_sweep(struct links *l);

/* Answers the links of the table (p2p/links.h), and no longer those that are gone from
 * it; true if one was. After an error, those that are answered stay. Does file I/O. */
bool links_follow(struct links *l, const char *keys_dir);
/* Stores in the table how much of each link was used. Does file I/O. */
void links_store(struct links *l, const char *keys_dir);

struct links_counts {
    uint64_t uses; /* guests that have downloaded something */
    uint64_t done; /* of these, those that said that they have everything */
};
/* Of all links of this owner; false: it has none. */
bool links_count(struct links *l, uint64_t owner, struct links_counts *out);

/* ---- What the server asks, about the link with this id; NULL links have none ---- */

/* Copies what guests may know of it; false: it is not there, or has expired. */
bool links_find(struct links *l, const struct p2p_id *link, struct links_entry *out);
/* OK; AUTH: it is wrong; RATE_LIMITED: too many were; NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err links_check_pin(struct links *l, const struct p2p_id *link,
                                            const struct p2p_link_pin *pin);
/* A guest wants to download. NOT_ALLOWED: the link is used up. */
P2P_MUST_CHECK enum p2p_err links_use(struct links *l, const struct p2p_id *link,
                                      const struct p2p_guest_id *guest);
/* So many bytes go to a guest. NOT_ALLOWED: there are not so many left. */
P2P_MUST_CHECK enum p2p_err links_spend(struct links *l, const struct p2p_id *link,
                                        uint64_t bytes);
/* The guest has everything that it wanted. */
void links_done(struct links *l, const struct p2p_id *link,
                const struct p2p_guest_id *guest);

#endif
