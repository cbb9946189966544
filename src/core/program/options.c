/* Command line and environment, and all sources together: the file is in
 * options_file.c, values in options_value.c, the table in options_table.c, --help in
 * options_help.c. */
#include "p2p/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/program/options_internal.h"
#include "p2p/log.h"

enum { NAME_MAX_BYTES = 64 };

/* ---- Command line ---- */

static enum p2p_err
complain_of_option(const struct p2p_option_parse *parse, const char *word, size_t len)
{
    char name[NAME_MAX_BYTES], shown[4 * NAME_MAX_BYTES];
    const char *near = NULL;
    bool negated;

    p2p_log_escape(word, len + 2, shown, sizeof(shown));
    if (len < sizeof(name)) {
        snprintf(name, sizeof(name), "%.*s", (int)len, word + 2);
        near = p2p_option_near(parse, name);
    }
    if (near != NULL &&
        p2p_option_find(parse, near, strlen(near), &negated) != SIZE_MAX)
        return p2p_option_complain(parse, "unknown option %s; did you mean --%s?",
                                   shown, near);
    return p2p_option_complain(parse, "unknown option %s; --help lists the options",
                               shown);
}

/* "-o" is --output where the program has it. The letter is the whole word. */
static enum p2p_err
take_letter(struct p2p_option_parse *parse, int argc, char **argv, int *at)
{
    const char *word = argv[(*at)++], *value = "yes";

    size_t i = word[2] == '\0' ? p2p_option_of_letter(parse, word[1]) : SIZE_MAX;
    void *field;

    if (i == SIZE_MAX)
        return p2p_option_complain(parse,
                                   "unknown option %s: names of options begin with two "
                                   "dashes; --help lists them",
                                   word);
    if (p2p_option_at(parse, i, &field)->kind != P2P_OPT_FLAG) {
        if (*at >= argc)
            return p2p_option_complain(parse, "%s needs a value: %s %s", word, word,
                                       p2p_option_at(parse, i, &field)->value);
        value = argv[(*at)++];
    }
    return p2p_option_set_value(parse, i, P2P_FROM_FLAG, word, value);
}

/* Parses the option at argv[*at] and moves *at behind it. */
static enum p2p_err
take_option(struct p2p_option_parse *parse, int argc, char **argv, int *at)
{
    const char *word = argv[(*at)++], *name = word + 2;
    size_t len = strcspn(name, "=");
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    bool negated;
    size_t i = p2p_option_find(parse, name, len, &negated);
    char shown[NAME_MAX_BYTES + 3];
    void *field;

    if (i == SIZE_MAX)
        return complain_of_option(parse, word, len);
    if (value == NULL && p2p_option_at(parse, i, &field)->kind == P2P_OPT_FLAG)
        value = "yes";
    else if (value == NULL && *at < argc && strncmp(argv[*at], "--", 2) != 0)
        value = argv[(*at)++];
    if (value == NULL)
        return p2p_option_complain(parse, "%s needs a value: %s=%s", word, word,
                                   p2p_option_at(parse, i, &field)->value);
    snprintf(shown, sizeof(shown), "--%.*s",
             (int)(len < NAME_MAX_BYTES ? len : NAME_MAX_BYTES - 1), name);
    return p2p_option_set_value(parse, i, P2P_FROM_FLAG, shown,
                                negated ? p2p_option_negate(value) : value);
}

static enum p2p_err
parse_argv(struct p2p_option_parse *parse, int argc, char **argv, int *arguments)
{
    bool options_ended = false;

    *arguments = 0;
    for (int at = 1; at < argc;) {
        char *word = argv[at];
        bool dashed = !options_ended && word[0] == '-' && word[1] != '\0';
        enum p2p_err err = P2P_OK;

        if (!dashed) {
            argv[1 + (*arguments)++] = word;
            at++;
        } else if (strcmp(word, "--") == 0) {
            options_ended = true;
            at++;
        } else if (word[1] != '-') {
            err = take_letter(parse, argc, argv, &at);
        } else {
            err = take_option(parse, argc, argv, &at);
        }
        if (err != P2P_OK)
            return err;
    }
    return P2P_OK;
}

/* --help works whatever else is on the command line. */
static bool
wants_common(int argc, char **argv, const char *name, const char *letter)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], name) == 0 || strcmp(argv[i], letter) == 0)
            return true;
    return false;
}

static bool
answer_common(const struct p2p_option_parse *parse, int argc, char **argv)
{
    if (wants_common(argc, argv, "--help", "-h")) {
        p2p_options_print_help(parse);
        return true;
    }
    /* `p2p restore --version N` is about a file's version. */
    const char *version =
        p2p_option_index(parse, "version", strlen("version")) < parse->set->count
            ? "-V"
            : "--version";
    if (wants_common(argc, argv, version, "-V")) {
        int word = (int)strcspn(parse->set->program, " ");
        printf("%.*s %s\n", word, parse->set->program, P2P_VERSION);
        p2p_libraries_print();
        return true;
    }
    return false;
}

/* ---- Environment ---- */

static void
environment_name(const char *option, char out[NAME_MAX_BYTES])
{
    size_t n = (size_t)snprintf(out, NAME_MAX_BYTES, "P2P_%s", option);

    for (size_t i = 4; i < n && i < NAME_MAX_BYTES; i++)
        out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
}

/* Splits the words of a list variable into texts that live as long as the options. */
static enum p2p_err
set_words(struct p2p_option_parse *parse, size_t i, const char *shown,
          const char *value)
{
    char *save = NULL;
    char *words = p2p_options_keep(parse->text, value, strlen(value));
    enum p2p_err err = words != NULL ? P2P_OK : P2P_ERR_NOMEM;

    for (char *word = words ? strtok_r(words, " \t\n", &save) : NULL;
         word != NULL && err == P2P_OK; word = strtok_r(NULL, " \t\n", &save))
        err = p2p_option_set_value(parse, i, P2P_FROM_ENVIRONMENT, shown, word);
    return err;
}

static enum p2p_err
set_from_environment(struct p2p_option_parse *parse, size_t i)
{
    char name[NAME_MAX_BYTES], negated[NAME_MAX_BYTES], no_option[NAME_MAX_BYTES];
    void *field;
    const struct p2p_option *option = p2p_option_at(parse, i, &field);
    const char *value, *off = NULL;

    if (field == (void *)&parse->common.help || field == (void *)&parse->common.version)
        return P2P_OK;
    environment_name(option->name, name);
    value = getenv(name);
    snprintf(no_option, sizeof(no_option), "no-%s", option->name);
    environment_name(no_option, negated);
    if (option->kind == P2P_OPT_FLAG)
        off = getenv(negated);
    if (off != NULL && off[0] != '\0' && value != NULL && value[0] != '\0')
        return p2p_option_complain(parse, "%s and %s are both set: unset one of them",
                                   name, negated);
    if (off != NULL && off[0] != '\0')
        return p2p_option_set_value(parse, i, P2P_FROM_ENVIRONMENT, negated,
                                    p2p_option_negate(off));
    if (value == NULL || value[0] == '\0')
        return P2P_OK;
    return option->kind == P2P_OPT_LIST
               ? set_words(parse, i, name, value)
               : p2p_option_set_value(parse, i, P2P_FROM_ENVIRONMENT, name, value);
}

extern char **environ;

/* Finds misspelt variables, such as P2P_PROT for P2P_PORT. Names that resemble no
 * option may belong to another program. */
static enum p2p_err
check_environment_name(const struct p2p_option_parse *parse, const char *variable)
{
    char name[NAME_MAX_BYTES], right[NAME_MAX_BYTES];
    const char *near;
    size_t len = strcspn(variable, "=");

    if (strncasecmp(variable, "P2P_", 4) != 0 || len >= sizeof(name) ||
        strncmp(variable, "P2P_HOME=", 9) == 0)
        return P2P_OK;
    for (size_t i = 4; i <= len; i++)
        name[i - 4] = i == len             ? '\0'
                      : variable[i] == '_' ? '-'
                                           : (char)tolower((unsigned char)variable[i]);
    near = p2p_option_is_known(name, false) ? name : p2p_option_near(parse, name);
    if (near == NULL)
        return P2P_OK;
    environment_name(near, right);
    if (strlen(right) == len && memcmp(right, variable, len) == 0)
        return P2P_OK;
    return p2p_option_complain(parse, "unknown variable %.*s; did you mean %s?",
                               (int)len, variable, right);
}

static enum p2p_err
parse_environment(struct p2p_option_parse *parse)
{
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < parse->set->count + P2P_COMMON_OPTIONS && err == P2P_OK; i++)
        err = set_from_environment(parse, i);
    for (char **at = environ; at != NULL && *at != NULL && err == P2P_OK; at++)
        err = check_environment_name(parse, *at);
    return err;
}

/* ---- All together ---- */

static enum p2p_err
apply_log_options(const struct p2p_option_parse *parse)
{
    enum p2p_log_level level = P2P_LOG_INFO;
    enum p2p_log_format format = P2P_LOG_TEXT;

    if (parse->common.log_level != NULL &&
        p2p_log_parse_level(parse->common.log_level, &level) != P2P_OK)
        return p2p_option_complain(
            parse, "invalid %s %s: use error, warn, info or debug",
            p2p_options_place(parse->text, parse->common.log_level),
            parse->common.log_level);
    if (parse->common.log_format != NULL &&
        p2p_log_parse_format(parse->common.log_format, &format) != P2P_OK)
        return p2p_option_complain(
            parse, "invalid %s %s: use text or json",
            p2p_options_place(parse->text, parse->common.log_format),
            parse->common.log_format);
    if (parse->common.verbose && parse->common.log_level == NULL)
        level = P2P_LOG_DEBUG;
    parse->text->level = level;
    parse->text->format = format;
    p2p_log_init(parse->set->program, level);
    p2p_log_set_format(format);
    return P2P_OK;
}

/* Reads the sources from the strongest to the weakest, because the name of the file may
 * come from the others. */
static enum p2p_err
parse_all(struct p2p_option_parse *parse, int argc, char **argv, int *arguments)
{
    enum p2p_err err = parse_argv(parse, argc, argv, arguments);

    if (err == P2P_OK)
        err = parse_environment(parse);
    if (err == P2P_OK && parse->common.config == NULL)
        parse->common.config = parse->home_config;
    if (err == P2P_OK && parse->common.config != NULL)
        err = p2p_options_read_file(parse, parse->common.config);
    if (err == P2P_OK)
        err = apply_log_options(parse);
    parse->text->config = parse->common.config;
    if (err == P2P_OK && !p2p_options_are_refused_in_log())
        p2p_options_tell_of_folder(parse);
    return err;
}

/* A help that did not arrive is a failure. */
static enum p2p_err
end_answer(const struct p2p_option_parse *parse)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return P2P_ERR_CANCELLED;
    (void)p2p_option_complain(parse, "cannot write to standard output: %s",
                              strerror(errno));
    return P2P_ERR_SYS;
}

enum p2p_err
p2p_options_parse(const struct p2p_option_set *set, void *target, int argc, char **argv,
                  int *arguments, struct p2p_options_text **text)
{
    struct p2p_option_parse parse = {.set = set, .target = target};
    enum p2p_err err;

    *text = NULL;
    *arguments = 0;
    parse.sources = calloc(set->count + P2P_COMMON_OPTIONS, sizeof(*parse.sources));
    parse.text = calloc(1, sizeof(*parse.text));
    if (parse.sources == NULL || parse.text == NULL)
        err = P2P_ERR_NOMEM;
    else
        err = p2p_options_use_home(&parse);
    if (err == P2P_OK && answer_common(&parse, argc, argv))
        err = end_answer(&parse);
    else if (err == P2P_OK)
        err = parse_all(&parse, argc, argv, arguments);
    free(parse.sources);
    if (err == P2P_OK)
        *text = parse.text;
    else
        p2p_options_free(parse.text);
    return err;
}
