/* The filter between a daemon and the system bus. */
#include "core/guard/bus_filter.h"

#include <stdbool.h>
#include <string.h>

/* ---- Authentication: lines ---- */

/* The word, alone or with one hexadecimal argument. */
static bool
is_word(const char *line, size_t len, const char *word)
{
    size_t n = strlen(word);

    if (len < n || memcmp(line, word, n) != 0)
        return false;
    if (len == n)
        return true;
    if (line[n] != ' ')
        return false;
    for (size_t i = n + 1; i < len; i++)
        if (strchr("0123456789abcdefABCDEF", line[i]) == NULL || line[i] == '\0')
            return false;
    return true;
}

static bool
is_alone(const char *line, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(line, word, len) == 0;
}

enum p2p_bus_verdict
p2p_bus_filter_line(const uint8_t *bytes, size_t len, size_t *size)
{
    const uint8_t *end = memmem(bytes, len, "\r\n", 2);
    const char *line = (const char *)bytes;
    size_t length;

    *size = 0;
    if (end == NULL || (size_t)(end - bytes) > P2P_BUS_LINE_MAX)
        return len > P2P_BUS_LINE_MAX ? P2P_BUS_REFUSE : P2P_BUS_MORE;
    length = (size_t)(end - bytes);
    *size = length + 2;
    /* What a server might take for BEGIN is BEGIN to us, or it is refused; and nothing
     * here takes back that it has authenticated us. */
    if (is_alone(line, length, "BEGIN"))
        return P2P_BUS_BEGIN;
    if (is_alone(line, length, "AUTH") || is_word(line, length, "AUTH EXTERNAL") ||
        is_word(line, length, "DATA") || is_alone(line, length, "NEGOTIATE_UNIX_FD"))
        return P2P_BUS_PASS;
    return P2P_BUS_REFUSE;
}

/* ---- Messages ---- */

enum { HEAD_SIZE = 16, METHOD_CALL = 1, METHOD_RETURN, METHOD_ERROR, SIGNAL };
enum {
    FIELD_PATH = 1,
    INTERFACE,
    MEMBER,
    ERROR_NAME,
    REPLY,
    DESTINATION,
    SENDER,
    SIGNATURE
};

struct text {
    const char *at;
    size_t len;
};

struct message {
    const uint8_t *bytes;
    bool is_little;
    size_t at, end; /* of the fields */
    struct text field[SIGNATURE + 1];
};

static uint32_t
get_u32(const struct message *m, size_t at)
{
    const uint8_t *b = m->bytes + at;

    return m->is_little ? (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
                              (uint32_t)b[3] << 24
                        : (uint32_t)b[3] | (uint32_t)b[2] << 8 | (uint32_t)b[1] << 16 |
                              (uint32_t)b[0] << 24;
}

/* Bytes between two fields are zero, and there are enough of them. */
static bool
align(struct message *m, size_t to)
{
    while (m->at % to != 0) {
        if (m->at >= m->end || m->bytes[m->at] != 0)
            return false;
        m->at++;
    }
    return true;
}

/* `len` bytes of text, without NUL but followed by one. */
static bool
take_text(struct message *m, size_t len, struct text *out)
{
    if (len >= m->end - m->at || memchr(m->bytes + m->at, 0, len) != NULL ||
        m->bytes[m->at + len] != 0)
        return false;
    *out = (struct text){(const char *)m->bytes + m->at, len};
    m->at += len + 1;
    return true;
}

static bool
take_long_text(struct message *m, struct text *out)
{
    size_t len;

    if (!align(m, 4) || m->end - m->at < 4)
        return false;
    len = get_u32(m, m->at);
    m->at += 4;
    return take_text(m, len, out);
}

static bool
take_short_text(struct message *m, struct text *out)
{
    size_t len;

    if (m->end == m->at)
        return false;
    len = m->bytes[m->at++];
    return take_text(m, len, out);
}

/* Each field once, and with the type that it has: two programs that read one message
 * must not see two messages. */
static bool
take_field(struct message *m)
{
    struct text type;
    uint8_t code;

    if (!align(m, 8) || m->end == m->at)
        return false;
    code = m->bytes[m->at++];
    if (code < FIELD_PATH || code > SIGNATURE || m->field[code].at != NULL ||
        !take_short_text(m, &type) || type.len != 1)
        return false;
    if (code == REPLY) {
        if (type.at[0] != 'u' || !align(m, 4) || m->end - m->at < 4)
            return false;
        m->at += 4;
        m->field[code] = (struct text){"", 0};
        return true;
    }
    if (code == SIGNATURE)
        return type.at[0] == 'g' && take_short_text(m, &m->field[code]);
    return type.at[0] == (code == FIELD_PATH ? 'o' : 's') &&
           take_long_text(m, &m->field[code]);
}

static bool
is(const struct text *text, const char *word)
{
    return text->at != NULL && text->len == strlen(word) &&
           memcmp(text->at, word, text->len) == 0;
}

static bool
begins(const struct text *text, const char *word)
{
    return text->at != NULL && text->len >= strlen(word) &&
           memcmp(text->at, word, strlen(word)) == 0;
}

/* What a client does for itself at the bus. A match that eavesdrops would show what
 * others say to each other. */
static bool
is_for_the_bus(const struct message *m, const uint8_t *body, size_t len)
{
    static const char *const members[] = {"Hello", "AddMatch", "RemoveMatch",
                                          "NameHasOwner", "GetNameOwner"};

    if (!is(&m->field[DESTINATION], "org.freedesktop.DBus") ||
        !is(&m->field[INTERFACE], "org.freedesktop.DBus") ||
        memmem(body, len, "eavesdrop", strlen("eavesdrop")) != NULL)
        return false;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (is(&m->field[MEMBER], members[i]))
            return true;
    return false;
}

/* The client's library begins with a ping, which may start Avahi. */
static bool
is_for_avahi(const struct message *m)
{
    if (!is(&m->field[DESTINATION], "org.freedesktop.Avahi"))
        return false;
    if (is(&m->field[INTERFACE], "org.freedesktop.DBus.Peer"))
        return is(&m->field[MEMBER], "Ping");
    return begins(&m->field[INTERFACE], "org.freedesktop.Avahi.") &&
           !is(&m->field[MEMBER], "SetHostName");
}

enum p2p_bus_verdict
p2p_bus_filter_message(const uint8_t *bytes, size_t len, size_t *size)
{
    struct message m = {.bytes = bytes, .at = HEAD_SIZE};
    size_t body, fields, head;

    *size = 0;
    if (len < HEAD_SIZE)
        return P2P_BUS_MORE;
    m.is_little = bytes[0] == 'l';
    if ((!m.is_little && bytes[0] != 'B') || bytes[3] != 1)
        return P2P_BUS_REFUSE;
    body = get_u32(&m, 4);
    fields = get_u32(&m, 12);
    if (body > P2P_BUS_MESSAGE_MAX || fields > P2P_BUS_MESSAGE_MAX)
        return P2P_BUS_REFUSE;
    head = (HEAD_SIZE + fields + 7) / 8 * 8;
    if (head + body > P2P_BUS_MESSAGE_MAX)
        return P2P_BUS_REFUSE;
    if (len < head + body)
        return P2P_BUS_MORE;
    *size = head + body;
    m.end = HEAD_SIZE + fields;
    while (m.at < m.end)
        if (!take_field(&m))
            return P2P_BUS_REFUSE;
    if (bytes[1] == METHOD_RETURN || bytes[1] == METHOD_ERROR || bytes[1] == SIGNAL)
        return P2P_BUS_DROP;
    if (bytes[1] != METHOD_CALL)
        return P2P_BUS_REFUSE;
    return is_for_avahi(&m) || is_for_the_bus(&m, bytes + head, body) ? P2P_BUS_PASS
                                                                      : P2P_BUS_REFUSE;
}
