/*
 * log - one line per event on stderr: `<time> <level> <program>: text key=value ...`.
 *
 * Levels: error = the operator must act; warn = a peer or the environment
 * misbehaves; info = lifecycle; debug = per message. A line is logged once, by the
 * layer that decides what to do. Text that came from outside goes through
 * p2p_log_escape. Keys and other secrets never reach a format string.
 * Thread-safe, except for p2p_log_init.
 */
#ifndef P2P_LOG_H
#define P2P_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

enum p2p_log_level { P2P_LOG_ERROR, P2P_LOG_WARN, P2P_LOG_INFO, P2P_LOG_DEBUG };

/* Borrows `program` for the life of the process. Default level: info. */
void p2p_log_init(const char *program, enum p2p_log_level level);

/* Any time, any thread. */
void p2p_log_set_level(enum p2p_log_level level);
/* Its word, as p2p_log_parse_level takes it. */
const char *p2p_log_level_name(enum p2p_log_level level);

/* "error", "warn", "info" or "debug"; anything else is P2P_ERR_USAGE. */
P2P_MUST_CHECK enum p2p_err p2p_log_parse_level(const char *text,
                                                enum p2p_log_level *level);
/* True if lines of this level are written: for callers that would prepare an expensive
 * one. */
bool p2p_log_is_on(enum p2p_log_level level);

/* Writes one line, without a final newline in `format`. Longer lines are cut. */
void p2p_log(enum p2p_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define p2p_log_error(...) p2p_log(P2P_LOG_ERROR, __VA_ARGS__)
#define p2p_log_warn(...)  p2p_log(P2P_LOG_WARN, __VA_ARGS__)
#define p2p_log_info(...)  p2p_log(P2P_LOG_INFO, __VA_ARGS__)
#define p2p_log_debug(...) p2p_log(P2P_LOG_DEBUG, __VA_ARGS__)

/*
 * A sink that sees every line that is logged (formatted, without the time), for the
 * dashboard's log events. One sink at most; NULL removes it. It is called with a lock
 * held and must not log.
 */
typedef void p2p_log_sink(void *arg, enum p2p_log_level level, const char *text);
void p2p_log_set_sink(p2p_log_sink *sink, void *arg);

/*
 * Makes `text` (`len` bytes, any content) safe for a terminal or a log line:
 * controls, C1, bidi marks, quotes, backslashes and invalid UTF-8 become \xNN;
 * longer than fits is clipped and ends in "...". Writes at most `cap` bytes with a
 * NUL and returns `out`, so it can stand in a format's arguments.
 */
const char *p2p_log_escape(const void *text, size_t len, char *out, size_t cap);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
