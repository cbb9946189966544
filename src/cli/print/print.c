/* Messages; text for people: names, sizes, times. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
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

int
cli_download_ended(enum p2p_err err)
{
    if (err == P2P_ERR_CANCELLED)
        cli_say("stopped; what was downloaded is kept: run the same command again to "
                "resume");
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
