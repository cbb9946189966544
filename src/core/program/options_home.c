/* Defaults that depend on the user, and on the location of the program. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/program/options_internal.h"
#include "p2p/home.h"

/* A default of this name in an option of this name is a folder of the home. */
static const struct {
    const char *option, *name;
    size_t path;
} folders[] = {
    {"keys-dir", "keys", offsetof(struct p2p_home, keys_dir)},
    {"shared-dir", "shared", offsetof(struct p2p_home, shared_dir)},
    {"downloads-dir", "downloads", offsetof(struct p2p_home, downloads_dir)},
    {"output-dir", "downloads", offsetof(struct p2p_home, downloads_dir)},
};

static const char *
folder_of(const struct p2p_home *home, const char *option, const char *name)
{
    for (size_t i = 0; name != NULL && i < sizeof(folders) / sizeof(folders[0]); i++)
        if (strcmp(option, folders[i].option) == 0 &&
            strcmp(name, folders[i].name) == 0)
            return (const char *)home + folders[i].path;
    return NULL;
}

static enum p2p_err
set_folders(struct p2p_option_parse *parse, const struct p2p_home *home)
{
    for (size_t i = 0; i < parse->set->count; i++) {
        void *field;
        const struct p2p_option *option = p2p_option_at(parse, i, &field);
        const char **text = field, *path;

        if (option->kind == P2P_OPT_LIST) /* the default is its only value */
            text = ((struct p2p_option_list *)field)->at;
        else if (option->kind != P2P_OPT_TEXT)
            continue;
        path = folder_of(home, option->name, *text);
        if (path == NULL)
            continue;
        *text = p2p_options_keep(parse->text, path, strlen(path));
        if (*text == NULL)
            return P2P_ERR_NOMEM;
    }
    return P2P_OK;
}

enum p2p_err
p2p_options_use_home(struct p2p_option_parse *parse)
{
    struct p2p_home home;
    enum p2p_err err = p2p_home_find(&home);

    if (err != P2P_OK)
        return p2p_option_complain(parse, "cannot find your home folder: set P2P_HOME");
    parse->is_in_folder = home.kind == P2P_HOME_FOLDER;
    if (parse->is_in_folder)
        return P2P_OK;
    err = set_folders(parse, &home);
    if (err == P2P_OK && access(home.config, F_OK) == 0) {
        parse->home_config =
            p2p_options_keep(parse->text, home.config, strlen(home.config));
        err = parse->home_config != NULL ? P2P_OK : P2P_ERR_NOMEM;
    }
    return err;
}

void
p2p_options_tell_of_folder(const struct p2p_option_parse *parse)
{
    size_t i = p2p_option_index(parse, "keys-dir", strlen("keys-dir"));

    if (parse->is_in_folder && i != SIZE_MAX && parse->sources[i] == P2P_FROM_DEFAULT)
        fprintf(stderr,
                "%s: using the identity in keys/ here; to use it in every folder, run "
                "`p2p init --keys-dir keys`\n",
                parse->set->program);
}
