/* p2p token: access of scripts and other devices to this machine's dashboard. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "p2p/devices.h"

struct token_options {
    struct cli_common common;
};
static const struct p2p_option options[] = {
    CLI_OPTION_KEYS(struct token_options),
    CLI_OPTION_JSON(struct token_options),
};
static const struct p2p_option_set set = {
    "p2p token", "[options] new NAME | list | revoke ID",
    "Makes, lists and takes away tokens for the dashboard's API (Authorization: "
    "Bearer). "
    "Paired browsers are in the same list.",
    options, sizeof(options) / sizeof(options[0])};

static void
put_device(cJSON *object, const struct p2p_device *device)
{
    cli_put_text(object, "id", device->id);
    cli_put_text(object, "name", device->name);
    cli_put_text(object, "kind", p2p_device_kind_name(device->kind));
    cli_put_number(object, "created", device->created_s);
    cli_put_number(object, "last_seen", device->last_seen_s);
    cli_put_text(object, "address", device->address);
}

static int
make(struct p2p_devices *devices, const char *name, bool json)
{
    char token[P2P_DEVICE_TOKEN_LEN + 1];
    struct p2p_device device;
    enum p2p_err err =
        p2p_devices_add(devices, P2P_DEVICE_TOKEN, name, "", &device, token);

    if (err != P2P_OK)
        return cli_fail(err, "no token was made: %s", p2p_err_text(err));
    if (json) {
        cJSON *object = cli_object();
        put_device(object, &device);
        cli_put_text(object, "token", token);
        cli_print_json(object);
    } else {
        printf("%s\n", token);
        cli_say("this is shown once; `p2p token revoke %s` takes it away", device.id);
    }
    p2p_wipe(token, sizeof(token));
    return 0;
}

static int
list(struct p2p_devices *devices, bool json)
{
    cJSON *object = json ? cli_object() : NULL;
    cJSON *array = json ? cli_put_array(object, "devices") : NULL;
    struct p2p_device *all = NULL;
    size_t count = 0;
    enum p2p_err err = p2p_devices_list(devices, &all, &count);

    for (size_t i = 0; i < count; i++) {
        char name[CLI_TEXT], address[CLI_TEXT], seen[CLI_SHORT];
        if (json)
            put_device(cli_add_object(array), &all[i]);
        else
            printf("%s  %-7s  %-16s  %-20s  %s\n", all[i].id,
                   p2p_device_kind_name(all[i].kind),
                   cli_time(all[i].last_seen_s, seen),
                   cli_text(all[i].address, address), cli_text(all[i].name, name));
    }
    free(all);
    if (err == P2P_OK && json)
        cli_print_json(object);
    else
        cJSON_Delete(object);
    if (err != P2P_OK)
        return cli_fail(err, "the list of devices: %s", p2p_err_text(err));
    if (count == 0 && !json)
        cli_say("no device has access");
    return 0;
}

static int
revoke(struct p2p_devices *devices, const char *id)
{
    char shown[CLI_TEXT];
    enum p2p_err err = p2p_devices_remove(devices, id);

    if (err == P2P_ERR_NOT_FOUND)
        return cli_fail(err, "no device has the id %s; `p2p token list` shows them",
                        cli_text(id, shown));
    if (err != P2P_OK)
        return cli_fail(err, "device %s: %s", cli_text(id, shown), p2p_err_text(err));
    cli_say("%s has no access any more", id);
    return 0;
}

int
cmd_token(int argc, char **argv)
{
    struct token_options opt = {.common = CLI_DEFAULTS};
    struct p2p_identity *identity = NULL;
    struct p2p_devices *devices = NULL;
    int arguments, status;
    enum p2p_err err;
    bool is_new, is_list, is_revoke;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    is_new = arguments == 2 && strcmp(argv[1], "new") == 0;
    is_list = arguments == 1 && strcmp(argv[1], "list") == 0;
    is_revoke = arguments == 2 && strcmp(argv[1], "revoke") == 0;
    if (!is_new && !is_list && !is_revoke)
        return cli_fail(P2P_ERR_USAGE,
                        "p2p token new NAME, p2p token list or p2p token "
                        "revoke ID is needed");
    /* Whoever can read the key may let others in; the directory is made with it. */
    err = cli_open_identity(&opt.common, &identity);
    if (err != P2P_OK)
        return p2p_err_exit_status(err);
    err = p2p_devices_open(opt.common.keys_dir, &devices);
    if (err != P2P_OK)
        status =
            cli_fail(err, "%s/devices.db: %s", opt.common.keys_dir, p2p_err_text(err));
    else
        status = is_new    ? make(devices, argv[2], opt.common.json)
                 : is_list ? list(devices, opt.common.json)
                           : revoke(devices, argv[2]);
    p2p_devices_close(devices);
    p2p_identity_close(identity);
    return status;
}
