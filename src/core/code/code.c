/* Codes and their words. */
#include "p2p/code.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/program/text_distance.h"
#include "p2p/addr.h"
#include "p2p/bytes.h"
#include "p2p/crypto.h"

/* Sorted. No two words begin with the same three letters, and none becomes another one
 * by fewer than three wrong letters, so that a code survives a telephone. */
static const char *const words[P2P_CODE_WORDS] = {
#include "core/code/words.inc"
};

const char *
p2p_code_word(uint8_t i)
{
    return words[i];
}

const char *
p2p_code_id_words(const struct p2p_id *id, char out[P2P_CODE_ID_TEXT])
{
    size_t len = 0;

    for (size_t i = 0; i < P2P_CODE_ID_WORDS; i++)
        len += (size_t)snprintf(out + len, P2P_CODE_ID_TEXT - len, "%s%s",
                                i > 0 ? " " : "", words[id->b[i]]);
    return out;
}

enum p2p_err
p2p_code_make(uint32_t number, struct p2p_code *out)
{
    *out = (struct p2p_code){.number = number};
    return p2p_random(out->words, sizeof(out->words));
}

const char *
p2p_code_secret(const struct p2p_code *code, char out[P2P_CODE_SECRET])
{
    snprintf(out, P2P_CODE_SECRET, "%s-%s", words[code->words[0]],
             words[code->words[1]]);
    return out;
}

const char *
p2p_code_format(const struct p2p_code *code, char out[P2P_CODE_TEXT])
{
    char registry[P2P_CODE_REGISTRY_MAX] = "";
    char secret[P2P_CODE_SECRET];
    bool has_registry =
        code->registry[0] != '\0' &&
        p2p_code_registry_text(code->registry, registry, sizeof(registry)) == P2P_OK;

    snprintf(out, P2P_CODE_TEXT, "%u-%s%s%s", (unsigned)code->number,
             p2p_code_secret(code, secret), has_registry ? "@" : "", registry);
    return out;
}

/* ---- reading ---- */

/* The word that is at most two wrong letters away; NULL: none. */
static const char *
nearest(const char *text)
{
    const char *best = NULL;
    unsigned least = 3;

    for (size_t i = 0; i < P2P_CODE_WORDS; i++) {
        unsigned far = p2p_text_distance(text, words[i]);
        if (far < least) {
            least = far;
            best = words[i];
        }
    }
    return best;
}

static bool
find_word(const char *text, size_t len, uint8_t *out)
{
    for (size_t i = 0; i < P2P_CODE_WORDS && len >= P2P_CODE_PREFIX; i++)
        if (strncmp(words[i], text, len) == 0) {
            *out = (uint8_t)i;
            return true;
        }
    return false;
}

static enum p2p_err
say_word(const char *text, char *why, size_t cap)
{
    const char *near = nearest(text);
    const int most = P2P_CODE_TEXT; /* for compilers that expect any length */

    if (strlen(text) < P2P_CODE_PREFIX)
        snprintf(why, cap,
                 "\"%s\" is too short: give at least the first three letters of each "
                 "word",
                 text);
    else if (near != NULL)
        snprintf(why, cap, "\"%.*s\" is not a word of a code; \"%s\" is", most, text,
                 near);
    else
        snprintf(why, cap, "\"%.*s\" is not a word of a code", most, text);
    return P2P_ERR_USAGE;
}

/* In small letters, with one hyphen between two parts; false: too long, or not ASCII.
 */
static bool
tidy(const char *text, size_t len, char *out, size_t cap)
{
    size_t used = 0;

    for (size_t i = 0; i < len; i++) {
        bool is_gap = text[i] == '-' || text[i] == ' ' || text[i] == '_';
        if (!is_gap && !isalnum((unsigned char)text[i]))
            return false;
        if (is_gap && (used == 0 || out[used - 1] == '-'))
            continue;
        if (used + 1 >= cap)
            return false;
        out[used++] = is_gap ? '-' : (char)tolower((unsigned char)text[i]);
    }
    while (used > 0 && out[used - 1] == '-')
        used--;
    out[used] = '\0';
    return used > 0;
}

enum { PARTS = 3, TIDY_MAX = 64 };

/* Cuts at the hyphens, in place. Returns how many parts there are. */
static size_t
cut(char *text, char *parts[PARTS])
{
    size_t count = 0;

    for (char *at = text; at != NULL; count++) {
        char *next = strchr(at, '-');
        if (next != NULL)
            *next++ = '\0';
        if (count < PARTS)
            parts[count] = at;
        at = next;
    }
    return count;
}

static enum p2p_err
say(char *why, size_t cap, const char *text)
{
    snprintf(why, cap, "%s", text);
    return P2P_ERR_USAGE;
}

static enum p2p_err
parse_parts(char *text, struct p2p_code *out, char *why, size_t cap)
{
    char *parts[PARTS];
    uint64_t number;

    if (cut(text, parts) != PARTS)
        return say(why, cap,
                   "a code has a number and two words, such as 7-guitar-tiger");
    if (p2p_decimal_parse(parts[0], strlen(parts[0]), P2P_CODE_NUMBER_MAX, &number) !=
            P2P_OK ||
        number == 0)
        return say(why, cap, "a code begins with a number, such as 7-guitar-tiger");
    out->number = (uint32_t)number;
    for (size_t i = 0; i < 2; i++)
        if (!find_word(parts[i + 1], strlen(parts[i + 1]), &out->words[i]))
            return say_word(parts[i + 1], why, cap);
    return P2P_OK;
}

enum p2p_err
p2p_code_parse(const char *text, struct p2p_code *out, char *why, size_t cap)
{
    const char *at = strchr(text, '@');
    char tidied[TIDY_MAX];

    *out = (struct p2p_code){.number = 0};
    if (!tidy(text, at != NULL ? (size_t)(at - text) : strlen(text), tidied,
              sizeof(tidied)))
        return say(why, cap,
                   "a code has a number and two words, such as 7-guitar-tiger");
    if (at != NULL &&
        p2p_code_registry_url(at + 1, out->registry, sizeof(out->registry)) != P2P_OK)
        return say(why, cap,
                   "what follows @ in a code is a registry, such as p2p.example.org or "
                   "192.168.1.5:8000");
    return parse_parts(tidied, out, why, cap);
}

bool
p2p_code_is_meant(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits > 0 && strchr("- _", text[digits]) != NULL && text[digits] != '\0' &&
           isalpha((unsigned char)text[digits + 1]);
}

/* ---- completing ---- */

void
p2p_code_complete(const char *text, p2p_code_visit *visit, void *arg)
{
    size_t digits = strspn(text, "0123456789"), len;
    const char *begun = strrchr(text, '-');
    char whole[P2P_CODE_TEXT];
    bool is_last;

    if (digits == 0 || text[digits] != '-' || strchr(text, '@') != NULL ||
        strlen(text) >= TIDY_MAX)
        return;
    begun++;
    len = strlen(begun);
    is_last = begun - 1 != text + digits;
    if (is_last && strchr(text + digits + 1, '-') != begun - 1)
        return; /* there is no third word */
    for (size_t i = 0; i < P2P_CODE_WORDS; i++) {
        if (strncasecmp(words[i], begun, len) != 0)
            continue;
        snprintf(whole, sizeof(whole), "%.*s%s%s", (int)(begun - text), text, words[i],
                 is_last ? "" : "-");
        visit(arg, whole);
    }
}

/* ---- registries ---- */

enum { HTTPS_PORT = 443 };

static bool
fits(int written, size_t cap)
{
    return written > 0 && (size_t)written < cap;
}

enum p2p_err
p2p_code_registry_url(const char *text, char *out, size_t cap)
{
    struct p2p_addr addr;
    const char *host = text;

    if (strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0)
        host = strstr(text, "://") + 3;
    if (p2p_addr_parse(host, HTTPS_PORT, &addr) != P2P_OK)
        return P2P_ERR_USAGE;
    /* A name alone is a registry on the Internet; a port is that of one without TLS. */
    if (host != text)
        return fits(snprintf(out, cap, "%s", text), cap) ? P2P_OK : P2P_ERR_USAGE;
    return fits(snprintf(out, cap, "%s://%s",
                         addr.port == HTTPS_PORT ? "https" : "http", text),
                cap)
               ? P2P_OK
               : P2P_ERR_USAGE;
}

enum p2p_err
p2p_code_registry_text(const char *url, char *out, size_t cap)
{
    const char *host = strstr(url, "://");
    char back[P2P_CODE_REGISTRY_MAX], shortened[P2P_CODE_REGISTRY_MAX];
    size_t len;

    if (host == NULL)
        return P2P_ERR_USAGE;
    host += 3;
    len = strlen(host);
    while (len > 0 && host[len - 1] == '/')
        len--;
    if (len == 0 || len >= sizeof(shortened))
        return P2P_ERR_USAGE;
    memcpy(shortened, host, len);
    shortened[len] = '\0';
    /* The short form, if it leads back to the same. */
    if (p2p_code_registry_url(shortened, back, sizeof(back)) == P2P_OK &&
        strncmp(back, url, strlen(back)) == 0)
        return fits(snprintf(out, cap, "%s", shortened), cap) ? P2P_OK : P2P_ERR_USAGE;
    if (p2p_code_registry_url(url, back, sizeof(back)) != P2P_OK)
        return P2P_ERR_USAGE;
    return fits(snprintf(out, cap, "%s", url), cap) ? P2P_OK : P2P_ERR_USAGE;
}
