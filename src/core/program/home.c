#include "p2p/home.h"

#include <ctype.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDENTITY      "keys/private_key.pem"
#define UNIT_SETTINGS "/etc/p2p"
#define USER_SHARED   "Shared"
#define USER_DOWNLOAD "Downloads"

enum { LINE_MAX_BYTES = 1024 };

/* ---- paths ---- */

static enum p2p_err
join(char out[P2P_HOME_PATH_MAX], const char *folder, const char *name)
{
    int n = snprintf(out, P2P_HOME_PATH_MAX, "%s/%s", folder, name);

    return n < P2P_HOME_PATH_MAX ? P2P_OK : P2P_ERR_RANGE;
}

static bool
is_there(const char *folder, const char *name)
{
    char path[P2P_HOME_PATH_MAX];

    return join(path, folder, name) == P2P_OK && access(path, F_OK) == 0;
}

/* The first folder of a variable that lists several. NULL: not set. */
static const char *
variable(const char *name, char out[P2P_HOME_PATH_MAX])
{
    const char *value = getenv(name);
    size_t len = value != NULL ? strcspn(value, ":") : 0;

    if (len == 0 || len >= P2P_HOME_PATH_MAX)
        return NULL;
    memcpy(out, value, len);
    out[len] = '\0';
    return out;
}

static enum p2p_err
make_absolute(const char *path, char out[P2P_HOME_PATH_MAX])
{
    char here[P2P_HOME_PATH_MAX];

    if (path[0] == '/')
        return snprintf(out, P2P_HOME_PATH_MAX, "%s", path) < P2P_HOME_PATH_MAX
                   ? P2P_OK
                   : P2P_ERR_RANGE;
    if (getcwd(here, sizeof(here)) == NULL)
        return P2P_ERR_SYS;
    return join(out, here, path);
}

/* Everything is in one folder, except that the settings may be elsewhere. */
static enum p2p_err
use_folder(struct p2p_home *home, enum p2p_home_kind kind, const char *folder,
           const char *settings)
{
    enum p2p_err err = join(home->config, settings, "p2p.conf");

    home->kind = kind;
    if (err == P2P_OK)
        err = join(home->keys_dir, folder, "keys");
    if (err == P2P_OK)
        err = join(home->shared_dir, folder, "shared");
    if (err == P2P_OK)
        err = join(home->downloads_dir, folder, "downloads");
    return err;
}

/* ---- the source tree ---- */

/* "ROOT/bin/p2p": cuts it to ROOT when that is a source tree with an identity. */
static bool
is_checkout(const char *program, char root[P2P_HOME_PATH_MAX])
{
    char *slash;

    if (program == NULL ||
        snprintf(root, P2P_HOME_PATH_MAX, "%s", program) >= P2P_HOME_PATH_MAX)
        return false;
    slash = strrchr(root, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    slash = strrchr(root, '/');
    if (slash == NULL || strcmp(slash, "/bin") != 0)
        return false;
    *slash = '\0';
    return is_there(root, "scripts/run.sh") && is_there(root, IDENTITY);
}

/* ---- the user ---- */

static const char *
user_folder(void)
{
    const char *home = getenv("HOME");
    const struct passwd *user;

    if (home != NULL && home[0] == '/')
        return home;
    user = getpwuid(geteuid());
    return user != NULL ? user->pw_dir : NULL;
}

/* XDG_DOWNLOAD_DIR="$HOME/Downloads", or an absolute path; other lines are false. */
static bool
take_user_dir(const char *line, const char *user, char out[P2P_HOME_PATH_MAX])
{
    static const char name[] = "XDG_DOWNLOAD_DIR=\"", home[] = "$HOME/";
    char value[LINE_MAX_BYTES];
    size_t len;

    while (isspace((unsigned char)*line))
        line++;
    if (strncmp(line, name, sizeof(name) - 1) != 0)
        return false;
    line += sizeof(name) - 1;
    len = strcspn(line, "\"");
    if (line[len] != '"' || len == 0 || len >= sizeof(value))
        return false;
    memcpy(value, line, len);
    value[len] = '\0';
    if (strncmp(value, home, sizeof(home) - 1) == 0)
        return join(out, user, value + sizeof(home) - 1) == P2P_OK;
    return value[0] == '/' &&
           snprintf(out, P2P_HOME_PATH_MAX, "%s", value) < P2P_HOME_PATH_MAX;
}

/* https://www.freedesktop.org/wiki/Software/xdg-user-dirs/ */
static enum p2p_err
find_downloads(const char *user, const char *settings, char out[P2P_HOME_PATH_MAX])
{
    char path[P2P_HOME_PATH_MAX], line[LINE_MAX_BYTES];
    bool is_found = false;
    FILE *in = NULL;

    if (join(path, settings, "user-dirs.dirs") == P2P_OK)
        in = fopen(path, "re");
    while (in != NULL && !is_found && fgets(line, sizeof(line), in) != NULL)
        is_found = take_user_dir(line, user, out);
    if (in != NULL)
        fclose(in);
    return is_found ? P2P_OK : join(out, user, USER_DOWNLOAD);
}

static enum p2p_err
use_user(struct p2p_home *home, const char *user)
{
    char all[P2P_HOME_PATH_MAX], ours[P2P_HOME_PATH_MAX];
    const char *xdg = getenv("XDG_CONFIG_HOME");
    enum p2p_err err;

    if (xdg != NULL && xdg[0] == '/')
        err = make_absolute(xdg, all);
    else
        err = join(all, user, ".config");
    if (err == P2P_OK)
        err = join(ours, all, "p2p");
    if (err == P2P_OK)
        err = use_folder(home, P2P_HOME_USER, ours, ours);
    if (err == P2P_OK)
        err = join(home->shared_dir, user, USER_SHARED);
    return err == P2P_OK ? find_downloads(user, all, home->downloads_dir) : err;
}

/* ---- all together ---- */

enum p2p_err
p2p_home_find_for(const char *program, struct p2p_home *home)
{
    char folder[P2P_HOME_PATH_MAX], settings[P2P_HOME_PATH_MAX];
    const char *named = getenv("P2P_HOME"), *user = user_folder();
    enum p2p_err err;

    if (named != NULL && named[0] != '\0') {
        err = make_absolute(named, folder);
        return err == P2P_OK ? use_folder(home, P2P_HOME_NAMED, folder, folder) : err;
    }
    if (variable("STATE_DIRECTORY", folder) != NULL)
        return use_folder(home, P2P_HOME_UNIT, folder,
                          variable("CONFIGURATION_DIRECTORY", settings) != NULL
                              ? settings
                              : UNIT_SETTINGS);
    if (is_checkout(program, folder))
        return use_folder(home, P2P_HOME_CHECKOUT, folder, folder);
    err = user != NULL ? use_user(home, user) : P2P_ERR_SYS;
    if (err == P2P_OK && (access(home->config, F_OK) == 0 ||
                          is_there(home->keys_dir, "private_key.pem")))
        return P2P_OK;
    if (access(IDENTITY, F_OK) != 0)
        return err;
    memcpy(settings, home->config, sizeof(settings));
    if (use_folder(home, P2P_HOME_FOLDER, ".", ".") == P2P_OK && err == P2P_OK)
        memcpy(home->config, settings, sizeof(settings));
    return P2P_OK;
}

enum p2p_err
p2p_home_find(struct p2p_home *home)
{
    char program[P2P_HOME_PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);

    if (len > 0)
        program[len] = '\0';
    return p2p_home_find_for(len > 0 ? program : NULL, home);
}
