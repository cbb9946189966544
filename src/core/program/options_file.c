/* The INI file of --config. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/program/ini.h"
#include "core/program/options_internal.h"
#include "p2p/bytes.h"
#include "p2p/log.h"

enum { SHOWN_MAX_BYTES = 512 };

struct ini {
    struct p2p_option_parse *parse;
    const char *file;
    unsigned line;
    bool mine;      /* the lines of this section are for this program */
    bool is_own;    /* and the section is for this program only */
    bool is_shared; /* before the first section: for all programs */
};

/* "[p2p]" is also for "p2p get". */
static enum p2p_err
enter_section(struct ini *ini, const char *section)
{
    const char *program = ini->parse->set->program;
    size_t len = strlen(section);
    char shown[SHOWN_MAX_BYTES];
    const char *near;

    ini->is_own = strcmp(section, program) == 0;
    ini->mine =
        ini->is_own || (strncmp(section, program, len) == 0 && program[len] == ' ');
    ini->is_shared = false;
    if (ini->mine || p2p_option_is_section(section))
        return P2P_OK;
    p2p_log_escape(section, len, shown, sizeof(shown));
    near = p2p_option_near_section(section);
    return p2p_option_complain(ini->parse, "%s:%u: unknown section [%s]; %s%s%s",
                               ini->file, ini->line, shown,
                               near != NULL ? "did you mean [" : "sections are [p2p], ",
                               near != NULL ? near : "[p2p-peer], [p2p-ui], ",
                               near != NULL ? "]?" : "[p2p-discovery] and [p2p-relay]");
}

/* Refuses a name that would silently have no effect. */
static enum p2p_err
complain_of_name(const struct ini *ini, const char *name)
{
    char shown[SHOWN_MAX_BYTES];
    const char *near = p2p_option_near(ini->parse, name);

    p2p_log_escape(name, strlen(name), shown, sizeof(shown));
    if (near != NULL && strcmp(near, name) != 0)
        return p2p_option_complain(ini->parse,
                                   "%s:%u: unknown setting %s; did you mean %s?",
                                   ini->file, ini->line, shown, near);
    return p2p_option_complain(ini->parse,
                               "%s:%u: unknown setting %s; --help lists the settings",
                               ini->file, ini->line, shown);
}

/* True for a setting of another program that reads the same lines. */
static bool
is_for_others(const struct ini *ini, const char *name)
{
    return !ini->is_own && p2p_option_is_known(name, !ini->is_shared);
}

/* Spaces that isspace does not recognize; they would become part of the value. */
static bool
is_strange_space(const char *at, size_t left)
{
    uint32_t cp;

    return p2p_utf8_next((const uint8_t *)at, left, &cp) > 0 &&
           (cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200b) ||
            cp == 0x202f || cp == 0x205f || cp == 0x3000 || cp == 0xfeff);
}

static bool
has_strange_edge(const char *text)
{
    size_t len = strlen(text);

    return is_strange_space(text, len) ||
           (len >= 2 && is_strange_space(text + len - 2, 2)) ||
           (len >= 3 && is_strange_space(text + len - 3, 3));
}

/* These options choose the file, or print something instead of starting the program. */
static bool
is_for_command_line(const char *name)
{
    return strcmp(name, "config") == 0 || strcmp(name, "help") == 0 ||
           strcmp(name, "version") == 0;
}

static enum p2p_err
take_setting(struct ini *ini, char *name, char *value)
{
    char shown[SHOWN_MAX_BYTES];
    bool negated;
    size_t i;

    if (!ini->mine)
        return P2P_OK;
    i = p2p_option_find(ini->parse, name, strlen(name), &negated);
    if (i == SIZE_MAX)
        return is_for_others(ini, name) ? P2P_OK : complain_of_name(ini, name);
    if (is_for_command_line(name))
        return p2p_option_complain(ini->parse,
                                   "%s:%u: %s has no effect in a file; give it as --%s",
                                   ini->file, ini->line, name, name);
    if (has_strange_edge(value))
        return p2p_option_complain(ini->parse,
                                   "%s:%u: %s: the value begins or ends with a special "
                                   "space (such as a no-break space); remove it",
                                   ini->file, ini->line, name);
    snprintf(shown, sizeof(shown), "%s:%u: %s", ini->file, ini->line, name);
    return p2p_option_set_value(ini->parse, i, P2P_FROM_FILE, shown,
                                negated ? p2p_option_negate(value) : value);
}

/* Ends the part with a NUL, in the kept text. */
static char *
text_of(struct p2p_ini_part part)
{
    part.at[part.len] = '\0';
    return part.at;
}

static enum p2p_err
take_line(struct ini *ini, char *text)
{
    struct p2p_ini_line line;

    p2p_ini_read(text, &line);
    switch (line.kind) {
    case P2P_INI_SECTION:
        return enter_section(ini, text_of(line.name));
    case P2P_INI_SETTING:
        return take_setting(ini, text_of(line.name), text_of(line.value));
    case P2P_INI_INVALID:
        return p2p_option_complain(ini->parse,
                                   "%s:%u: invalid line; write `name = value`",
                                   ini->file, ini->line);
    default:
        return P2P_OK;
    }
}

static enum p2p_err
complain_of_file(struct p2p_option_parse *parse, const char *file, enum p2p_err err)
{
    const char *why = err == P2P_ERR_TOO_LARGE   ? "it is larger than 262 kB"
                      : err == P2P_ERR_MALFORMED ? "it is not a UTF-8 text file"
                                                 : strerror(errno);

    return err == P2P_ERR_NOMEM
               ? err
               : p2p_option_complain(parse, "cannot read --config %s: %s", file, why);
}

/* Reads the whole file and keeps it as long as the options, because values point into
 * it. */
static enum p2p_err
load(struct p2p_option_parse *parse, const char *file, char **text)
{
    char *read;
    size_t len;
    enum p2p_err err = p2p_ini_load(file, &read, &len);

    if (err != P2P_OK)
        return complain_of_file(parse, file, err);
    *text = p2p_options_keep(parse->text, read, len);
    free(read);
    return *text != NULL ? P2P_OK : P2P_ERR_NOMEM;
}

enum p2p_err
p2p_options_read_file(struct p2p_option_parse *parse, const char *file)
{
    struct ini ini = {.parse = parse, .file = file, .mine = true, .is_shared = true};
    char *text = NULL;
    enum p2p_err err = load(parse, file, &text);

    while (err == P2P_OK && text != NULL) {
        char *line = strsep(&text, "\n");
        ini.line++;
        err = take_line(&ini, line);
    }
    return err;
}
