/*
 * options - reads the settings of every program: flag > environment > file > default.
 *
 * A program describes its options once, in a table. The same table parses the command
 * line (`--name value`, `--name=value`, `--flag`, `--no-flag`, `--` ends options), the
 * environment (`P2P_<NAME>`, '-' as '_'; lists separated by spaces) and the INI file
 * named by `--config` (`name = value` lines, `#` and `;` comments), and prints --help.
 * In the file, lines before the first `[section]` are for all programs, `[p2p-peer]` is
 * for that one, `[p2p]` for all commands and `[p2p get]` for one.
 *
 * A setting that can have no effect is USAGE: a section of no program, a name that no
 * program has, in its own section a name that the program does not have, or a variable
 * whose name resembles that of an option. `no-flag = yes` and `P2P_NO_FLAG=1` mean
 * `--no-flag`. Every program has --help, --version, --config, --log-level and
 * --log-format (both applied to the log). Values are checked when they are parsed; the
 * message names the option, the value, and valid values. Call before threads start.
 */
#ifndef P2P_OPTIONS_H
#define P2P_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"
#include "p2p/log.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

enum p2p_option_kind {
    P2P_OPT_TEXT,   /* const char * ; borrows argv, environment or the options object */
    P2P_OPT_WORD,   /* the same, but from the command line only: in the file or the
                     * environment, this name belongs to other programs */
    P2P_OPT_LIST,   /* struct p2p_option_list; repeatable; replaces the default */
    P2P_OPT_FLAG,   /* bool */
    P2P_OPT_NUMBER, /* uint64_t, plain */
    P2P_OPT_SIZE,   /* uint64_t bytes: 1M, 64K, 2G (1024), "off" = 0 */
    P2P_OPT_DURATION, /* uint64_t milliseconds: 30 or 30s, 5m, 2h, 250ms */
};
#define P2P_OPTION_LIST_MAX 32
struct p2p_option_list {
    const char *at[P2P_OPTION_LIST_MAX + 1]; /* NULL behind the last */
    size_t count;
};

struct p2p_option {
    const char *name; /* without the dashes */
    enum p2p_option_kind kind;
    size_t offset;     /* of the field in the program's options struct (offsetof) */
    uint64_t min, max; /* for numbers, sizes, durations; both 0: no bound */
    const char *value; /* what --help calls the value, e.g. "PORT" */
    const char *help;  /* one line; the default is shown after it */
};

struct p2p_option_set {
    const char *program; /* "p2p-peer", "p2p get" */
    const char *usage;   /* "[options]", "[options] NAME" */
    const char *summary; /* one sentence */
    const struct p2p_option *options;
    size_t count;
};

/* Keeps the text of the configuration file alive; free with p2p_options_free (NULL is
 * fine) when the last text option was used. */
struct p2p_options_text;

/*
 * Fills `target`, which contains the defaults. `argv` is reordered so that arguments
 * come first: `*arguments` of them at argv[1..]. P2P_OK: continue. CANCELLED: --help or
 * --version was printed on stdout: exit 0. USAGE: a message was printed on stderr: exit
 * 2.
 */
P2P_MUST_CHECK enum p2p_err p2p_options_parse(const struct p2p_option_set *set,
                                              void *target, int argc, char **argv,
                                              int *arguments,
                                              struct p2p_options_text **text);
/* Says why a setting is refused, for checks beyond a single value: like the messages of
 * p2p_options_parse. Returns USAGE. */
enum p2p_err p2p_options_refuse(const char *program, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Where a text or an entry of a list was set, for the beginning of such a message:
 * "--limit-rate", "P2P_LIMIT_RATE" or "p2p.conf:3: limit-rate". `value` is the pointer
 * in the target. Borrowed from `text`. */
const char *p2p_options_place(const struct p2p_options_text *text, const char *value);
/* True if errors are logged instead of printed: for a running daemon. */
void p2p_options_refuse_in_log(bool in_log);
/* The file that was read: that of --config or the one in the home. NULL: none. Borrowed
 * from `text`. */
const char *p2p_options_config(const struct p2p_options_text *text);
/* The log level of these options. */
enum p2p_log_level p2p_options_log_level(const struct p2p_options_text *text);
/* The format of log lines of these options. */
enum p2p_log_format p2p_options_log_format(const struct p2p_options_text *text);

/* Accepts NULL. Texts from the configuration file become invalid. */
void p2p_options_free(struct p2p_options_text *text);

/* The libraries that this process has loaded and their versions, a line each, as
 * --version prints them. */
void p2p_libraries_print(void);

/* Parses sizes and durations as above, for other purposes (rates, timetables). RANGE,
 * USAGE. */
P2P_MUST_CHECK enum p2p_err p2p_size_parse(const char *text, uint64_t *bytes);
/* Parses a duration and gives it in milliseconds. RANGE, USAGE. */
P2P_MUST_CHECK enum p2p_err p2p_duration_parse(const char *text, uint64_t *ms);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
