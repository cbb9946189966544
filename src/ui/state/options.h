/* The settings of p2p-ui from its command line. */
#ifndef P2P_UI_OPTIONS_H
#define P2P_UI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "http/tls.h"
#include "p2p/about.h"
#include "p2p/addr.h"
#include "p2p/guardian.h"
#include "p2p/options.h"
#include "p2p/shares.h"

struct ui_options {
    const char *host;
    uint64_t port;
    struct p2p_option_list shared_dirs; /* PATH or NAME=PATH */
    struct p2p_shares_folders folders;  /* of it */
    const char *shared_dir; /* the one with bare names, else the first: uploads go there
                             */
    const char *downloads_dir;
    const char *keys_dir;
    struct p2p_option_list discovery;
    uint64_t peer_port;  /* port of p2p-peer until the registry tells it */
    const char *web_dir; /* NULL: found beside the program, see ui_options_find_web */
    const char *name, *device_kind; /* as given; NULL: the machine's own */
    struct p2p_about about;         /* what they say */
    uint64_t connections;
    uint64_t timeout_ms;
    uint64_t max_running;
    const char *limit_rate;
    bool reach;
    uint64_t keep_free;
    const char *verify;
    uint64_t max_upload;
    bool pairing;         /* --no-pairing */
    bool require_pairing; /* from this machine too */
    struct p2p_option_list allow_host;
    const char *published;        /* --published, or NULL */
    struct p2p_addr published_at; /* the same, parsed */
    struct p2p_option_list trusted_proxy;
    struct http_tls_options tls; /* --tls-cert, --tls-key */
    uint64_t max_connections;
    uint64_t max_connections_per_address;
    uint64_t max_body_memory;
    uint64_t requests_per_second;
    struct p2p_guardian_settings guardian;
    struct p2p_options_text *text; /* memory that the pointers above may point into */
};

/* The table; which options change in a running process, which never change, and which
 * are followed in the file (p2p/reload.h). */
extern const struct p2p_option_set ui_option_set;
extern const char *const ui_fixed_options[];
extern const char *const ui_live_options[];
extern const char *const ui_follow_options[];

/* Parses the options like p2p_options_parse, and checks options that belong together.
 */
P2P_MUST_CHECK enum p2p_err ui_options_parse(struct ui_options *opt, int argc,
                                             char **argv);
void ui_options_clear(struct ui_options *opt);

/* The folder of the dashboard: --web-dir, or web/ beside bin/, or ../share/p2p/web.
 * NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err ui_options_find_web(const struct ui_options *opt, char *out,
                                                size_t cap);

/* --host without the brackets that an address has in a URL; the port is 0. */
void ui_options_host(const struct ui_options *opt, struct p2p_addr *out);

#endif
