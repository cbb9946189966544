/*
 * print - what the command line writes: messages to stderr, data to stdout. Text for
 * people, JSON for programs, and the outcome of the command. Single-threaded, except
 * for the callbacks of a download.
 */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"
#include "p2p/identity.h"
#include "p2p/names.h"
#include "p2p/options.h"
#include "p2p/reach.h"

struct cJSON;

/* ---- Messages ---- */

/* "p2p: ..." on stderr. */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same; returns the exit status of the error. */
int cli_fail(enum p2p_err err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The exit status of downloads that ended with `err`. After a stop, says that the same
 * command resumes. */
int cli_download_ended(enum p2p_err err);

/* ---- Text for people ---- */

/* Valid file names are shown unchanged, other text is escaped. Returns out. */
#define CLI_TEXT 1100
const char *cli_text(const char *text, char out[CLI_TEXT]);
/* "1.2 GB", "96.0 MB/s", "1:02:03", "2026-01-31 23:59". Return out. */
#define CLI_SHORT 32
const char *cli_size(uint64_t bytes, char out[CLI_SHORT]);
const char *cli_duration(uint64_t seconds, char out[CLI_SHORT]);
const char *cli_time(uint64_t seconds, char out[CLI_SHORT]);

/* ---- JSON; out of memory ends the program ---- */

/* A new object; owned, until cli_print_json takes it. */
struct cJSON *cli_object(void);
void cli_put_text(struct cJSON *object, const char *name,
                  const char *text); /* NULL: null */
void cli_put_number(struct cJSON *object, const char *name, uint64_t value);
void cli_put_bool(struct cJSON *object, const char *name, bool value);
void cli_put_hex(struct cJSON *object, const char *name, const uint8_t digest[32],
                 bool is_known);
/* The name of a peer that may be known; null when it has none. */
void cli_put_name(struct cJSON *object, struct p2p_identity *identity,
                  const struct p2p_id *id, const struct p2p_about *said);
/* Member `path`: how a peer is reached. */
void cli_put_path(struct cJSON *object, enum p2p_path_kind kind, uint64_t rtt_us);
struct cJSON *cli_put_array(struct cJSON *object, const char *name);
struct cJSON *cli_add_object(struct cJSON *array);
/* The text of a member; NULL if it is none. Borrowed from the object. */
const char *cli_text_in(const struct cJSON *object, const char *name);
/* A whole number below 9e15; 0 if the member is none. */
uint64_t cli_number_in(const struct cJSON *object, const char *name);
/* The object as one line; owned, free with cJSON_free. */
char *cli_json_text(const struct cJSON *object);
/* Prints the object as one line on stdout and frees it. */
void cli_print_json(struct cJSON *object);
/* The same unless the command failed; takes the object in every case. NULL is fine. */
void cli_print_json_if(bool is_ok, struct cJSON *object);

/* ---- outcome.c: with --json stdout tells every outcome, failures included ---- */

/* Before anything else: notes whether --json is among the words, whose order changes
 * when they are parsed. */
void cli_outcome_ask(int argc, char **argv);
/* After the options were parsed: notes whether output is JSON. */
void cli_outcome_begin(const struct p2p_option_set *set, const void *target,
                       enum p2p_err parsed);
/* Notes the first error and message of the command. */
void cli_outcome_note(enum p2p_err err, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
/* An object was printed, which may be the outcome. */
void cli_outcome_note_printed(const struct cJSON *object);
/* The command is done with one of several things, and goes on with the next one: prints
 * an object with its name if none was printed for it. */
void cli_outcome_end_part(const char *name, int status);
/* At the end: prints an object if none was printed, and checks that all output was
 * written. Returns the exit status. */
int cli_outcome_end(int status);

#endif
