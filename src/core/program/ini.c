#include "core/program/ini.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"

static const char byte_order_mark[] = "\xef\xbb\xbf";

bool
p2p_ini_part_is(struct p2p_ini_part part, const char *text)
{
    return strlen(text) == part.len &&
           (part.len == 0 || memcmp(part.at, text, part.len) == 0);
}

struct p2p_ini_part
p2p_ini_trim(char *text, size_t len)
{
    while (len > 0 && isspace((unsigned char)text[0])) {
        text++;
        len--;
    }
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        len--;
    return (struct p2p_ini_part){text, len};
}

void
p2p_ini_read(char *line, struct p2p_ini_line *out)
{
    struct p2p_ini_part all = p2p_ini_trim(line, strlen(line));
    char *equals = memchr(all.at, '=', all.len);

    *out = (struct p2p_ini_line){.kind = P2P_INI_NOTHING};
    if (all.len == 0 || all.at[0] == '#' || all.at[0] == ';')
        return;
    if (all.len >= 2 && all.at[0] == '[' && all.at[all.len - 1] == ']') {
        out->kind = P2P_INI_SECTION;
        out->name = p2p_ini_trim(all.at + 1, all.len - 2);
        return;
    }
    out->kind = equals != NULL ? P2P_INI_SETTING : P2P_INI_INVALID;
    if (equals == NULL)
        return;
    out->name = p2p_ini_trim(all.at, (size_t)(equals - all.at));
    out->value = p2p_ini_trim(equals + 1, (size_t)(all.at + all.len - equals - 1));
}

static enum p2p_err
read_all(FILE *in, char *text, size_t *len)
{
    *len = fread(text, 1, P2P_INI_BYTES_MAX + 1, in);
    if (ferror(in))
        return p2p_err_from_errno(errno);
    if (*len > P2P_INI_BYTES_MAX)
        return P2P_ERR_TOO_LARGE;
    if (!p2p_utf8_is_valid(text, *len) || memchr(text, '\0', *len) != NULL)
        return P2P_ERR_MALFORMED;
    if (*len >= 3 && memcmp(text, byte_order_mark, 3) == 0) {
        *len -= 3;
        memmove(text, text + 3, *len);
    }
    text[*len] = '\0';
    return P2P_OK;
}

enum p2p_err
p2p_ini_load(const char *path, char **out, size_t *len)
{
    FILE *in = fopen(path, "re");
    enum p2p_err err;
    int saved;

    *out = NULL;
    *len = 0;
    if (in == NULL)
        return p2p_err_from_errno(errno);
    *out = malloc(P2P_INI_BYTES_MAX + 1);
    err = *out != NULL ? read_all(in, *out, len) : P2P_ERR_NOMEM;
    if (err != P2P_OK) {
        free(*out);
        *out = NULL;
    }
    saved = errno;
    fclose(in);
    errno = saved;
    return err;
}
