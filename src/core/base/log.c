#include "p2p/log.h"
#include "p2p/lock.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "p2p/bytes.h"

enum { LINE_MAX_BYTES = 2048 };

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *program_name = "p2p";
static atomic_int max_level = P2P_LOG_INFO;

P2P_MUTEX_KIND(log_lock);
static struct log_lock lock = P2P_MUTEX_INITIALIZER;
static p2p_log_sink *line_sink P2P_GUARDED_BY(log_lock);
static void *line_sink_arg P2P_GUARDED_BY(log_lock);

void
p2p_log_init(const char *program, enum p2p_log_level level)
{
    program_name = program;
    p2p_log_set_level(level);
}

void
p2p_log_set_level(enum p2p_log_level level)
{
    atomic_store(&max_level, (int)level);
}

const char *
p2p_log_level_name(enum p2p_log_level level)
{
    return level_names[level];
}

enum p2p_err
p2p_log_parse_level(const char *text, enum p2p_log_level *level)
{
    for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level = (enum p2p_log_level)i;
            return P2P_OK;
        }
    }
    return P2P_ERR_USAGE;
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

void
p2p_log(enum p2p_log_level level, const char *format, ...)
{
    char text[LINE_MAX_BYTES], stamp[32];
    struct timespec now;
    struct tm utc;
    va_list args;

    if (!p2p_log_is_on(level))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);

    p2p_lock(&lock);
    fprintf(stderr, "%s.%03ldZ %s %s: %s\n", stamp, now.tv_nsec / 1000000,
            level_names[level], program_name, text);
    if (line_sink != NULL)
        line_sink(line_sink_arg, level, text);
    p2p_unlock(&lock);
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
