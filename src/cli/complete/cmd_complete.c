/* p2p complete: what the completions of the shells offer for a word, one a line. It
 * makes no identity, asks for no passphrase, and prints no messages: a person only
 * pressed Tab. `p2p help` does not list it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands/commands.h"
#include "cli/complete/complete_own.h"
#include "p2p/bytes.h"
#include "p2p/code.h"

enum { TIMEOUT_MS = 1000, FILES_MAX = 100, ID_DIGITS = 16 };

struct complete_options {
    struct cli_common common;
    struct p2p_option_list shared_dirs;
    const char *output_dir;
};
static const struct p2p_option options[] = {
    CLI_OPTION_DISCOVERY(struct complete_options),
    CLI_OPTION_TIMEOUT(struct complete_options),
    CLI_OPTION_KEYS(struct complete_options),
    {"shared-dir", P2P_OPT_LIST, offsetof(struct complete_options, shared_dirs), 0, 0,
     "DIR", "shared folder"},
    {"output-dir", P2P_OPT_TEXT, offsetof(struct complete_options, output_dir), 0, 0,
     "DIR", "folder where downloads are stored"},
};
static const struct p2p_option_set set = {
    "p2p complete",
    "[options] peers|files|codes|shared|deleted|folders|mirrors|unfinished|settings|"
    "links|offers [BEGINNING]",
    "Lists the completions of BEGINNING, for the shells.", options,
    sizeof(options) / sizeof(options[0])};

static bool
begins_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* ---- Peers ---- */

/* Its name if it has one; its id if the word is the beginning of one. */
static void
offer_peer(const struct p2p_id *id, const char *name, const char *beginning)
{
    char hex[P2P_ID_HEX_LEN + 1];

    p2p_hex_format(id->b, sizeof(id->b), hex);
    if (name[0] != '\0' && begins_with(name, beginning))
        puts(name);
    else if (name[0] == '\0' || beginning[0] != '\0')
        if (begins_with(hex, beginning))
            printf("%.*s\n", ID_DIGITS, hex);
}

/* A key with a passphrase stays closed; then only peers online are offered. */
static void
list_known(const struct cli_common *common, struct p2p_known_peer **known,
           size_t *count)
{
    struct p2p_identity *identity = NULL;

    if (p2p_identity_open(common->keys_dir, false, NULL, NULL, &identity, NULL, 0) ==
        P2P_OK)
        (void)!p2p_known_list(identity, known, count); /* none */
    p2p_identity_close(identity);
}

/* Whether the peer was offered by the same name, or has none here and one there. */
static bool
is_offered(const struct p2p_known_peer *known, size_t count,
           const struct p2p_peer_info *peer)
{
    for (size_t i = 0; i < count; i++)
        if (p2p_id_equal(&known[i].id, &peer->id))
            return peer->about.name[0] == '\0' ||
                   strcmp(p2p_known_name(&known[i], NULL), peer->about.name) == 0;
    return false;
}

static void
offer_peers(const struct cli_common *common, struct p2p_discovery *d,
            const char *beginning)
{
    struct p2p_known_peer *known = NULL;
    struct p2p_peer_list peers = {0};
    size_t count = 0;

    list_known(common, &known, &count);
    for (size_t i = 0; i < count; i++)
        offer_peer(&known[i].id, p2p_known_name(&known[i], NULL), beginning);
    if (d != NULL && p2p_discovery_peers(d, &peers) == P2P_OK)
        for (size_t i = 0; i < peers.count; i++)
            if (!is_offered(known, count, &peers.at[i]))
                offer_peer(&peers.at[i].id, peers.at[i].about.name, beginning);
    p2p_peer_list_clear(&peers);
    free(known);
}

/* ---- Files ---- */

/* As for files on disk: up to the next '/', so that folders are offered once. */
static void
offer_file(const char *name, const char *beginning, char last[P2P_NAME_MAX + 1])
{
    char offered[P2P_NAME_MAX + 1];
    const char *end;

    if (!begins_with(name, beginning))
        return;
    end = strchr(name + strlen(beginning), '/');
    snprintf(offered, sizeof(offered), "%.*s",
             end != NULL ? (int)(end + 1 - name) : (int)strlen(name), name);
    if (strcmp(offered, last) != 0)
        puts(offered);
    memcpy(last, offered, sizeof(offered));
}

static void
offer_files(struct p2p_discovery *d, const char *beginning)
{
    struct p2p_search_results results = {0};
    char last[P2P_NAME_MAX + 1] = "";

    if (d == NULL || beginning[0] == '\0' ||
        p2p_discovery_search(d, beginning, P2P_SEARCH_PREFIX, FILES_MAX, &results) !=
            P2P_OK)
        return;
    for (size_t i = 0; i < results.count; i++)
        offer_file(results.at[i].name, beginning, last);
    p2p_search_results_clear(&results);
}

/* ---- Codes ---- */

static void
offer_code(void *arg, const char *text)
{
    (void)arg;
    puts(text);
}

/* Peers and files are asked of the registry. */
static bool
offer_from_registry(const struct cli_common *common, const char *kind,
                    const char *beginning)
{
    const struct p2p_option_list *urls = &common->discovery;
    bool peers = strcmp(kind, "peers") == 0;
    struct p2p_discovery *d = NULL;

    if (!peers && strcmp(kind, "files") != 0)
        return false;
    if (strcmp(urls->at[0], "none") != 0 &&
        p2p_discovery_open(urls->at, urls->count, common->timeout_ms, &d) != P2P_OK)
        d = NULL;
    if (peers) {
        offer_peers(common, d, beginning);
    } else {
        offer_files(d, beginning);
    }
    p2p_discovery_close(d);
    return true;
}

int
cmd_complete(int argc, char **argv)
{
    struct complete_options opt = {.common = CLI_DEFAULTS, .output_dir = "downloads"};
    struct cli_own own = {.common = &opt.common, .shared_dirs = &opt.shared_dirs};
    const char *kind, *beginning;
    int arguments, status;

    opt.common.timeout_ms = TIMEOUT_MS;
    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    own.downloads = opt.output_dir;
    kind = arguments > 0 ? argv[1] : "";
    beginning = arguments == 2 ? argv[2] : "";
    if (arguments > 2 || kind[0] == '\0')
        return cli_fail(P2P_ERR_USAGE, "usage: p2p complete KIND [BEGINNING]");
    if (strcmp(kind, "codes") == 0)
        p2p_code_complete(beginning, offer_code, NULL);
    else if (!offer_from_registry(&opt.common, kind, beginning) &&
             !cli_offer_own(&own, kind, beginning))
        return cli_fail(P2P_ERR_USAGE, "unknown kind; see: p2p complete --help");
    return 0;
}
