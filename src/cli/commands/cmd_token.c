/* p2p token: manages the access of scripts and browsers to this machine's dashboard. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands/commands.h"
#include "p2p/crypto.h"
#include "p2p/devices.h"
#include "p2p/path.h"

struct token_options {
    struct cli_common common;
};
static const struct p2p_option options[] = {
    CLI_OPTION_KEYS(struct token_options),
    CLI_OPTION_JSON(struct token_options),
};
static const struct p2p_option_set set = {
    "p2p token", "[options] new [NAME] | list | revoke ID | admin ID [on|off]",
    "Manages the access of scripts and browsers to the dashboard. A script sends a "
    "token with each request (Authorization: Bearer TOKEN). A new token is shown only "
    "once. The list contains tokens and paired browsers; revoke ends the access of one "
    "of them at once. admin makes a paired browser an administrator, which may do "
    "everything that the owner may do in the dashboard; with off it is an ordinary one "
    "again.",
    options, sizeof(options) / sizeof(options[0])};

static void
put_device(struct cJSON *object, const struct p2p_device *d)
{
    cli_put_text(object, "id", d->id);
    cli_put_text(object, "name", d->name);
    cli_put_text(object, "kind", p2p_device_kind_name(d->kind));
    cli_put_bool(object, "administrator", d->is_admin);
    cli_put_number(object, "created", d->created_s);
    cli_put_number(object, "last_seen", d->last_seen_s);
    cli_put_text(object, "address", d->address[0] != '\0' ? d->address : NULL);
}

static int
make(const struct token_options *opt, struct p2p_devices *devices, const char *name)
{
    char token[P2P_DEVICE_TOKEN_LEN + 1];
    struct p2p_device d;
    enum p2p_err err = p2p_devices_add(devices, P2P_DEVICE_TOKEN, name, "", &d, token);

    if (err == P2P_ERR_TOO_LARGE)
        return cli_fail(err,
                        "there are already %d devices and tokens; revoke one first",
                        P2P_DEVICES_MAX);
    if (err != P2P_OK)
        return cli_fail(err, "cannot create a token: %s", p2p_err_text(err));
    if (opt->common.json) {
        struct cJSON *object = cli_object();
        put_device(object, &d);
        cli_put_text(object, "token", token);
        cli_print_json(object);
    } else {
        cli_say("save the token now, it is not shown again; its id is %s", d.id);
        printf("%s\n", token);
    }
    p2p_wipe(token, sizeof(token));
    return 0;
}

static void
print_device(const struct p2p_device *d)
{
    char name[CLI_TEXT], seen[CLI_SHORT] = "never";

    if (d->last_seen_s > 0)
        cli_time(d->last_seen_s, seen);
    printf("%s  %-7s  %-16s  %s\n", d->id,
           d->is_admin ? "admin" : p2p_device_kind_name(d->kind), seen,
           cli_text(d->name, name));
}

static int
list(const struct token_options *opt, struct p2p_devices *devices)
{
    struct cJSON *object = opt->common.json ? cli_object() : NULL, *array = NULL;
    struct p2p_device *all = NULL;
    size_t count = 0;
    enum p2p_err err = p2p_devices_list(devices, &all, &count);

    if (err != P2P_OK)
        return cli_fail(err, "cannot read the list of devices: %s", p2p_err_text(err));
    if (object != NULL)
        array = cli_put_array(object, "devices");
    for (size_t i = 0; i < count; i++) {
        if (object != NULL)
            put_device(cli_add_object(array), &all[i]);
        else
            print_device(&all[i]);
    }
    if (object != NULL)
        cli_print_json(object);
    else if (count == 0)
        cli_say("no device is paired and there are no tokens");
    free(all);
    return 0;
}

static int
revoke(struct p2p_devices *devices, const char *id)
{
    char text[CLI_TEXT];
    enum p2p_err err = p2p_devices_remove(devices, id);

    if (err == P2P_ERR_NOT_FOUND)
        return cli_fail(err, "no such device or token: %s; `p2p token list` shows them",
                        cli_text(id, text));
    if (err != P2P_OK)
        return cli_fail(err, "cannot revoke it: %s", p2p_err_text(err));
    cli_say("%s no longer has access", cli_text(id, text));
    return 0;
}

static int
set_admin(struct p2p_devices *devices, const char *id, bool on)
{
    char text[CLI_TEXT];
    enum p2p_err err = p2p_devices_set_admin(devices, id, on);

    if (err == P2P_ERR_NOT_FOUND)
        return cli_fail(err, "no such paired browser: %s; `p2p token list` shows them",
                        cli_text(id, text));
    if (err != P2P_OK)
        return cli_fail(err, "cannot change it: %s", p2p_err_text(err));
    cli_say(on ? "%s may do everything in the dashboard now"
               : "%s is an ordinary device again",
            cli_text(id, text));
    return 0;
}

static int
act(const struct token_options *opt, struct p2p_devices *devices, int argc, char **argv)
{
    if ((argc == 1 || argc == 2) && strcmp(argv[1], "new") == 0)
        return make(opt, devices, argc == 2 ? argv[2] : "token");
    if (argc == 1 && strcmp(argv[1], "list") == 0)
        return list(opt, devices);
    if (argc == 2 && strcmp(argv[1], "revoke") == 0)
        return revoke(devices, argv[2]);
    if (argc == 2 && strcmp(argv[1], "admin") == 0)
        return set_admin(devices, argv[2], true);
    if (argc == 3 && strcmp(argv[1], "admin") == 0 &&
        (strcmp(argv[3], "on") == 0 || strcmp(argv[3], "off") == 0))
        return set_admin(devices, argv[2], strcmp(argv[3], "on") == 0);
    return cli_fail(P2P_ERR_USAGE, "missing or unknown command; use p2p token new "
                                   "[NAME], list, revoke ID, or admin ID [on|off]");
}

int
cmd_token(int argc, char **argv)
{
    struct token_options opt = {.common = CLI_DEFAULTS};
    struct p2p_root *keys = NULL;
    struct p2p_devices *devices = NULL;
    int arguments, status;
    enum p2p_err err;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    /* The directory is created at the first use. The key in it and its passphrase are
     * not needed. */
    err = p2p_root_open(opt.common.keys_dir, true, 0700, &keys);
    if (err == P2P_OK)
        err = p2p_devices_open(opt.common.keys_dir, &devices);
    if (err == P2P_OK)
        status = act(&opt, devices, arguments, argv);
    else
        status = cli_fail(err, "cannot open the list of devices in %s: %s",
                          opt.common.keys_dir, p2p_err_text(err));
    p2p_devices_close(devices);
    p2p_root_close(keys);
    return status;
}
