/* The INI file of --config. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/program/options_internal.h"

enum { FILE_MAX_BYTES = 256 * 1024, SHOWN_MAX_BYTES = 512 };

struct ini {
    struct p2p_option_parse *parse;
    const char *file;
    unsigned line;
    bool mine;   /* the lines of this section are for this program */
    bool strict; /* ... and for no other: an unknown name is a mistake */
};

static char *
trim(char *text)
{
    char *end = text + strlen(text);

    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    *end = '\0';
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

/* "[p2p]" is also for "p2p get". */
static void
enter_section(struct ini *ini, const char *section)
{
    const char *program = ini->parse->set->program;
    size_t len = strlen(section);

    ini->strict = strcmp(section, program) == 0;
    ini->mine =
        ini->strict || (strncmp(section, program, len) == 0 && program[len] == ' ');
}

static enum p2p_err
take_setting(struct ini *ini, char *name, char *value)
{
    char shown[SHOWN_MAX_BYTES];
    size_t i = p2p_option_index(ini->parse, name, strlen(name));

    if (!ini->mine || (i == SIZE_MAX && !ini->strict))
        return P2P_OK;
    if (i == SIZE_MAX)
        return p2p_option_complain(ini->parse,
                                   "%s:%u: %s is not a setting; --help lists them",
                                   ini->file, ini->line, name);
    snprintf(shown, sizeof(shown), "%s:%u: %s", ini->file, ini->line, name);
    return p2p_option_set_value(ini->parse, i, P2P_FROM_FILE, shown, value);
}

static enum p2p_err
take_line(struct ini *ini, char *line)
{
    char *text = trim(line), *equals = strchr(text, '=');
    size_t len = strlen(text);

    if (text[0] == '\0' || text[0] == '#' || text[0] == ';')
        return P2P_OK;
    if (text[0] == '[' && text[len - 1] == ']') {
        text[len - 1] = '\0';
        enter_section(ini, trim(text + 1));
        return P2P_OK;
    }
    if (equals == NULL)
        return p2p_option_complain(ini->parse, "%s:%u: `name = value` is needed",
                                   ini->file, ini->line);
    *equals = '\0';
    return take_setting(ini, trim(text), trim(equals + 1));
}

/* The whole file, kept as long as the options: values point into it. */
static enum p2p_err
load(struct p2p_option_parse *parse, const char *file, char **text)
{
    enum p2p_err err = P2P_ERR_NOMEM;
    FILE *in = fopen(file, "re");
    char *buf = malloc(FILE_MAX_BYTES + 1);
    size_t len = 0;

    if (in == NULL) {
        err = p2p_option_complain(parse, "--config %s: %s", file, strerror(errno));
        goto out;
    }
    if (buf == NULL)
        goto out;
    len = fread(buf, 1, FILE_MAX_BYTES + 1, in);
    if (ferror(in))
        err = p2p_option_complain(parse, "--config %s: %s", file, strerror(errno));
    else if (len > FILE_MAX_BYTES)
        err = p2p_option_complain(parse, "--config %s: larger than 256 KiB", file);
    else if (memchr(buf, '\0', len) != NULL)
        err = p2p_option_complain(parse, "--config %s: not a text file", file);
    else if ((*text = p2p_options_keep(parse->text, buf, len)) != NULL)
        err = P2P_OK;
out:
    free(buf);
    if (in != NULL)
        fclose(in);
    return err;
}

enum p2p_err
p2p_options_read_file(struct p2p_option_parse *parse, const char *file)
{
    struct ini ini = {.parse = parse, .file = file, .mine = true};
    char *text = NULL;
    enum p2p_err err = load(parse, file, &text);

    while (err == P2P_OK && text != NULL) {
        char *line = strsep(&text, "\n");
        ini.line++;
        err = take_line(&ini, line);
    }
    return err;
}
