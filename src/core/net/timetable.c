#include <string.h>
#include <time.h>

#include "p2p/bytes.h"
#include "p2p/options.h"
#include "p2p/rate.h"

enum { RATE_TEXT_MAX = 24 };

/* "HH:MM". */
static enum p2p_err
parse_minute(const char *text, size_t len, uint16_t *minute)
{
    uint8_t digit[5];

    if (len != 5 || text[2] != ':')
        return P2P_ERR_USAGE;
    for (size_t i = 0; i < len; i++) {
        digit[i] = (uint8_t)(text[i] - '0');
        if (i != 2 && digit[i] > 9)
            return P2P_ERR_USAGE;
    }
    *minute = (uint16_t)((digit[0] * 10 + digit[1]) * 60 + digit[3] * 10 + digit[4]);
    return *minute < 24 * 60 && digit[3] < 6 ? P2P_OK : P2P_ERR_RANGE;
}

static enum p2p_err
parse_rate(const char *text, size_t len, uint64_t *bytes_per_s)
{
    char copy[RATE_TEXT_MAX];

    if (len >= sizeof(copy))
        return P2P_ERR_USAGE;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return p2p_size_parse(copy, bytes_per_s);
}

/* Parses "HH:MM,RATE". The time must be later than that of the entry before. */
static enum p2p_err
parse_entry(const char *text, size_t len, struct p2p_timetable *table)
{
    const char *comma = memchr(text, ',', len);
    unsigned n = table->count;
    enum p2p_err err;

    if (comma == NULL || n == P2P_TIMETABLE_MAX)
        return P2P_ERR_USAGE;
    err = parse_minute(text, (size_t)(comma - text), &table->at[n].minute);
    if (err == P2P_OK)
        err = parse_rate(comma + 1, len - (size_t)(comma + 1 - text),
                         &table->at[n].bytes_per_s);
    if (err == P2P_OK && n > 0 && table->at[n].minute <= table->at[n - 1].minute)
        err = P2P_ERR_USAGE;
    if (err == P2P_OK)
        table->count++;
    return err;
}

enum p2p_err
p2p_timetable_parse(const char *text, struct p2p_timetable *out)
{
    enum p2p_err err = P2P_OK;

    *out = (struct p2p_timetable){0};
    if (strchr(text, ',') == NULL) {
        out->count = 1;
        return parse_rate(text, strlen(text), &out->at[0].bytes_per_s);
    }
    for (text += strspn(text, " "); *text != '\0' && err == P2P_OK;
         text += strspn(text, " ")) {
        size_t len = strcspn(text, " ");
        err = parse_entry(text, len, out);
        text += len;
    }
    return err;
}

uint64_t
p2p_timetable_rate(const struct p2p_timetable *table, unsigned minute_of_day)
{
    uint64_t rate = table->count > 0 ? table->at[table->count - 1].bytes_per_s : 0;

    for (unsigned i = 0; i < table->count && table->at[i].minute <= minute_of_day; i++)
        rate = table->at[i].bytes_per_s;
    return rate;
}

uint64_t
p2p_timetable_rate_at(const struct p2p_timetable *table, int64_t time_s)
{
    time_t when = (time_t)time_s;
    struct tm local = {0};

    localtime_r(&when, &local);
    return p2p_timetable_rate(table, (unsigned)(local.tm_hour * 60 + local.tm_min));
}
