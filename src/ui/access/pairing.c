#include "ui/access/pairing.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "p2p/crypto.h"
#include "p2p/lock.h"

void
ui_pairing_init(struct ui_pairing *p)
{
    memset(p, 0, sizeof(*p));
    p2p_mutex_init(&p->lock);
}

void
ui_pairing_clear(struct ui_pairing *p)
{
    p2p_wipe(p->code, sizeof(p->code));
    p2p_mutex_clear(&p->lock);
}

/* Six digits without bias: numbers beyond the last whole million are drawn again. */
static enum p2p_err
draw_six(char code[UI_CODE_SHORT + 1])
{
    uint32_t value;

    do {
        enum p2p_err err = p2p_random(&value, sizeof(value));
        if (err != P2P_OK)
            return err;
    } while (value >= 4294000000u);
    snprintf(code, UI_CODE_SHORT + 1, "%06u", (unsigned)(value % 1000000));
    return P2P_OK;
}

static enum p2p_err
draw(char code[UI_CODE_LEN + 1], bool is_long)
{
    enum p2p_err err = draw_six(code);

    if (err == P2P_OK && is_long)
        err = draw_six(code + UI_CODE_SHORT);
    return err;
}

enum p2p_err
ui_pairing_renew(struct ui_pairing *p, uint64_t now_s, char code[UI_CODE_LEN + 1],
                 uint64_t *left_s)
{
    enum p2p_err err;

    *left_s = 0;
    p2p_lock(&p->lock);
    err = draw(code, now_s < p->alarm_until_s);
    if (err == P2P_OK) {
        memcpy(p->code, code, sizeof(p->code));
        p->expires_s = now_s + UI_CODE_LIFE_S;
        *left_s = UI_CODE_LIFE_S;
    }
    p2p_unlock(&p->lock);
    return err;
}

static bool
has_code(const struct ui_pairing *p, uint64_t now_s) P2P_REQUIRES(ui_pairing_lock)
{
    return p->code[0] != '\0' && now_s < p->expires_s;
}

bool
ui_pairing_current(struct ui_pairing *p, uint64_t now_s, char code[UI_CODE_LEN + 1],
                   uint64_t *left_s)
{
    bool valid;

    p2p_lock(&p->lock);
    valid = has_code(p, now_s);
    memcpy(code, p->code, sizeof(p->code));
    *left_s = valid ? p->expires_s - now_s : 0;
    p2p_unlock(&p->lock);
    return valid;
}

/* A household has one /64 and can use any number of addresses in it. */
static void
network_of(const char *address, char out[UI_PAIR_ADDRESS_TEXT])
{
    struct in6_addr raw;

    snprintf(out, UI_PAIR_ADDRESS_TEXT, "%s", address);
    if (inet_pton(AF_INET6, address, &raw) != 1)
        return;
    memset(raw.s6_addr + 8, 0, 8);
    inet_ntop(AF_INET6, &raw, out, UI_PAIR_ADDRESS_TEXT);
}

/*
 * Finds the row of an address. A new address replaces one that has expired, or the one
 * with the fewest wrong tries (so that locked-out addresses stay longest).
 */
static size_t
row_of(struct ui_pairing *p, const char *network, uint64_t now_s)
    P2P_REQUIRES(ui_pairing_lock)
{
    size_t best = 0;

    for (size_t i = 0; i < UI_PAIR_ADDRESSES; i++) {
        if (p->seen[i].until_s <= now_s)
            p->seen[i].wrong = 0;
        else if (strcmp(p->seen[i].address, network) == 0)
            return i;
        if (p->seen[i].wrong < p->seen[best].wrong)
            best = i;
    }
    snprintf(p->seen[best].address, sizeof(p->seen[best].address), "%s", network);
    p->seen[best].wrong = 0;
    p->seen[best].until_s = now_s + UI_PAIR_LOCKOUT_S;
    return best;
}

static bool
is_right(const struct ui_pairing *p, uint64_t now_s, const char *code)
    P2P_REQUIRES(ui_pairing_lock)
{
    size_t len = strlen(code);

    return has_code(p, now_s) && len == strlen(p->code) &&
           p2p_equal_ct(p->code, code, len);
}

static bool
is_long(const struct ui_pairing *p, uint64_t now_s) P2P_REQUIRES(ui_pairing_lock)
{
    return has_code(p, now_s) && p->code[UI_CODE_SHORT] != '\0';
}

/* Replaces a short code that may be guessed, with a new lifetime. */
static void
raise_alarm(struct ui_pairing *p, uint64_t now_s) P2P_REQUIRES(ui_pairing_lock)
{
    bool had_code = has_code(p, now_s);

    p->alarm_until_s = now_s + UI_CODE_ALARM_S;
    p->tries = 0;
    p2p_wipe(p->code, sizeof(p->code));
    if (!had_code)
        return;
    if (draw(p->code, true) != P2P_OK)
        p2p_wipe(p->code, sizeof(p->code));
    p->expires_s = now_s + UI_CODE_LIFE_S;
}

/* True if there were enough wrong codes for an alarm. During an alarm, a wrong code
 * counts only for its address. */
static bool
count_wrong(struct ui_pairing *p, size_t row, uint64_t now_s)
    P2P_REQUIRES(ui_pairing_lock)
{
    p->seen[row].wrong++;
    p->seen[row].until_s = now_s + UI_PAIR_LOCKOUT_S;
    if (now_s < p->alarm_until_s)
        return false;
    if (now_s >= p->tries_until_s) {
        p->tries = 0;
        p->tries_until_s = now_s + UI_CODE_TRIES_S;
    }
    return ++p->tries >= UI_CODE_TRIES || p->seen[row].wrong >= UI_PAIR_TRIES;
}

static enum p2p_err
refuse(struct ui_pairing *p, size_t row, uint64_t now_s, size_t len,
       struct ui_pairing_answer *answer) P2P_REQUIRES(ui_pairing_lock)
{
    answer->is_long = is_long(p, now_s);
    /* Six digits cannot be right during an alarm: the user has not seen the new code
     * yet, or has typed half of it. */
    if (answer->is_long && len == UI_CODE_SHORT)
        return P2P_ERR_NOT_ALLOWED;
    if (p->seen[row].wrong >= UI_PAIR_TRIES) {
        answer->retry_s = (unsigned)(p->seen[row].until_s - now_s);
        return P2P_ERR_RATE_LIMITED;
    }
    if (count_wrong(p, row, now_s)) {
        raise_alarm(p, now_s);
        answer->is_alarm_raised = true;
        answer->is_long = is_long(p, now_s);
    }
    return P2P_ERR_NOT_ALLOWED;
}

enum p2p_err
ui_pairing_try(struct ui_pairing *p, uint64_t now_s, const char *address,
               const char *code, struct ui_pairing_answer *answer)
{
    char network[UI_PAIR_ADDRESS_TEXT];
    enum p2p_err err = P2P_OK;
    size_t row;

    *answer = (struct ui_pairing_answer){0};
    network_of(address, network);
    p2p_lock(&p->lock);
    row = row_of(p, network, now_s);
    if (is_right(p, now_s, code) &&
        (p->seen[row].wrong < UI_PAIR_TRIES || is_long(p, now_s))) {
        p2p_wipe(p->code, sizeof(p->code));
        p->seen[row].until_s = 0;
    } else
        err = refuse(p, row, now_s, strlen(code), answer);
    p2p_unlock(&p->lock);
    return err;
}
