/* The target of `p2p get --output`. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/get/get.h"
#include "p2p/io.h"

enum { BLOCK = 256 * 1024, DEPTH_MAX = 16 };

/* Beside the downloads: there is the space for them. Verified first, shown then. */
static int
open_stdout(struct get_options *opt, struct get_output *output)
{
    struct p2p_root *root = NULL;
    enum p2p_err err;
    char shown[CLI_TEXT];
    int n = snprintf(output->folder, sizeof(output->folder), "%s/.p2p-stdout-XXXXXX",
                     opt->output_dir);

    if (opt->common.json)
        return cli_fail(
            P2P_ERR_USAGE,
            "--output - cannot be combined with --json: both write to standard output");
    err = p2p_root_open(opt->output_dir, true, 0755, &root);
    p2p_root_close(root);
    if (err == P2P_OK &&
        ((size_t)n >= sizeof(output->folder) || mkdtemp(output->folder) == NULL))
        err = p2p_err_from_errno(errno);
    if (err != P2P_OK)
        return cli_fail(P2P_ERR_SYS, "cannot create a temporary folder in %s: %s",
                        cli_text(opt->output_dir, shown), p2p_err_text(err));
    output->is_stdout = true;
    opt->output_dir = output->folder;
    return 0;
}

/* "photos/2026.zip" is that name in photos/. */
static int
open_file(struct get_options *opt, struct get_output *output)
{
    const char *slash = strrchr(opt->output, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - opt->output);

    if (len >= sizeof(output->folder))
        return cli_fail(P2P_ERR_NAME, "invalid --output: the path is too long");
    memcpy(output->folder, opt->output, len);
    output->folder[len] = '\0';
    opt->save_as = slash == NULL ? opt->output : slash + 1;
    if (slash == NULL)
        snprintf(output->folder, sizeof(output->folder), ".");
    else if (len == 0)
        snprintf(output->folder, sizeof(output->folder), "/");
    opt->output_dir = output->folder;
    if (p2p_name_check(opt->save_as, strlen(opt->save_as), true) != P2P_OK)
        return cli_fail(P2P_ERR_NAME, "invalid --output: the path must end in a file "
                                      "name; --output-dir names a folder");
    return 0;
}

int
get_output_open(struct get_options *opt, size_t names, struct get_output *output)
{
    struct stat st;
    size_t len = opt->output != NULL ? strlen(opt->output) : 0;

    if (opt->output == NULL)
        return 0;
    if (len == 0 || opt->save_as != NULL)
        return cli_fail(
            P2P_ERR_USAGE,
            len == 0
                ? "missing path for --output"
                : "--output cannot be combined with --save-as: both name the file");
    if (strcmp(opt->output, "-") == 0)
        return open_stdout(opt, output);
    if (opt->output[len - 1] == '/' ||
        (stat(opt->output, &st) == 0 && S_ISDIR(st.st_mode))) {
        opt->output_dir = opt->output;
        return 0;
    }
    if (names > 1)
        return cli_fail(P2P_ERR_USAGE,
                        "--output names one file, but several names are to be "
                        "downloaded; end the path in / to name a folder");
    return open_file(opt, output);
}

static enum p2p_err
copy(int fd)
{
    char *block = malloc(BLOCK);
    enum p2p_err err = block != NULL ? P2P_OK : P2P_ERR_NOMEM;
    ssize_t n = 1;

    while (err == P2P_OK && n > 0) {
        n = read(fd, block, BLOCK);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n < 0)
            err = p2p_err_from_errno(errno);
        else if (n > 0 && fwrite(block, 1, (size_t)n, stdout) != (size_t)n)
            err = p2p_err_from_errno(errno);
    }
    free(block);
    if (err == P2P_OK && fflush(stdout) != 0)
        err = p2p_err_from_errno(errno);
    return err;
}

enum p2p_err
get_output_write(const struct get_output *output, const char *stored)
{
    char path[P2P_HOME_PATH_MAX + P2P_NAME_MAX];
    enum p2p_err err;
    int fd;

    if (!output->is_stdout)
        return P2P_OK;
    snprintf(path, sizeof(path), "%s/%s", output->folder, stored);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return p2p_err_from_errno(errno);
    err = copy(fd);
    close(fd);
    unlink(path);
    return err;
}

enum p2p_err
get_output_fail(enum p2p_err err)
{
    if (err != P2P_ERR_CLOSED) {
        (void)cli_fail(err, "cannot write to standard output: %s", p2p_err_text(err));
        return err;
    }
    (void)cli_fail(P2P_ERR_SYS, "cannot write to standard output: the program that "
                                "reads it has closed it");
    return P2P_ERR_SYS; /* not the other side of a connection */
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    remove(path); /* if a file cannot be removed, its folder stays, too */
    return 0;
}

void
get_output_close(const struct get_output *output)
{
    if (output->is_stdout)
        nftw(output->folder, remove_one, DEPTH_MAX, FTW_DEPTH | FTW_PHYS);
}

bool
get_parse_conflict(struct get_options *opt)
{
    static const struct {
        const char *name;
        enum p2p_on_conflict conflict;
    } names[] = {{"rename", P2P_CONFLICT_RENAME},
                 {"overwrite", P2P_CONFLICT_OVERWRITE},
                 {"version", P2P_CONFLICT_VERSION},
                 {"skip", P2P_CONFLICT_SKIP}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(opt->on_conflict, names[i].name) == 0) {
            opt->conflict = names[i].conflict;
            return true;
        }
    return false;
}
