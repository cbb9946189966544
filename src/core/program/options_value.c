/* Values of options: sizes, durations, and errors of values that are out of range. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/program/options_internal.h"
#include "p2p/bytes.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"", 1},
    {"b", 1},
    {"k", 1ull << 10},
    {"kb", 1ull << 10},
    {"kib", 1 << 10},
    {"m", 1ull << 20},
    {"mb", 1ull << 20},
    {"mib", 1ull << 20},
    {"g", 1ull << 30},
    {"gb", 1ull << 30},
    {"gib", 1ull << 30},
    {"t", 1ull << 40},
    {"tb", 1ull << 40},
    {"tib", 1ull << 40},
};
static const struct unit time_units[] = {
    {"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Parses digits and a unit of the table. */
static enum p2p_err
parse_with_unit(const char *text, const struct unit *units, size_t count, uint64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t value;
    enum p2p_err err = p2p_decimal_parse(text, digits, UINT64_MAX, &value);

    *out = 0;
    if (err != P2P_OK)
        return err == P2P_ERR_RANGE ? err : P2P_ERR_USAGE;
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(text + digits, units[i].name) != 0)
            continue;
        return __builtin_mul_overflow(value, units[i].factor, out) ? P2P_ERR_RANGE
                                                                   : P2P_OK;
    }
    return P2P_ERR_USAGE;
}

enum p2p_err
p2p_size_parse(const char *text, uint64_t *bytes)
{
    *bytes = 0;
    if (strcmp(text, "off") == 0)
        return P2P_OK;
    return parse_with_unit(text, size_units, COUNT(size_units), bytes);
}

enum p2p_err
p2p_duration_parse(const char *text, uint64_t *ms)
{
    return parse_with_unit(text, time_units, COUNT(time_units), ms);
}

enum p2p_err
p2p_option_parse_flag(const char *text, bool *out)
{
    static const char *const words[] = {"no", "yes", "off",   "on",
                                        "0",  "1",   "false", "true"};

    for (size_t i = 0; i < COUNT(words); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *out = i % 2 == 1;
            return P2P_OK;
        }
    }
    return P2P_ERR_USAGE;
}

const char *
p2p_option_negate(const char *value)
{
    bool is_on;

    if (p2p_option_parse_flag(value, &is_on) != P2P_OK)
        return value;
    return is_on ? "no" : "yes";
}

/* The largest unit that divides the value. */
static void
format_unit(uint64_t value, const struct unit *units, size_t count, char *out,
            size_t cap)
{
    const struct unit *best = NULL;

    for (size_t i = 0; i < count; i++)
        if (units[i].name[0] != '\0' && value >= units[i].factor &&
            value % units[i].factor == 0 &&
            (best == NULL || units[i].factor > best->factor))
            best = &units[i];
    if (best == NULL)
        snprintf(out, cap, "%" PRIu64, value);
    else
        snprintf(out, cap, "%" PRIu64 "%s", value / best->factor, best->name);
}

void
p2p_option_format_value(const struct p2p_option *option, uint64_t value, char *out,
                        size_t cap)
{
    static const struct unit sizes[] = {
        {"K", 1ull << 10}, {"M", 1ull << 20}, {"G", 1ull << 30}, {"T", 1ull << 40}};

    if (option->kind == P2P_OPT_SIZE)
        format_unit(value, sizes, COUNT(sizes), out, cap);
    else if (option->kind == P2P_OPT_DURATION && value > 0)
        format_unit(value, time_units, COUNT(time_units), out, cap);
    else
        snprintf(out, cap, "%" PRIu64, value);
}

static enum p2p_err
complain_of_number(const struct p2p_option_parse *parse,
                   const struct p2p_option *option, const char *shown,
                   const char *value)
{
    static const char *const wanted[] = {
        [P2P_OPT_NUMBER] = "a number",
        [P2P_OPT_SIZE] = "a size such as 64K, 10M or 2G",
        [P2P_OPT_DURATION] = "a time such as 250ms, 30s, 5m or 2h",
    };
    char min[32], max[32];

    if (option->min == 0 && option->max == 0)
        return p2p_option_complain(parse, "invalid %s %s: use %s", shown, value,
                                   wanted[option->kind]);
    p2p_option_format_value(option, option->min, min, sizeof(min));
    p2p_option_format_value(option, option->max, max, sizeof(max));
    return p2p_option_complain(parse, "invalid %s %s: use %s from %s to %s", shown,
                               value, wanted[option->kind], min, max);
}

static enum p2p_err
assign_number(const struct p2p_option_parse *parse, const struct p2p_option *option,
              uint64_t *field, const char *shown, const char *value)
{
    uint64_t number;
    enum p2p_err err;

    if (option->kind == P2P_OPT_SIZE)
        err = p2p_size_parse(value, &number);
    else if (option->kind == P2P_OPT_DURATION)
        err = p2p_duration_parse(value, &number);
    else
        err = p2p_decimal_parse(value, strlen(value), UINT64_MAX, &number);
    if (err == P2P_OK && (option->min != 0 || option->max != 0) &&
        (number < option->min || number > option->max))
        err = P2P_ERR_RANGE;
    if (err != P2P_OK)
        return complain_of_number(parse, option, shown, value);
    *field = number;
    return P2P_OK;
}

static enum p2p_err
append(const struct p2p_option_parse *parse, struct p2p_option_list *list,
       const char *shown, const char *value)
{
    if (list->count == P2P_OPTION_LIST_MAX)
        return p2p_option_complain(parse, "%s is given too often: at most %d times",
                                   shown, P2P_OPTION_LIST_MAX);
    list->at[list->count++] = value;
    return P2P_OK;
}

enum p2p_err
p2p_option_assign(const struct p2p_option_parse *parse, const struct p2p_option *option,
                  void *field, const char *shown, const char *value)
{
    if (option->kind != P2P_OPT_FLAG && value[0] == '\0')
        return p2p_option_complain(parse, "%s needs a value", shown);
    switch (option->kind) {
    case P2P_OPT_TEXT:
    case P2P_OPT_WORD:
        *(const char **)field = value;
        return P2P_OK;
    case P2P_OPT_LIST:
        return append(parse, field, shown, value);
    case P2P_OPT_FLAG:
        if (p2p_option_parse_flag(value, field) != P2P_OK)
            return p2p_option_complain(parse, "invalid %s %s: use yes or no", shown,
                                       value);
        return P2P_OK;
    case P2P_OPT_NUMBER:
    case P2P_OPT_SIZE:
    case P2P_OPT_DURATION:
        break;
    }
    return assign_number(parse, option, field, shown, value);
}

enum p2p_err
p2p_option_set_value(struct p2p_option_parse *parse, size_t i,
                     enum p2p_option_source source, const char *shown,
                     const char *value)
{
    void *field;
    const struct p2p_option *option = p2p_option_at(parse, i, &field);

    if (parse->sources[i] != P2P_FROM_DEFAULT && parse->sources[i] < source)
        return P2P_OK;
    if (option->kind == P2P_OPT_WORD && source != P2P_FROM_FLAG)
        return P2P_OK;
    if (option->kind == P2P_OPT_LIST && parse->sources[i] != source)
        ((struct p2p_option_list *)field)->count = 0;
    parse->sources[i] = source;
    if (p2p_options_remember_place(parse->text, value, shown) != P2P_OK)
        return P2P_ERR_NOMEM;
    return p2p_option_assign(parse, option, field, shown, value);
}
