/* The table of a program's options and of those that all programs have; and messages
 * about wrong ones. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/program/options_internal.h"
#include "p2p/log.h"

#define COMMON(field) offsetof(struct p2p_option_parse, common.field)
const struct p2p_option p2p_common_options[P2P_COMMON_OPTIONS] = {
    {"config", P2P_OPT_TEXT, COMMON(config), 0, 0, "FILE", "read settings from FILE"},
    {"log-level", P2P_OPT_TEXT, COMMON(log_level), 0, 0, "LEVEL",
     "log messages up to this level: error, warn, info or debug (default info)"},
    {"log-format", P2P_OPT_TEXT, COMMON(log_format), 0, 0, "FORMAT",
     "write log lines as text or json (default text)"},
    {"verbose", P2P_OPT_FLAG, COMMON(verbose), 0, 0, NULL,
     "log debug messages, too, like --log-level debug"},
    {"help", P2P_OPT_FLAG, COMMON(help), 0, 0, NULL, "show this help"},
    {"version", P2P_OPT_FLAG, COMMON(version), 0, 0, NULL, "show the version"},
};

static bool refuses_in_log;

bool
p2p_options_are_refused_in_log(void)
{
    return refuses_in_log;
}

void
p2p_options_refuse_in_log(bool in_log)
{
    refuses_in_log = in_log;
}

__attribute__((format(printf, 2, 0))) static enum p2p_err
refuse(const char *program, const char *format, va_list args)
{
    char text[2048];

    vsnprintf(text, sizeof(text), format, args);
    if (refuses_in_log || p2p_log_is_journal())
        p2p_log_error("%s", text);
    else
        fprintf(stderr, "%s: %s\n", program, text);
    return P2P_ERR_USAGE;
}

enum p2p_err
p2p_options_refuse(const char *program, const char *format, ...)
{
    enum p2p_err err;
    va_list args;

    va_start(args, format);
    err = refuse(program, format, args);
    va_end(args);
    return err;
}

enum p2p_err
p2p_option_complain(const struct p2p_option_parse *parse, const char *format, ...)
{
    enum p2p_err err;
    va_list args;

    va_start(args, format);
    err = refuse(parse->set->program, format, args);
    va_end(args);
    return err;
}

const struct p2p_option *
p2p_option_at(const struct p2p_option_parse *parse, size_t i, void **field)
{
    bool own = i < parse->set->count;
    const struct p2p_option *option =
        own ? &parse->set->options[i] : &p2p_common_options[i - parse->set->count];
    char *base = own ? parse->target : (char *)(uintptr_t)parse;

    *field = base + option->offset;
    return option;
}

size_t
p2p_option_index(const struct p2p_option_parse *parse, const char *name, size_t len)
{
    for (size_t i = 0; i < parse->set->count + P2P_COMMON_OPTIONS; i++) {
        void *field;
        const char *known = p2p_option_at(parse, i, &field)->name;
        if (strlen(known) == len && memcmp(known, name, len) == 0)
            return i;
    }
    return SIZE_MAX;
}

size_t
p2p_option_find(const struct p2p_option_parse *parse, const char *name, size_t len,
                bool *negated)
{
    size_t i = p2p_option_index(parse, name, len);
    void *field;

    *negated = false;
    if (i != SIZE_MAX || len <= 3 || memcmp(name, "no-", 3) != 0)
        return i;
    i = p2p_option_index(parse, name + 3, len - 3);
    if (i != SIZE_MAX && p2p_option_at(parse, i, &field)->kind != P2P_OPT_FLAG)
        i = SIZE_MAX;
    *negated = i != SIZE_MAX;
    return i;
}

/* ---- Letters ---- */

/* The letters of options that people type often. */
static const struct {
    char letter;
    const char *name;
} letters[] = {{'o', "output"}, {'q', "quiet"}, {'v', "verbose"}};

char
p2p_option_letter(const char *name)
{
    for (size_t k = 0; k < sizeof(letters) / sizeof(letters[0]); k++)
        if (strcmp(letters[k].name, name) == 0)
            return letters[k].letter;
    return '\0';
}

size_t
p2p_option_of_letter(const struct p2p_option_parse *parse, char letter)
{
    for (size_t k = 0; k < sizeof(letters) / sizeof(letters[0]); k++)
        if (letters[k].letter == letter)
            return p2p_option_index(parse, letters[k].name, strlen(letters[k].name));
    return SIZE_MAX;
}
