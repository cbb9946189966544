/* get - the parts of `p2p get`: finding sources, and showing progress. */
#ifndef CLI_GET_H
#define CLI_GET_H

#include <signal.h>

#include "cli/ask/peers.h"
#include "p2p/contents.h"
#include "p2p/download.h"
#include "p2p/home.h"

struct get_options {
    struct cli_common common;
    const char *peer, *root, *output, *output_dir, *limit_rate, *verify, *save_as,
        *on_conflict, *path;
    struct p2p_option_list from;
    uint64_t connections, protocol, keep_free, version;
    bool any, quiet, reach;
    /* Made of the texts above. */
    enum p2p_on_conflict conflict;
    enum p2p_path_wish wish;
    struct p2p_id peer_id;
    struct p2p_digest wanted_root; /* when root_is_whole */
    bool root_is_whole;
};

/* ---- get_sources.c ---- */

struct get_sources {
    struct p2p_source_spec at[P2P_DOWNLOAD_WAITING_MAX];
    struct p2p_id ids[P2P_DOWNLOAD_WAITING_MAX];
    size_t count;
    size_t claimed; /* the first ones: peers that state to have exactly this content */
    /* The chosen content, as registries or peers of the local network describe it. */
    struct p2p_digest root;
    bool root_known, root_from_user;
    uint64_t size; /* with the root, as announced */
    bool size_known;
};
/* False if the text is not a root or the beginning of one. */
bool get_parse_root(struct get_options *opt);
/* Fills `out` (which must not be moved). Returns 0 or the exit status; prints its own
 * messages. */
int get_find_sources(const struct get_options *opt, const char *name,
                     struct p2p_discovery *d, struct p2p_identity *identity,
                     struct get_sources *out);

/* ---- get_version.c ---- */

/* Asks the first source for the root of --version. Returns 0 or the exit status; prints
 * its own messages. */
int get_find_version(const struct get_options *opt, const char *name,
                     struct p2p_identity *identity, const struct p2p_reach *reach,
                     struct get_sources *sources);

/* ---- get_output.c ---- */

/* Decides what --output means: a folder, a file, or stdout. Returns 0 or the exit
 * status. `output` keeps the folder's path. */
struct get_output {
    char folder[P2P_HOME_PATH_MAX];
    bool is_stdout; /* `folder` is a temporary one then */
};
/* Reads --on-conflict. False: it is none of rename, overwrite, version and skip. */
bool get_parse_conflict(struct get_options *opt);
int get_output_open(struct get_options *opt, size_t names, struct get_output *output);
/* A file that has been downloaded: copied to stdout if that is meant. */
P2P_MUST_CHECK enum p2p_err get_output_write(const struct get_output *output,
                                             const char *stored);
/* Says why that failed; returns the error of the command. */
enum p2p_err get_output_fail(enum p2p_err err);
/* Removes the temporary folder. */
void get_output_close(const struct get_output *output);

/* ---- get_choice.c ---- */

/*
 * Chooses one of the contents of a name: by trust, by --root or --any, or by asking the
 * user on the terminal. NULL in `*out` with 0: no peer states its content. Otherwise
 * returns the exit status; prints its own messages.
 */
int get_choose(const struct get_options *opt, const char *name,
               const struct p2p_contents *contents, const struct p2p_content **out);

/* The same for a folder whose files are in dispute: whose folder is meant. */
int get_choose_folder(const struct get_options *opt, const char *name,
                      const struct p2p_contents *contents,
                      const struct p2p_content **out);

/* ---- get_print.c ---- */

struct get_print {
    bool json, terminal, quiet;
    bool prints_path; /* the paths of downloaded files, on standard output */
    bool is_drawn;    /* a progress line is on the terminal */
    bool told_paused, told_retry;
    enum p2p_path_kind told_path[P2P_DOWNLOAD_SOURCES_MAX]; /* at first DIRECT */
    bool is_verifying;
    bool whole_file; /* --verify full */
    uint64_t started_ms;
    const char *output_dir;
    struct p2p_identity *identity; /* borrowed: for the names of peers */
    enum p2p_source_state told[P2P_DOWNLOAD_SOURCES_MAX];
};
/* Prepares the output of a download: lines of JSON, a progress line, or nothing. */
void get_print_init(struct get_print *print, const struct get_options *opt,
                    struct p2p_identity *identity);
/* Writes the line of progress, in at most `room` columns: the file's name, a bar and
 * numbers. What has no room is left out whole, the least important first. */
#define GET_LINE_MAX 2048
void get_print_line(const struct p2p_download_status *status, size_t room,
                    char line[GET_LINE_MAX]);
/* Shows every event of the download except the last. */
void get_print_event(struct get_print *print, const struct p2p_download_status *status);
void get_print_end(struct get_print *print, const struct p2p_download_status *status);

#endif
