/*
 * log - one line per event on stderr: `<time> <level> <program>: text key=value ...`,
 * or one JSON object per line. If stderr is the systemd journal, each line begins with
 * its priority (`<3>` to `<7>`), and a text has no time, level and program of its own.
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

/* TEXT: `text key=value`. JSON: an object with time, level, program and message; the
 * fields at the end of the text are strings in its object `fields`. */
enum p2p_log_format { P2P_LOG_TEXT, P2P_LOG_JSON };

/* Default: text. Any time, any thread. */
void p2p_log_set_format(enum p2p_log_format format);
/* The name of the format as p2p_log_parse_format accepts it. */
const char *p2p_log_format_name(enum p2p_log_format format);
/* "text" or "json"; anything else is P2P_ERR_USAGE. */
P2P_MUST_CHECK enum p2p_err p2p_log_parse_format(const char *text,
                                                 enum p2p_log_format *format);
/* True if stderr is the systemd journal: JOURNAL_STREAM names the device and the inode
 * of stderr. Checked by p2p_log_init. */
bool p2p_log_is_journal(void);

/* Any time, any thread. */
void p2p_log_set_level(enum p2p_log_level level);
/* The name of the level as p2p_log_parse_level accepts it. */
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
 * Writes a line for the person who starts the program, such as how to open the
 * dashboard: at every log level, and never to the sink. As text it is `<program>:
 * text`.
 */
void p2p_log_notice(enum p2p_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

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
