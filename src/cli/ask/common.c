/* Parses the options of a command and opens what it needs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask/common.h"
#include "p2p/home.h"
#include "p2p/log.h"
#include "p2p/machine.h"
#include "p2p/settings.h"

bool
cli_parse(const struct p2p_option_set *set, void *target, int argc, char **argv,
          int *arguments, int *status)
{
    /* Kept until exit: options borrow from it. */
    static struct p2p_options_text *text;
    enum p2p_err err = p2p_options_parse(set, target, argc, argv, arguments, &text);

    *status = err == P2P_ERR_CANCELLED ? 0 : p2p_err_exit_status(err);
    cli_outcome_begin(set, target, err);
    return err == P2P_OK;
}

enum p2p_err
cli_open_identity(const struct cli_common *common, struct p2p_identity **out)
{
    char why[512] = "";
    struct p2p_about about;
    enum p2p_err err =
        p2p_machine_about(common->name, common->device_kind, &about, why, sizeof(why));

    *out = NULL;
    if (err == P2P_OK)
        err = p2p_identity_open(common->keys_dir, true, p2p_passphrase_default, NULL,
                                out, why, sizeof(why));
    if (err == P2P_OK)
        p2p_identity_set_about(*out, &about);
    else
        cli_say("%s", why[0] != '\0' ? why : p2p_err_text(err));
    return err;
}

int
cli_open_settings(struct p2p_home *home, struct p2p_settings **out)
{
    enum p2p_err err = p2p_home_find(home);

    *out = NULL;
    if (err != P2P_OK)
        return cli_fail(err, "cannot find your home folder: %s", p2p_err_text(err));
    err = p2p_settings_open(home->config, out);
    return err == P2P_OK
               ? 0
               : cli_fail(err, "cannot read %s: %s", home->config, p2p_err_text(err));
}

enum p2p_err
cli_open_discovery(const struct cli_common *common, struct p2p_discovery **out)
{
    const struct p2p_option_list *urls = &common->discovery;
    enum p2p_err err;

    *out = NULL;
    if (urls->count == 1 && strcmp(urls->at[0], "none") == 0)
        return P2P_OK;
    err = p2p_discovery_open(urls->at, urls->count, common->timeout_ms, out);
    if (err == P2P_ERR_USAGE)
        cli_say("invalid --discovery: use a URL such as http://192.168.1.2:8000");
    else if (err != P2P_OK)
        cli_say("--discovery: %s", p2p_err_text(err));
    return err;
}

void
cli_advise_peer(enum p2p_err err)
{
    if (err == P2P_ERR_UNREACHABLE || err == P2P_ERR_TIMEOUT)
        cli_say("check that p2p-peer runs there and that the firewall allows its port; "
                "`p2p doctor` tests each peer");
}

int
cli_fail_registries(struct p2p_discovery *d, enum p2p_err err)
{
    struct p2p_registry_state states[P2P_OPTION_LIST_MAX];
    size_t count = d == NULL ? 0 : p2p_discovery_states(d, states, P2P_OPTION_LIST_MAX);
    char url[CLI_TEXT];
    bool any = false;

    for (size_t i = 0; i < count; i++) {
        any = any || states[i].reachable;
        cli_say("registry %s: %s%s%s", cli_text(states[i].url, url),
                p2p_err_text(states[i].last_error),
                states[i].detail[0] != '\0' ? ": " : "", states[i].detail);
    }
    if (!any)
        cli_say("no registry answers; start one with p2p-discovery, name another one "
                "with --discovery, or name a peer directly as HOST:PORT");
    return p2p_err_exit_status(err);
}
