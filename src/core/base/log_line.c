#include "core/base/log_line.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "p2p/bytes.h"

static const char *const level_names[] = {"error", "warn", "info", "debug"};

const char *
p2p_log_level_name(enum p2p_log_level level)
{
    return level_names[level];
}

enum p2p_err
p2p_log_parse_level(const char *text, enum p2p_log_level *level)
{
    for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level = (enum p2p_log_level)i;
            return P2P_OK;
        }
    }
    return P2P_ERR_USAGE;
}

/* Output that ends where the room ends; `cap` is at least 1. */
struct line {
    char *out;
    size_t len, cap;
};

static void
put(struct line *line, const char *bytes, size_t len)
{
    size_t room = line->cap - 1 - line->len;

    if (len > room)
        len = room;
    memcpy(line->out + line->len, bytes, len);
    line->len += len;
}

static void
put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* ---- Text ---- */

static void
put_in_one_line(struct line *line, const char *text)
{
    for (; *text != '\0'; text++)
        put(line, (unsigned char)*text < 0x20 && *text != '\t' ? " " : text, 1);
}

static void
put_time(struct line *line, const struct timespec *time)
{
    char day[32], text[48];
    struct tm utc;

    gmtime_r(&time->tv_sec, &utc);
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, sizeof(text), "%s.%03ldZ", day, time->tv_nsec / 1000000);
    put_text(line, text);
}

static void
put_plain(struct line *line, const struct p2p_log_event *event, bool for_journal)
{
    if (!for_journal && !event->is_notice) {
        put_time(line, &event->time);
        put_text(line, " ");
        put_text(line, p2p_log_level_name(event->level));
        put_text(line, " ");
    }
    if (!for_journal) {
        put_text(line, event->program);
        put_text(line, ": ");
    }
    put_in_one_line(line, event->text);
}

/* ---- JSON ---- */

static void
put_string(struct line *line, const char *text, size_t len)
{
    const uint8_t *in = (const uint8_t *)text;

    put_text(line, "\"");
    for (size_t at = 0; at < len;) {
        uint32_t cp;
        size_t n = p2p_utf8_next(in + at, len - at, &cp);
        char escaped[8];

        if (n == 0) {
            put_text(line, "\xef\xbf\xbd"); /* U+FFFD: not UTF-8 */
            n = 1;
        } else if (cp < 0x20 || cp == 0x7f || cp == '"' || cp == '\\') {
            snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned)cp);
            put_text(line, escaped);
        } else {
            put(line, text + at, n);
        }
        at += n;
    }
    put_text(line, "\"");
}

struct field {
    const char *key, *value; /* the value without its quotes */
    size_t key_len, value_len;
};

static bool
is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* Reads the field `key=value` or `key="value"` at `at`; NULL: there is none. Returns
 * the place after it and its space. */
static const char *
read_field(const char *at, struct field *field)
{
    const char *end;

    *field = (struct field){.key = at};
    while (is_key_char(*at))
        at++;
    field->key_len = (size_t)(at - field->key);
    if (field->key_len == 0 || *at++ != '=')
        return NULL;
    if (*at == '"') {
        if ((end = strchr(++at, '"')) == NULL)
            return NULL;
        field->value = at;
        field->value_len = (size_t)(end++ - at);
    } else {
        end = at + strcspn(at, " \"");
        field->value = at;
        field->value_len = (size_t)(end - at);
    }
    if (*end != '\0' && *end != ' ')
        return NULL;
    return *end == ' ' ? end + 1 : end;
}

static bool
is_only_fields(const char *at)
{
    struct field field;

    while (at != NULL && *at != '\0')
        at = read_field(at, &field);
    return at != NULL;
}

/* The part of a text that consists of fields, up to its end. */
static const char *
find_fields(const char *text)
{
    if (is_only_fields(text))
        return text;
    for (const char *at = strchr(text, ' '); at != NULL; at = strchr(at + 1, ' '))
        if (at[1] != '\0' && is_only_fields(at + 1))
            return at + 1;
    return text + strlen(text);
}

static void
put_member(struct line *line, const char *name, const char *text, size_t len)
{
    put_text(line, ",\"");
    put_text(line, name);
    put_text(line, "\":");
    put_string(line, text, len);
}

static void
put_fields(struct line *line, const char *at)
{
    struct field field;
    const char *comma = "";

    put_text(line, ",\"fields\":{");
    while (*at != '\0' && (at = read_field(at, &field)) != NULL) {
        put_text(line, comma);
        put_string(line, field.key, field.key_len);
        put_text(line, ":");
        put_string(line, field.value, field.value_len);
        comma = ",";
    }
    put_text(line, "}");
}

static void
put_json(struct line *line, const struct p2p_log_event *event)
{
    const char *fields = find_fields(event->text);
    const char *level = p2p_log_level_name(event->level);
    size_t len = (size_t)(fields - event->text);

    if (len > 0 && event->text[len - 1] == ' ')
        len--;
    put_text(line, "{\"time\":\"");
    put_time(line, &event->time);
    put_text(line, "\"");
    put_member(line, "level", level, strlen(level));
    put_member(line, "program", event->program, strlen(event->program));
    put_member(line, "message", event->text, len);
    if (*fields != '\0')
        put_fields(line, fields);
    put_text(line, "}");
}

size_t
p2p_log_line(const struct p2p_log_event *event, enum p2p_log_format format,
             bool for_journal, char *out, size_t cap)
{
    static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};
    struct line line = {.out = out, .cap = cap - 1}; /* room for the line break */

    if (for_journal)
        put_text(&line, priorities[event->level]);
    if (format == P2P_LOG_JSON)
        put_json(&line, event);
    else
        put_plain(&line, event, for_journal);
    out[line.len++] = '\n';
    out[line.len] = '\0';
    return line.len;
}
