/* Messages; text for people: names, sizes, times; JSON for programs. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/print/print.h"
#include "p2p/bytes.h"
#include "p2p/log.h"
#include "p2p/path.h"

__attribute__((format(printf, 1, 0))) static void
say(const char *format, va_list args)
{
    fflush(stdout);
    fputs("p2p: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void
cli_say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    cli_outcome_note(P2P_OK, format, args);
    va_end(args);
    va_start(args, format);
    say(format, args);
    va_end(args);
}

int
cli_fail(enum p2p_err err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    cli_outcome_note(err, format, args);
    va_end(args);
    va_start(args, format);
    say(format, args);
    va_end(args);
    return p2p_err_exit_status(err);
}

const char *
cli_text(const char *text, char out[CLI_TEXT])
{
    size_t len = strlen(text);

    /* A valid name contains no character that controls a terminal. */
    if (len < CLI_TEXT && p2p_name_check(text, len, true) == P2P_OK)
        return strcpy(out, text);
    return p2p_log_escape(text, len, out, CLI_TEXT);
}

const char *
cli_size(uint64_t bytes, char out[CLI_SHORT])
{
    return p2p_size_format(bytes, out);
}

const char *
cli_duration(uint64_t seconds, char out[CLI_SHORT])
{
    if (seconds >= 100 * 3600)
        snprintf(out, CLI_SHORT, "%" PRIu64 " h", seconds / 3600);
    else if (seconds >= 3600)
        snprintf(out, CLI_SHORT, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, seconds / 3600,
                 seconds / 60 % 60, seconds % 60);
    else
        snprintf(out, CLI_SHORT, "%" PRIu64 ":%02" PRIu64, seconds / 60, seconds % 60);
    return out;
}

const char *
cli_time(uint64_t seconds, char out[CLI_SHORT])
{
    time_t at = (time_t)seconds;
    struct tm local;

    if (seconds == 0 || seconds > INT32_MAX || localtime_r(&at, &local) == NULL ||
        strftime(out, CLI_SHORT, "%Y-%m-%d %H:%M", &local) == 0)
        strcpy(out, "-");
    return out;
}

/* ---- JSON ---- */

/* exit() cleans up everything, and without memory nothing can be printed. */
static void *
must(void *made)
{
    if (made == NULL) {
        fputs("p2p: out of memory\n", stderr);
        exit(1);
    }
    return made;
}

struct cJSON *
cli_object(void)
{
    return must(cJSON_CreateObject());
}

void
cli_put_text(struct cJSON *object, const char *name, const char *text)
{
    must(text != NULL ? cJSON_AddStringToObject(object, name, text)
                      : cJSON_AddNullToObject(object, name));
}

void
cli_put_number(struct cJSON *object, const char *name, uint64_t value)
{
    char digits[P2P_U64_TEXT_MAX];

    p2p_u64_format(value, digits);
    must(cJSON_AddRawToObject(object, name, digits));
}

void
cli_put_bool(struct cJSON *object, const char *name, bool value)
{
    must(cJSON_AddBoolToObject(object, name, value));
}

void
cli_put_hex(struct cJSON *object, const char *name, const uint8_t digest[32],
            bool is_known)
{
    char hex[65];

    p2p_hex_format(digest, 32, hex);
    cli_put_text(object, name, is_known ? hex : NULL);
}

void
cli_put_path(cJSON *object, enum p2p_path_kind kind, uint64_t rtt_us)
{
    cJSON *path = cli_object();

    cli_put_text(path, "kind", p2p_path_kind_name(kind));
    if (kind == P2P_PATH_CHANNEL)
        cli_put_number(path, "rtt_ms", rtt_us / 1000);
    cJSON_AddItemToObject(object, "path", path);
}

struct cJSON *
cli_put_array(struct cJSON *object, const char *name)
{
    return must(cJSON_AddArrayToObject(object, name));
}

struct cJSON *
cli_add_object(struct cJSON *array)
{
    cJSON *object = cli_object();

    cJSON_AddItemToArray(array, object);
    return object;
}

void
cli_print_json(struct cJSON *object)
{
    char *text = must(cJSON_PrintUnformatted(object));

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
