/* The values of --shared-dir: PATH or NAME=PATH. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "p2p/name.h"
#include "p2p/shares.h"

const char *
p2p_shares_path(const char *text, size_t *name_len)
{
    size_t len = strcspn(text, "=/");

    *name_len = text[len] == '=' ? len : 0;
    return *name_len > 0 ? text + len + 1 : text;
}

/* The last part of a path, without slashes at its end. */
static void
last_part(const char *path, const char **part, size_t *len)
{
    size_t end = strlen(path), begin;

    while (end > 0 && path[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/';)
        begin--;
    *part = path + begin;
    *len = end - begin;
}

static enum p2p_err
refuse(char *why, size_t cap, const char *text, const char *reason)
{
    snprintf(why, cap, "%s: %s", text, reason);
    return P2P_ERR_USAGE;
}

static enum p2p_err
name_folder(struct p2p_shares_folder *folder, const char *text, size_t name_len,
            bool is_bare, char *why, size_t cap)
{
    const char *name = text;
    const char *problem;

    folder->name[0] = '\0';
    if (name_len == 0 && is_bare)
        return P2P_OK;
    if (name_len == 0)
        last_part(folder->path, &name, &name_len);
    if (name_len > P2P_SHARES_NAME_MAX)
        return refuse(why, cap, text, "the name is too long");
    if ((problem = p2p_name_problem(name, name_len, false)) != NULL) {
        snprintf(why, cap,
                 "%s: the name cannot be used, because %s; give one with NAME=PATH",
                 text, problem);
        return P2P_ERR_USAGE;
    }
    memcpy(folder->name, name, name_len);
    folder->name[name_len] = '\0';
    return P2P_OK;
}

/* Capital letters do not make two names: peers store the files on disks where they do
 * not differ. */
static enum p2p_err
check_new(const struct p2p_shares_folders *folders,
          const struct p2p_shares_folder *added, const char *text, char *why,
          size_t cap)
{
    for (size_t i = 0; i < folders->count; i++) {
        if (added->name[0] != '\0' && strcasecmp(folders->at[i].name, added->name) == 0)
            return refuse(why, cap, text,
                          "another shared folder has this name; give one with "
                          "NAME=PATH");
        if (strcmp(folders->at[i].path, added->path) == 0)
            return refuse(why, cap, text, "the folder is in the list twice");
    }
    return P2P_OK;
}

enum p2p_err
p2p_shares_parse(const char *const *texts, size_t count, struct p2p_shares_folders *out,
                 char *why, size_t cap)
{
    bool has_bare = false;

    out->count = 0;
    why[0] = '\0';
    if (count == 0) {
        snprintf(why, cap, "no shared folder");
        return P2P_ERR_USAGE;
    }
    for (size_t i = 0; i < count; i++) {
        struct p2p_shares_folder *added = &out->at[out->count];
        size_t name_len;
        enum p2p_err err;
        if (out->count == P2P_SHARES_MAX)
            return refuse(why, cap, texts[i], "at most 16 folders can be shared");
        added->path = p2p_shares_path(texts[i], &name_len);
        if (added->path[0] == '\0')
            return refuse(why, cap, texts[i], "missing path; use PATH or NAME=PATH");
        if ((err = name_folder(added, texts[i], name_len, !has_bare, why, cap)) !=
                P2P_OK ||
            (err = check_new(out, added, texts[i], why, cap)) != P2P_OK)
            return err;
        has_bare = has_bare || added->name[0] == '\0';
        out->count++;
    }
    return P2P_OK;
}

enum p2p_err
p2p_shares_check(const struct p2p_shares_folders *folders, char *why, size_t cap)
{
    const char *bare = NULL;
    enum p2p_err err = P2P_OK;
    int dir;

    why[0] = '\0';
    for (size_t i = 0; i < folders->count; i++)
        if (folders->at[i].name[0] == '\0')
            bare = folders->at[i].path;
    if (bare == NULL || (dir = open(bare, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
        return P2P_OK;
    for (size_t i = 0; i < folders->count && err == P2P_OK; i++) {
        const char *name = folders->at[i].name;
        struct stat st;
        if (name[0] == '\0' || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        snprintf(why, cap,
                 "%s has an entry %s, so the shared folder %s needs another name "
                 "(NAME=PATH)",
                 bare, name, folders->at[i].path);
        err = P2P_ERR_EXISTS;
    }
    close(dir);
    return err;
}
