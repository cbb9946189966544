/*
 * log_line - the bytes of one log line: plain text, text for the systemd journal, or
 * JSON. Owns nothing and writes nothing. Thread-safe.
 */
#ifndef P2P_LOG_LINE_H
#define P2P_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "p2p/log.h"

/* Room for every line that p2p_log writes: in JSON, a byte can need six. */
#define P2P_LOG_LINE_MAX (16 * 1024)

struct p2p_log_event {
    struct timespec time;
    enum p2p_log_level level;
    const char *program; /* borrowed */
    const char *text;    /* borrowed; fields `key=value` stand at its end */
    bool is_notice;      /* as text: without time and level */
};

/*
 * Formats the event with its line break into `out` (`cap` bytes, with a NUL) and
 * returns the length. Control characters of the text become spaces, because one line is
 * one event. A line that does not fit is cut. `for_journal`: the line begins with its
 * priority as sd-daemon(3) describes it, `<6>`, and a text has no time, level and
 * program, since the journal stores them.
 */
size_t p2p_log_line(const struct p2p_log_event *event, enum p2p_log_format format,
                    bool for_journal, char *out, size_t cap);

#endif
