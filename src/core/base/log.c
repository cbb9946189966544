#include "p2p/log.h"
#include "p2p/lock.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/log_line.h"
#include "p2p/bytes.h"

enum { TEXT_MAX_BYTES = 2048 };

static const char *program_name = "p2p";
static const char *const format_names[] = {"text", "json"};
static atomic_int max_level = P2P_LOG_INFO;
static atomic_int line_format = P2P_LOG_TEXT;
static atomic_bool is_journal;

P2P_MUTEX_KIND(log_lock);
static struct log_lock lock = P2P_MUTEX_INITIALIZER;
static p2p_log_sink *line_sink P2P_GUARDED_BY(log_lock);
static void *line_sink_arg P2P_GUARDED_BY(log_lock);

/* systemd sets JOURNAL_STREAM to "device:inode". Programs inherit the variable even
 * when their stderr is redirected, so the two numbers decide (systemd.exec(5)). */
static bool
is_stderr_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char own[64];
    struct stat st;

    if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
        return false;
    snprintf(own, sizeof(own), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    return strcmp(stream, own) == 0;
}

void
p2p_log_init(const char *program, enum p2p_log_level level)
{
    program_name = program;
    atomic_store(&is_journal, is_stderr_journal());
    p2p_log_set_level(level);
}

bool
p2p_log_is_journal(void)
{
    return atomic_load(&is_journal);
}

void
p2p_log_set_format(enum p2p_log_format format)
{
    atomic_store(&line_format, (int)format);
}

const char *
p2p_log_format_name(enum p2p_log_format format)
{
    return format_names[format];
}

enum p2p_err
p2p_log_parse_format(const char *text, enum p2p_log_format *format)
{
    for (unsigned i = 0; i < sizeof(format_names) / sizeof(format_names[0]); i++) {
        if (strcmp(text, format_names[i]) == 0) {
            *format = (enum p2p_log_format)i;
            return P2P_OK;
        }
    }
    return P2P_ERR_USAGE;
}

void
p2p_log_set_level(enum p2p_log_level level)
{
    atomic_store(&max_level, (int)level);
}

bool
p2p_log_is_on(enum p2p_log_level level)
{
    return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

void
p2p_log_set_sink(p2p_log_sink *sink, void *arg)
{
    p2p_lock(&lock);
    line_sink = sink;
    line_sink_arg = arg;
    p2p_unlock(&lock);
}

static void
write_line(enum p2p_log_level level, const char *text, bool is_notice)
    P2P_REQUIRES(log_lock)
{
    static char line[P2P_LOG_LINE_MAX];
    struct p2p_log_event event = {
        .level = level,
        .program = program_name,
        .text = text,
        .is_notice = is_notice,
    };

    clock_gettime(CLOCK_REALTIME, &event.time);
    (void)p2p_log_line(&event, (enum p2p_log_format)atomic_load(&line_format),
                       atomic_load(&is_journal), line, sizeof(line));
    fputs(line, stderr);
    if (is_notice)
        explicit_bzero(line, sizeof(line)); /* it may contain a code */
}

void
p2p_log(enum p2p_log_level level, const char *format, ...)
{
    char text[TEXT_MAX_BYTES];
    va_list args;

    if (!p2p_log_is_on(level))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    p2p_lock(&lock);
    write_line(level, text, false);
    if (line_sink != NULL)
        line_sink(line_sink_arg, level, text);
    p2p_unlock(&lock);
}

void
p2p_log_notice(enum p2p_log_level level, const char *format, ...)
{
    char text[TEXT_MAX_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    p2p_lock(&lock);
    write_line(level, text, true);
    p2p_unlock(&lock);
    explicit_bzero(text, sizeof(text));
}

/* True if the character can be printed unchanged: no control character, no character
 * that reorders or hides text, no quote. */
static bool
is_plain(uint32_t cp)
{
    if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == '"' || cp == '\\')
        return false;
    return !p2p_utf8_is_invisible(cp);
}

const char *
p2p_log_escape(const void *text, size_t len, char *out, size_t cap)
{
    const uint8_t *in = text;
    size_t used = 0, at = 0;

    if (cap < 4) {
        if (cap > 0)
            out[0] = '\0';
        return cap > 0 ? out : "";
    }
    while (at < len) {
        uint32_t cp;
        size_t n = p2p_utf8_next(in + at, len - at, &cp);
        bool plain = n > 0 && is_plain(cp);
        size_t raw = n > 0 ? n : 1;
        size_t need = plain ? raw : 4 * raw;

        if (used + need + 4 > cap) { /* leave room for "..." and the NUL */
            memcpy(out + used, "...", 4);
            return out;
        }
        if (plain)
            memcpy(out + used, in + at, raw);
        else
            for (size_t i = 0; i < raw; i++)
                snprintf(out + used + 4 * i, 5, "\\x%02x", in[at + i]);
        used += need;
        at += raw;
    }
    out[used] = '\0';
    return out;
}
