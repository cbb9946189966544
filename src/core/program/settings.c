#include "p2p/settings.h"
#include "p2p/array.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/disk/beneath.h"
#include "core/program/ini.h"
#include "core/program/options_internal.h"
#include "p2p/bytes.h"
#include "p2p/log.h"
#include "p2p/path.h"

enum { WORD_MAX_BYTES = 64 };

struct p2p_settings {
    char **lines; /* without their ends and the space before it */
    size_t count, room;
    char *folder;
    const char *file; /* within the folder */
    char path[];
};

/* ---- lines ---- */

static enum p2p_err
insert_line(struct p2p_settings *s, size_t at, const char *text, size_t len)
{
    char *line = strndup(text, len);

    if (line == NULL)
        return P2P_ERR_NOMEM;
    char **lines = p2p_array_room(s->lines, s->count, &s->room, sizeof(*lines));
    if (lines == NULL) {
        free(line);
        return P2P_ERR_NOMEM;
    }
    s->lines = lines;
    memmove(s->lines + at + 1, s->lines + at, (s->count - at) * sizeof(*s->lines));
    s->lines[at] = line;
    s->count++;
    return P2P_OK;
}

static void
remove_line(struct p2p_settings *s, size_t at)
{
    free(s->lines[at]);
    s->count--;
    memmove(s->lines + at, s->lines + at + 1, (s->count - at) * sizeof(*s->lines));
}

static bool
is_section(char *text, struct p2p_ini_part *name)
{
    struct p2p_ini_line line;

    p2p_ini_read(text, &line);
    if (line.kind == P2P_INI_SECTION)
        *name = line.name;
    return line.kind == P2P_INI_SECTION;
}

static bool
is_setting(char *text, struct p2p_ini_part *name, struct p2p_ini_part *value)
{
    struct p2p_ini_line line;

    p2p_ini_read(text, &line);
    *name = line.name;
    *value = line.value;
    return line.kind == P2P_INI_SETTING;
}

/* ---- reading ---- */

static enum p2p_err
split(struct p2p_settings *s, const char *text, size_t len)
{
    enum p2p_err err = P2P_OK;

    while (len > 0 && err == P2P_OK) {
        const char *end = memchr(text, '\n', len);
        size_t line = end != NULL ? (size_t)(end - text) : len, used = line;

        while (used > 0 && isspace((unsigned char)text[used - 1]))
            used--;
        err = insert_line(s, s->count, text, used);
        text += line + (end != NULL);
        len -= line + (end != NULL);
    }
    return err;
}

static enum p2p_err
load(struct p2p_settings *s)
{
    char *text;
    size_t len;
    enum p2p_err err = p2p_ini_load(s->path, &text, &len);

    if (err == P2P_OK)
        err = split(s, text, len);
    else if (err == P2P_ERR_NOT_FOUND && errno == ENOENT)
        err = P2P_OK; /* a new file */
    free(text);
    return err;
}

enum p2p_err
p2p_settings_open(const char *path, struct p2p_settings **out)
{
    const char *slash = strrchr(path, '/');
    size_t size = strlen(path) + 1;
    struct p2p_settings *s = calloc(1, sizeof(*s) + size);
    enum p2p_err err;

    *out = NULL;
    if (s == NULL)
        return P2P_ERR_NOMEM;
    memcpy(s->path, path, size);
    s->folder = slash == NULL
                    ? strdup(".")
                    : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    s->file = slash == NULL ? s->path : s->path + (slash - path) + 1;
    err = s->folder != NULL ? load(s) : P2P_ERR_NOMEM;
    if (err == P2P_OK)
        *out = s;
    else
        p2p_settings_close(s);
    return err;
}

void
p2p_settings_close(struct p2p_settings *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->count; i++)
        free(s->lines[i]);
    free(s->lines);
    free(s->folder);
    free(s);
}

/* ---- looking up ---- */

/* Errors that programs would report when they read the file. */
const char *
p2p_settings_known_at(size_t index)
{
    return p2p_option_known_at(index);
}

bool
p2p_settings_are_known(const char *section, const char *name, char *why, size_t cap)
{
    char shown[4 * WORD_MAX_BYTES];
    bool is_of_command = section[0] == 'p' && strncmp(section, "p2p", 3) == 0 &&
                         (section[3] == '\0' || section[3] == ' ');

    if (section[0] != '\0' && !p2p_option_is_section(section)) {
        p2p_log_escape(section, strlen(section), shown, sizeof(shown));
        snprintf(why, cap,
                 "no program reads a section [%s]; sections are p2p, p2p-peer, "
                 "p2p-ui, p2p-discovery and p2p-relay",
                 shown);
        return false;
    }
    if (p2p_option_is_known(name, is_of_command) && strcmp(name, "config") != 0)
        return true;
    p2p_log_escape(name, strlen(name), shown, sizeof(shown));
    snprintf(why, cap, "no program has a setting %s; --help of each program lists them",
             shown);
    return false;
}

size_t
p2p_settings_get(const struct p2p_settings *s, const char *section, const char *name,
                 const char **values, size_t cap)
{
    struct p2p_ini_part here = {(char[]){""}, 0}, key, value;
    size_t found = 0;

    for (size_t i = 0; i < s->count; i++) {
        if (is_section(s->lines[i], &here) || !p2p_ini_part_is(here, section) ||
            !is_setting(s->lines[i], &key, &value) || !p2p_ini_part_is(key, name))
            continue;
        if (found < cap)
            values[found] = value.at;
        found++;
    }
    return found;
}

void
p2p_settings_each(const struct p2p_settings *s, p2p_settings_fn *fn, void *arg)
{
    struct p2p_ini_part here = {(char[]){""}, 0}, key, value;

    for (size_t i = 0; i < s->count; i++) {
        char section[WORD_MAX_BYTES], name[WORD_MAX_BYTES];

        if (is_section(s->lines[i], &here) || !is_setting(s->lines[i], &key, &value))
            continue;
        snprintf(section, sizeof(section), "%.*s", (int)here.len, here.at);
        snprintf(name, sizeof(name), "%.*s", (int)key.len, key.at);
        fn(arg, section, name, value.at);
    }
}

/* ---- changing ---- */

static bool
is_fit(const char *value)
{
    size_t len = strlen(value);

    return (len == 0 || (!isspace((unsigned char)value[0]) &&
                         !isspace((unsigned char)value[len - 1]))) &&
           strpbrk(value, "\r\n") == NULL && p2p_utf8_is_valid(value, len);
}

/* Removes the settings with this name. Returns the position of the first one, or the
 * end of the section's content; SIZE_MAX: there is no such section. */
static size_t
clear(struct p2p_settings *s, const char *section, const char *name)
{
    struct p2p_ini_part here = {(char[]){""}, 0}, key, value;
    size_t first = SIZE_MAX, end = section[0] == '\0' ? 0 : SIZE_MAX;

    for (size_t i = 0; i < s->count; i++) {
        bool is_head = is_section(s->lines[i], &here);

        if (!p2p_ini_part_is(here, section))
            continue;
        if (!is_head && is_setting(s->lines[i], &key, &value) &&
            p2p_ini_part_is(key, name)) {
            if (first == SIZE_MAX)
                first = i;
            remove_line(s, i--);
        } else if (p2p_ini_trim(s->lines[i], strlen(s->lines[i])).len > 0) {
            end = i + 1;
        }
    }
    return first != SIZE_MAX ? first : end;
}

static enum p2p_err
append_section(struct p2p_settings *s, const char *section)
{
    char line[WORD_MAX_BYTES + 2];
    enum p2p_err err = P2P_OK;
    int n = snprintf(line, sizeof(line), "[%s]", section);

    if (n < 0 || (size_t)n >= sizeof(line))
        return P2P_ERR_USAGE;
    if (s->count > 0)
        err = insert_line(s, s->count, "", 0);
    return err == P2P_OK ? insert_line(s, s->count, line, (size_t)n) : err;
}

static enum p2p_err
insert_setting(struct p2p_settings *s, size_t at, const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(value) + sizeof(" = ");
    char *line = malloc(size);
    enum p2p_err err = P2P_ERR_NOMEM;

    if (line != NULL) {
        snprintf(line, size, "%s = %s", name, value);
        err = insert_line(s, at, line, size - 1);
    }
    free(line);
    return err;
}

enum p2p_err
p2p_settings_set(struct p2p_settings *s, const char *section, const char *name,
                 const char *const *values, size_t count)
{
    enum p2p_err err = P2P_OK;
    size_t at;

    for (size_t i = 0; i < count; i++)
        if (!is_fit(values[i]))
            return P2P_ERR_USAGE;
    at = clear(s, section, name);
    if (at == SIZE_MAX && count > 0) {
        err = append_section(s, section);
        at = s->count;
    }
    for (size_t i = 0; i < count && err == P2P_OK; i++)
        err = insert_setting(s, at + i, name, values[i]);
    return err;
}

static char *
joined(const struct p2p_settings *s, size_t *len)
{
    char *text, *at;

    *len = 0;
    for (size_t i = 0; i < s->count; i++)
        *len += strlen(s->lines[i]) + 1;
    text = at = malloc(*len + 1);
    for (size_t i = 0; i < s->count && text != NULL; i++) {
        at = stpcpy(at, s->lines[i]);
        *at++ = '\n';
    }
    return text;
}

enum p2p_err
p2p_settings_save(const struct p2p_settings *s)
{
    struct p2p_root *folder = NULL;
    size_t len;
    char *text = joined(s, &len);
    enum p2p_err err = text != NULL ? P2P_OK : P2P_ERR_NOMEM;

    if (err == P2P_OK && len > P2P_INI_BYTES_MAX)
        err = P2P_ERR_TOO_LARGE;
    if (err == P2P_OK)
        err = p2p_root_open(s->folder, true, 0700, &folder);
    if (err == P2P_OK)
        err = p2p_path_replace(p2p_root_fd(folder), s->file, text, len);
    p2p_root_close(folder);
    free(text);
    return err;
}
