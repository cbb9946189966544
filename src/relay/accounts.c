#include "relay/accounts.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/siphash.h"

enum { BUCKETS = 4096, DAY_S = 86400, KIND_PEER = 1, KIND_V4 = 2, KIND_V6 = 3 };

struct account {
    struct account *next;
    struct account_key key;
    unsigned sessions;
    uint64_t day, bytes; /* of this day */
};

struct accounts {
    struct accounts_limits limits;
    uint64_t seed[2];
    uint64_t day, bytes; /* of all */
    size_t count;
    struct account *buckets[BUCKETS];
};

struct account_key
account_key_of_peer(const struct p2p_id *id)
{
    struct account_key key = {{KIND_PEER}};

    memcpy(key.b + 1, id->b, sizeof(id->b));
    return key;
}

struct account_key
account_key_of_source(const struct sockaddr *from)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)from;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)from;
    struct account_key key = {{0}};

    if (from->sa_family == AF_INET) {
        key.b[0] = KIND_V4;
        memcpy(key.b + 1, &v4->sin_addr, 4);
    } else if (from->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        key.b[0] = KIND_V4;
        memcpy(key.b + 1, v6->sin6_addr.s6_addr + 12, 4);
    } else if (from->sa_family == AF_INET6) {
        key.b[0] = KIND_V6;
        memcpy(key.b + 1, v6->sin6_addr.s6_addr, 8);
    }
    return key;
}

enum p2p_err
accounts_new(const struct accounts_limits *limits, struct accounts **out)
{
    struct accounts *a = calloc(1, sizeof(*a));
    enum p2p_err err;

    *out = NULL;
    if (a == NULL)
        return P2P_ERR_NOMEM;
    a->limits = *limits;
    if ((err = p2p_random(a->seed, sizeof(a->seed))) != P2P_OK) {
        free(a);
        return err;
    }
    *out = a;
    return P2P_OK;
}

void
accounts_free(struct accounts *a)
{
    if (a == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (a->buckets[i] != NULL) {
            struct account *gone = a->buckets[i];
            a->buckets[i] = gone->next;
            free(gone);
        }
    free(a);
}

void
accounts_set_limits(struct accounts *a, const struct accounts_limits *limits)
{
    a->limits = *limits;
}

size_t
accounts_count(const struct accounts *a)
{
    return a->count;
}

/* Forgets the accounts that nobody uses and that were not used today. */
static void
tidy(struct accounts *a, uint64_t day)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct account **link = &a->buckets[i];
        while (*link != NULL) {
            struct account *account = *link;
            if (account->sessions > 0 || (account->day == day && account->bytes > 0)) {
                link = &account->next;
                continue;
            }
            *link = account->next;
            free(account);
            a->count--;
        }
    }
}

static struct account *
find_or_make(struct accounts *a, const struct account_key *key, uint64_t day)
{
    struct account **bucket =
        &a->buckets[p2p_siphash13(a->seed, key->b, sizeof(key->b)) % BUCKETS];
    struct account *found = *bucket;

    while (found != NULL && memcmp(found->key.b, key->b, sizeof(key->b)) != 0)
        found = found->next;
    if (found != NULL)
        return found;
    if (a->count >= a->limits.max)
        tidy(a, day);
    if (a->count >= a->limits.max || (found = calloc(1, sizeof(*found))) == NULL)
        return NULL;
    found->key = *key;
    found->next = *bucket;
    *bucket = found;
    a->count++;
    return found;
}

static uint64_t
factor_of(const struct account *account)
{
    return account->key.b[0] == KIND_PEER ? 1 : ACCOUNTS_PER_SOURCE;
}

static void
begin_day(struct accounts *a, struct account *account, uint64_t day)
{
    if (a->day != day)
        a->bytes = 0;
    a->day = day;
    if (account->day != day)
        account->bytes = 0;
    account->day = day;
}

static bool
has_quota(const struct accounts *a, const struct account *account)
{
    uint64_t own = a->limits.quota_per_peer, all = a->limits.quota_in_total;

    return (own == 0 || account->bytes / factor_of(account) < own) &&
           (all == 0 || a->bytes < all);
}

static enum accounts_verdict
judge(const struct accounts *a, const struct account *account)
{
    if (account->sessions >= a->limits.sessions_per_peer * factor_of(account))
        return ACCOUNTS_BUSY;
    return has_quota(a, account) ? ACCOUNTS_YES : ACCOUNTS_QUOTA;
}

static bool
is_on(const struct accounts_bill *bill, const struct account *account)
{
    for (size_t i = 0; i < ACCOUNTS_OF_SESSION; i++)
        if (bill->at[i] == account)
            return true;
    return false;
}

enum accounts_verdict
accounts_open(struct accounts *a, const struct account_key keys[ACCOUNTS_OF_SESSION],
              uint64_t now_s, struct accounts_bill *bill)
{
    enum accounts_verdict verdict = ACCOUNTS_YES;
    uint64_t day = now_s / DAY_S;

    memset(bill, 0, sizeof(*bill));
    for (size_t i = 0; i < ACCOUNTS_OF_SESSION && verdict == ACCOUNTS_YES; i++) {
        struct account *account = find_or_make(a, &keys[i], day);
        if (account == NULL) {
            verdict = ACCOUNTS_FULL;
        } else if (!is_on(bill, account)) {
            begin_day(a, account, day);
            if ((verdict = judge(a, account)) != ACCOUNTS_YES)
                break;
            account->sessions++; /* also so that it is not forgotten meanwhile */
            bill->at[i] = account;
        }
    }
    if (verdict != ACCOUNTS_YES)
        accounts_close(a, bill);
    return verdict;
}

bool
accounts_charge(struct accounts *a, const struct accounts_bill *bill, uint64_t bytes,
                uint64_t now_s)
{
    bool is_within = true;
    bool is_counted = false;

    for (size_t i = 0; i < ACCOUNTS_OF_SESSION; i++) {
        struct account *account = bill->at[i];
        if (account == NULL)
            continue;
        begin_day(a, account, now_s / DAY_S);
        account->bytes += bytes;
        a->bytes += is_counted ? 0 : bytes;
        is_counted = true;
        is_within = has_quota(a, account) && is_within;
    }
    return is_within;
}

void
accounts_close(struct accounts *a, struct accounts_bill *bill)
{
    (void)a;
    for (size_t i = 0; i < ACCOUNTS_OF_SESSION; i++)
        if (bill->at[i] != NULL)
            bill->at[i]->sessions--;
    memset(bill, 0, sizeof(*bill));
}
