/* Output for scripts: an object for every outcome, and an exit status that reports lost
 * output. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/print/print.h"
#include "p2p/log.h"

static struct {
    bool is_asked; /* a word of the command line is --json */
    bool is_parsed, is_json, has_outcome, has_parts;
    enum p2p_err err;
    char message[CLI_TEXT];
} outcome;

static bool
has_word(int argc, char **argv, const char *word)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], word) == 0)
            return true;
    return false;
}

void
cli_outcome_ask(int argc, char **argv)
{
    outcome.is_asked = has_word(argc, argv, "--json");
}

void
cli_outcome_begin(const struct p2p_option_set *set, const void *target,
                  enum p2p_err parsed)
{
    outcome.is_parsed = true;
    outcome.is_json =
        parsed != P2P_OK && parsed != P2P_ERR_CANCELLED && outcome.is_asked;
    for (size_t i = 0; i < set->count && parsed == P2P_OK; i++)
        if (strcmp(set->options[i].name, "json") == 0)
            outcome.is_json =
                *(const bool *)((const char *)target + set->options[i].offset);
}

/* Keeps the first message, because the following ones are advice. */
void
cli_outcome_note(enum p2p_err err, const char *format, va_list args)
{
    if (outcome.err == P2P_OK)
        outcome.err = err;
    if (outcome.message[0] == '\0')
        vsnprintf(outcome.message, sizeof(outcome.message), format, args);
}

/* Of a download, only the last line is an outcome: it tells how the download ended. */
void
cli_outcome_note_printed(const struct cJSON *object)
{
    const char *event =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "event"));

    outcome.has_outcome = event == NULL || strcmp(event, "completed") == 0 ||
                          strcmp(event, "failed") == 0 ||
                          strcmp(event, "cancelled") == 0 ||
                          strcmp(event, "choice") == 0;
}

void
cli_print_json(struct cJSON *object)
{
    char *text = cli_json_text(object);

    cli_outcome_note_printed(object);
    puts(text);
    fflush(stdout);
    cJSON_free(text);
    cJSON_Delete(object);
}

void
cli_print_json_if(bool is_ok, cJSON *object)
{
    if (is_ok && object != NULL)
        cli_print_json(object);
    else
        cJSON_Delete(object);
}

/* For outcomes that have only an exit status. */
static const char *
name_of(int status)
{
    static const enum p2p_err by_status[] = {
        [2] = P2P_ERR_USAGE,         [3] = P2P_ERR_NOT_FOUND, [4] = P2P_ERR_UNREACHABLE,
        [5] = P2P_ERR_HASH_MISMATCH, [6] = P2P_ERR_SYS,       [7] = P2P_ERR_AUTH,
        [8] = P2P_ERR_CANCELLED,     [9] = P2P_ERR_AMBIGUOUS,
    };

    if (outcome.err != P2P_OK)
        return p2p_err_name(outcome.err);
    if (status < (int)(sizeof(by_status) / sizeof(by_status[0])) &&
        by_status[status] != P2P_OK)
        return p2p_err_name(by_status[status]);
    return "FAILED";
}

/* `name` is what it is the outcome of; NULL: of the command. */
static void
print_outcome(int status, const char *name)
{
    struct cJSON *object = cli_object();

    cli_put_text(object, "event",
                 status == 0   ? "completed"
                 : status == 8 ? "cancelled"
                               : "failed");
    if (name != NULL)
        cli_put_text(object, "name", name);
    if (status != 0)
        cli_put_text(object, "error", name_of(status));
    if (status != 0 && outcome.message[0] == '\0')
        snprintf(outcome.message, sizeof(outcome.message),
                 "see the message on standard error");
    cli_put_text(object, "message",
                 outcome.message[0] != '\0' ? outcome.message : NULL);
    cli_print_json(object);
}

void
cli_outcome_end_part(const char *name, int status)
{
    if (outcome.is_json && !outcome.has_outcome)
        print_outcome(status, name);
    outcome.has_parts = true;
    outcome.has_outcome = false;
    outcome.err = P2P_OK;
    outcome.message[0] = '\0';
}

int
cli_outcome_end(int status)
{
    /* It failed before there was a command whose options say so. */
    outcome.is_json |= outcome.is_asked && !outcome.is_parsed && status != 0;
    if (outcome.is_json && !outcome.has_outcome && !outcome.has_parts)
        print_outcome(status, NULL);
    errno = 0;
    if ((fflush(stdout) == 0 && !ferror(stdout)) || status != 0)
        return status; /* a failure was reported already */
    /* A reader must not take half of the output for all of it. */
    fprintf(stderr, "p2p: cannot write to standard output%s%s\n",
            errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
    return p2p_err_exit_status(P2P_ERR_SYS);
}
