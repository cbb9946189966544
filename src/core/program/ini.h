/*
 * ini - the grammar of configuration files: sections, settings, comments, one a line.
 * Both readers use it: options_file.c for a program's own options, settings.c for `p2p
 * config` and `p2p init`. Pure, except for p2p_ini_load.
 */
#ifndef P2P_INI_H
#define P2P_INI_H

#include <stdbool.h>
#include <stddef.h>

#include "p2p/err.h"

#define P2P_INI_BYTES_MAX ((size_t)256 * 1024)

/* A part of a line, without the space around it; not NUL-terminated. */
struct p2p_ini_part {
    char *at;
    size_t len;
};
/* True if the part is exactly this text. */
bool p2p_ini_part_is(struct p2p_ini_part part, const char *text);
/* `text` without the space around it. */
struct p2p_ini_part p2p_ini_trim(char *text, size_t len);

enum p2p_ini_kind {
    P2P_INI_NOTHING,
    P2P_INI_SECTION,
    P2P_INI_SETTING,
    P2P_INI_INVALID
};
struct p2p_ini_line {
    enum p2p_ini_kind kind;    /* NOTHING: it is empty or a comment */
    struct p2p_ini_part name;  /* of the section or the setting */
    struct p2p_ini_part value; /* of a setting */
};
/* Reads one line; `out` borrows from it. */
void p2p_ini_read(char *line, struct p2p_ini_line *out);

/*
 * Reads a whole file. *out gets its text with a NUL, without the byte order mark that
 * some editors write: *returned owned*, free with free(). SYS, PERMISSION, NOT_FOUND
 * (see errno); TOO_LARGE; MALFORMED: it is not UTF-8 text.
 */
P2P_MUST_CHECK enum p2p_err p2p_ini_load(const char *path, char **out, size_t *len);

#endif
