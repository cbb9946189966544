/*
 * reload - reads the options of a running daemon again, compares them with the current
 * ones, and passes changes on to the serving process (guardian.h).
 *
 * The flags and the environment are those of the start, so changes come from the file
 * of --config. `live` options take effect in the running process, `fixed` ones need a
 * restart of the program, and all others need a new serving process. If anything in the
 * file is wrong, nothing changes. Changes of `follow` options are noticed without being
 * told. One thread.
 */
#ifndef P2P_RELOAD_H
#define P2P_RELOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"
#include "p2p/options.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_reload {
    const struct p2p_option_set *set;
    /* Names of options, each NULL or ended by NULL. */
    const char *const *live, *const *fixed, *const *follow;
    void *target; /* the program's options struct, of `size` bytes */
    size_t size;
    struct p2p_options_text **text; /* of the target: replaced and freed */
    /* Parses everything as at the start, into a struct of `size` bytes. */
    enum p2p_err (*parse)(void *arg, void *fresh, struct p2p_options_text **text);
    void *arg;
    /* The former settings, as long as a new process has not become ready; NULL: none.
     */
    void *former;
    struct p2p_options_text *former_text;
    struct p2p_reload_file { /* as p2p_reload_is_due has seen it last */
        bool is_seen;
        uint64_t device, inode, size;
        int64_t modified_s, modified_ns;
    } file;
};

#define P2P_RELOAD_LIVE_MAX 4000

struct p2p_reload_news {
    bool needs_process;
    /* For p2p_reload_take: lines `name=value`; empty: nothing changes there. */
    char live[P2P_RELOAD_LIVE_MAX];
};

/*
 * Reads all options again. P2P_OK: the target has the new settings, except for fixed
 * options, and a log line names what changed and what cannot change. Any error: nothing
 * changed, and a log line tells the reason.
 */
P2P_MUST_CHECK enum p2p_err p2p_reload_read(struct p2p_reload *s,
                                            struct p2p_reload_news *news);

/* If the file has changed since the last look, reads the `follow` options in it. True:
 * one of them has a new value. */
bool p2p_reload_is_due(struct p2p_reload *s);

/* In the serving process: sets live options from `live`. False: a line is wrong, and
 * the lines after it were not read. */
bool p2p_reload_take(struct p2p_reload *s, const char *live);

/* A new process serves with the new settings: the former ones are dropped. */
void p2p_reload_accept(struct p2p_reload *s);
/* It could not: the former ones are in use again. False: there are none. */
bool p2p_reload_go_back(struct p2p_reload *s);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
