#include "core/keep/retention.h"

#include <string.h>

static bool
unit_of(char letter, uint64_t *seconds)
{
    static const struct {
        char letter;
        uint64_t seconds;
    } units[] = {{'s', 1},     {'m', 60},        {'h', 3600},
                 {'d', 86400}, {'w', 7 * 86400}, {'y', 365 * 86400}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (units[i].letter == letter) {
            *seconds = units[i].seconds;
            return true;
        }
    return false;
}

/* Reads a number and its unit; returns the place behind them, or NULL. */
static const char *
read_age(const char *text, uint64_t *out_s)
{
    uint64_t n = 0, unit;
    const char *p = text;

    for (; *p >= '0' && *p <= '9'; p++) {
        n = n * 10 + (uint64_t)(*p - '0');
        if (n > 1000000)
            return NULL;
    }
    if (p == text || n == 0 || !unit_of(*p, &unit))
        return NULL;
    *out_s = n * unit;
    return p + 1;
}

enum p2p_err
p2p_retention_parse_age(const char *text, uint64_t *out_s)
{
    const char *end = read_age(text, out_s);

    return end != NULL && *end == '\0' ? P2P_OK : P2P_ERR_USAGE;
}

enum p2p_err
p2p_retention_parse(const char *text, struct p2p_retention *out)
{
    uint64_t before = 0;

    out->count = 0;
    for (const char *p = text; *p != '\0';) {
        struct p2p_retention_rule rule;
        if (*p == ' ') {
            p++;
            continue;
        }
        if (out->count == P2P_RETENTION_RULES_MAX ||
            (p = read_age(p, &rule.until_age_s)) == NULL || *p++ != ':' ||
            (p = read_age(p, &rule.step_s)) == NULL || (*p != ' ' && *p != '\0') ||
            rule.until_age_s <= before)
            return P2P_ERR_USAGE;
        before = rule.until_age_s;
        out->rules[out->count++] = rule;
    }
    return out->count > 0 ? P2P_OK : P2P_ERR_USAGE;
}

static uint64_t
age_of(const struct p2p_retention_row *row, uint64_t now_k)
{
    return now_k > row->until_k ? now_k - row->until_k : 0;
}

/* The rule for this age; `count` if it is older than all. */
static size_t
rule_for(const struct p2p_retention *rules, uint64_t age_s)
{
    size_t i = 0;

    while (i < rules->count && age_s >= rules->rules[i].until_age_s)
        i++;
    return i;
}

static void
thin(const struct p2p_retention *rules, const struct p2p_retention_row *rows, size_t n,
     uint64_t now_k, bool *drop)
{
    size_t last_rule = rules->count;
    uint64_t last_slot = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t age_s = age_of(&rows[i], now_k);
        size_t rule = rule_for(rules, age_s);
        drop[i] = false;
        if (age_s < rules->min_age_s)
            continue;
        if (rule == rules->count) {
            drop[i] = true;
            continue;
        }
        uint64_t slot = rows[i].until_k / rules->rules[rule].step_s;
        drop[i] = rule == last_rule && slot == last_slot;
        last_rule = rule;
        last_slot = slot;
    }
}

void
p2p_retention_decide(const struct p2p_retention *rules,
                     const struct p2p_retention_row *rows, size_t n, bool is_gone,
                     uint64_t now_k, bool *drop)
{
    bool was_deleted = n > 0 && rows[n - 1].is_deletion;
    uint64_t age_s = n > 0 ? age_of(&rows[n - 1], now_k) : 0;

    thin(rules, rows, n, now_k, drop);
    if (!was_deleted)
        return;
    if (age_s < rules->deleted_s)
        drop[n - 1] = false;
    else if (is_gone && age_s >= rules->min_age_s)
        memset(drop, true, n);
}
