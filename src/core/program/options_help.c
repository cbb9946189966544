/* Prints --help from the table that the parser uses. */
#include <stdio.h>
#include <string.h>

#include "core/program/options_internal.h"

enum { HELP_COLUMN = 28, LINE_COLUMNS = 80, DEFAULT_MAX = 256, USAGE_MAX = 512 };

/* The default value in the form a person would write it; empty when there is none to
 * show. */
static void
format_default(const struct p2p_option *option, const void *field,
               char out[DEFAULT_MAX])
{
    const struct p2p_option_list *list = field;
    size_t used = 0;

    out[0] = '\0';
    switch (option->kind) {
    case P2P_OPT_FLAG:
        if (*(const bool *)field)
            snprintf(out, DEFAULT_MAX, "default on; --no-%s turns it off",
                     option->name);
        return;
    case P2P_OPT_TEXT:
    case P2P_OPT_WORD:
        if (*(const char *const *)field != NULL)
            snprintf(out, DEFAULT_MAX, "default %s", *(const char *const *)field);
        return;
    case P2P_OPT_LIST:
        for (size_t i = 0; i < list->count && used < DEFAULT_MAX; i++)
            used += (size_t)snprintf(out + used, DEFAULT_MAX - used, "%s %s",
                                     i == 0 ? "default" : "", list->at[i]);
        return;
    case P2P_OPT_SIZE:
    case P2P_OPT_DURATION:
    case P2P_OPT_NUMBER:
        break;
    }
    if (*(const uint64_t *)field == 0 && option->min == 0 &&
        option->kind == P2P_OPT_SIZE) {
        snprintf(out, DEFAULT_MAX, "default: no limit");
        return;
    }
    memcpy(out, "default ", 9);
    p2p_option_format_value(option, *(const uint64_t *)field, out + 8, DEFAULT_MAX - 8);
}

/* Prints `text` from `column` on; the lines after the first begin at `indent`. */
static void
print_wrapped(const char *text, int column, int indent)
{
    while (*text != '\0') {
        int len = (int)strcspn(text, " ");
        if (column > indent && column + 1 + len > LINE_COLUMNS) {
            printf("\n%*s", indent, "");
            column = indent;
        }
        column += printf("%s%.*s", column > indent ? " " : "", len, text);
        text += len;
        text += strspn(text, " ");
    }
}

static void
print_option(const struct p2p_option *option, const void *field)
{
    char value[DEFAULT_MAX], line[DEFAULT_MAX + 512];
    bool repeats = option->kind == P2P_OPT_LIST &&
                   strstr(option->help, "repeat") == NULL &&
                   strstr(option->help, "several times") == NULL;
    char letter[] = "; -x for short";
    int column = printf("  --%s%s%s", option->name, option->value != NULL ? " " : "",
                        option->value != NULL ? option->value : "");

    if (column >= HELP_COLUMN - 1) {
        putchar('\n');
        column = 0;
    }
    column += printf("%*s", HELP_COLUMN - column, "");
    format_default(option, field, value);
    letter[3] = p2p_option_letter(option->name);
    snprintf(line, sizeof(line), "%s%s%s%s%s%s", option->help,
             letter[3] != '\0' ? letter : "", repeats ? "; may be repeated" : "",
             value[0] != '\0' ? " (" : "", value, value[0] != '\0' ? ")" : "");
    print_wrapped(line, column, HELP_COLUMN);
    putchar('\n');
}

void
p2p_options_print_help(const struct p2p_option_parse *parse)
{
    char usage[USAGE_MAX];

    print_wrapped(parse->set->summary, 0, 0);
    printf("\n\n");
    snprintf(usage, sizeof(usage), "Usage: %s %s", parse->set->program,
             parse->set->usage);
    print_wrapped(usage, 0, 4);
    printf("\n\nOptions:\n");
    for (size_t i = 0; i < parse->set->count + P2P_COMMON_OPTIONS; i++) {
        void *field;
        const struct p2p_option *option = p2p_option_at(parse, i, &field);
        if (p2p_option_index(parse, option->name, strlen(option->name)) == i)
            print_option(option, field);
    }
    printf("\nEach option can also be set as P2P_NAME in the environment (with '_' for "
           "'-'),\nor as `name = value` in the file of --config. Sizes: 64K, 10M, 2G "
           "(powers\nof 1024). Times: 250ms, 30s, 5m.\n");
}
