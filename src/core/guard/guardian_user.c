/* Chooses the user of the child. A user other than root serves as that user. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/guard/guardian_internal.h"
#include "p2p/log.h"

#define NOBODY "nobody"

static void
take_passwd(const struct passwd *pw, struct p2p_guardian_user *user)
{
    user->uid = pw->pw_uid;
    user->gid = pw->pw_gid;
    snprintf(user->name, sizeof(user->name), "%s", pw->pw_name);
}

static enum p2p_err
choose_by_name(const char *name, struct p2p_guardian_user *user)
{
    const struct passwd *pw = getpwnam(name);

    if (pw == NULL) {
        p2p_log_error("--user %s: unknown user", name);
        return P2P_ERR_USAGE;
    }
    take_passwd(pw, user);
    return P2P_OK;
}

static void
choose_by_owner(const struct stat *st, struct p2p_guardian_user *user)
{
    const struct passwd *pw = getpwuid(st->st_uid);

    user->uid = st->st_uid;
    user->gid = st->st_gid;
    if (pw != NULL)
        take_passwd(pw, user);
}

/* The owner of the folders; all must have the same one. */
static enum p2p_err
choose_by_folders(const struct p2p_guardian_options *opt,
                  struct p2p_guardian_user *user)
{
    const char *first = NULL;
    struct stat st;

    for (const char *const *folder = opt->folders; *folder != NULL; folder++) {
        if (stat(*folder, &st) != 0)
            continue;
        if (first != NULL && st.st_uid != user->uid) {
            p2p_log_error("%s and %s have different owners; choose the user to serve "
                          "as with --user NAME",
                          first, *folder);
            return P2P_ERR_USAGE;
        }
        if (first == NULL)
            choose_by_owner(&st, user);
        first = first != NULL ? first : *folder;
    }
    /* A program without folders needs no rights to any folder. */
    if (opt->folders[0] == NULL)
        return choose_by_name(NOBODY, user);
    return P2P_OK; /* folders that do not exist yet will belong to root */
}

static enum p2p_err
refuse_root(const struct p2p_guardian_options *opt)
{
    if (opt->settings.user != NULL)
        p2p_log_error("--user %s is root: choose another user, or give --run-as-root",
                      opt->settings.user);
    else
        p2p_log_error("started as root, and the folders belong to root: start %s as "
                      "another user, or give --user NAME or --run-as-root",
                      opt->program);
    return P2P_ERR_USAGE;
}

enum p2p_err
p2p_guardian_choose_user(const struct p2p_guardian_options *opt,
                         struct p2p_guardian_user *user)
{
    const struct p2p_guardian_settings *settings = &opt->settings;
    enum p2p_err err;

    *user = (struct p2p_guardian_user){.uid = geteuid(), .gid = getegid()};
    if (user->uid != 0) {
        if (settings->user == NULL)
            return P2P_OK;
        uid_t self = user->uid;
        err = choose_by_name(settings->user, user);
        if (err == P2P_OK && user->uid != self) {
            p2p_log_error("cannot serve as --user %s: only root can change the user",
                          settings->user);
            err = P2P_ERR_USAGE;
        }
        return err;
    }
    err = settings->user != NULL ? choose_by_name(settings->user, user)
                                 : choose_by_folders(opt, user);
    if (err == P2P_OK && user->uid == 0 && !settings->run_as_root)
        err = refuse_root(opt);
    user->changes = err == P2P_OK && user->uid != 0;
    return err;
}

enum p2p_err
p2p_guardian_become(const struct p2p_guardian_user *user)
{
    if (!user->changes)
        return P2P_OK;
    if ((user->name[0] != '\0' ? initgroups(user->name, user->gid)
                               : setgroups(0, NULL)) != 0 ||
        setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0 || setuid(0) == 0)
        return P2P_ERR_PERMISSION;
    return P2P_OK;
}
