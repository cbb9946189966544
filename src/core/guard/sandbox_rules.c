/* The files that a process may use. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/disk/beneath.h"
#include "p2p/path.h"
#include "p2p/sandbox.h"

void
p2p_sandbox_rules_init(struct p2p_sandbox_rules *rules)
{
    memset(rules, 0, sizeof(*rules));
}

void
p2p_sandbox_rules_clear(struct p2p_sandbox_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        close(rules->at[i].fd);
    for (size_t i = 0; i < rules->watched_count; i++)
        free(rules->watched[i].path);
    p2p_sandbox_rules_init(rules);
}

enum p2p_err
p2p_sandbox_allow(struct p2p_sandbox_rules *rules, const char *path,
                  enum p2p_sandbox_access access)
{
    int fd;

    if (rules->count == P2P_SANDBOX_RULES_MAX)
        return P2P_ERR_TOO_LARGE;
    fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES
                   ? P2P_OK
                   : p2p_err_from_errno(errno);
    rules->at[rules->count].fd = fd;
    rules->at[rules->count++].access = access;
    return P2P_OK;
}

enum p2p_err
p2p_sandbox_allow_folder(struct p2p_sandbox_rules *rules, const char *path,
                         unsigned mode, enum p2p_sandbox_access access)
{
    struct p2p_root *root;
    enum p2p_err err = p2p_root_open(path, true, (mode_t)mode, &root);

    if (err != P2P_OK)
        return err;
    p2p_root_close(root);
    return p2p_sandbox_allow(rules, path, access);
}

enum p2p_err
p2p_sandbox_allow_shared(struct p2p_sandbox_rules *rules, const char *path)
{
    struct p2p_root *root;
    int dir = -1;
    enum p2p_err err = p2p_root_open(path, true, 0755, &root);

    if (err != P2P_OK)
        return err;
    /* A folder that cannot be written to is shared without an index. */
    if (p2p_path_private_dir(root, &dir) == P2P_OK) {
        if (rules->count == P2P_SANDBOX_RULES_MAX) {
            close(dir);
            err = P2P_ERR_TOO_LARGE;
        } else {
            rules->at[rules->count].fd = dir;
            rules->at[rules->count++].access = P2P_SANDBOX_WRITE;
        }
    }
    p2p_root_close(root);
    return err != P2P_OK ? err : p2p_sandbox_allow(rules, path, P2P_SANDBOX_READ);
}

enum p2p_err
p2p_sandbox_allow_away(struct p2p_sandbox_rules *rules, const char *path,
                       const char *near)
{
    struct p2p_root *root;
    enum p2p_err err = p2p_root_open_away(path, near, &root);
    int fd;

    if (err != P2P_OK)
        return err;
    fd = fcntl(p2p_root_fd(root), F_DUPFD_CLOEXEC, 0);
    p2p_root_close(root);
    if (fd < 0)
        return p2p_err_from_errno(errno);
    if (rules->count == P2P_SANDBOX_RULES_MAX) {
        close(fd);
        return P2P_ERR_TOO_LARGE;
    }
    rules->at[rules->count].fd = fd;
    rules->at[rules->count++].access = P2P_SANDBOX_READ;
    return P2P_OK;
}

enum p2p_err
p2p_sandbox_watch(struct p2p_sandbox_rules *rules, const char *path)
{
    char *copy;

    if (rules->count == 0 || rules->watched_count == P2P_SANDBOX_WATCHED_MAX)
        return P2P_ERR_TOO_LARGE;
    if ((copy = strdup(path)) == NULL)
        return P2P_ERR_NOMEM;
    rules->watched[rules->watched_count].path = copy;
    rules->watched[rules->watched_count++].fd = rules->at[rules->count - 1].fd;
    return P2P_OK;
}

/* Paths that may be read, with the reason. Files with secrets are not among them. */
static const char *const system_files[] = {
    /* libraries, including those that name resolution loads later */
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    /* TLS to registries: libcurl and OpenSSL */
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/etc/gnutls",
    "/etc/crypto-policies",
    "/usr/share/crypto-policies",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    /* host names; if /etc/resolv.conf is a link, its target's folder, because the file
     * is replaced when the network changes */
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/run/systemd/resolve",
    "/run/NetworkManager/resolv.conf",
    "/run/NetworkManager/no-stub-resolv.conf",
    "/run/resolvconf",
    "/run/connman",
    /* timetables use local time */
    "/etc/localtime",
    "/etc/timezone",
    "/usr/share/zoneinfo",
    /* Avahi, over the system bus */
    "/etc/machine-id",
    "/var/lib/dbus/machine-id",
    /* information about the machine and this process, for the C library */
    "/dev/null",
    "/dev/urandom",
    "/dev/random",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    /* ages of old versions count while the machine runs, and journals trust this run */
    "/proc/sys/kernel/random/boot_id",
    "/proc/sys/net/core/somaxconn",
    "/sys/devices/system/cpu",
};

/* Variables that name certificates or time zones in other places. */
static const char *const system_variables[] = {
    "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "OPENSSL_CONF", "TZDIR",
};

enum p2p_err
p2p_sandbox_allow_system(struct p2p_sandbox_rules *rules)
{
    enum p2p_err err = P2P_OK;

    for (size_t i = 0;
         i < sizeof(system_files) / sizeof(system_files[0]) && err == P2P_OK; i++)
        err = p2p_sandbox_allow(rules, system_files[i], P2P_SANDBOX_READ);
    /* For an ordinary user, all of /etc may be read, because it is readable anyway and
     * editors replace its files. Root could read secret files there, so root gets only
     * the files above, as they are now. */
    if (err == P2P_OK && geteuid() != 0)
        err = p2p_sandbox_allow(rules, "/etc", P2P_SANDBOX_READ);
    for (size_t i = 0;
         i < sizeof(system_variables) / sizeof(system_variables[0]) && err == P2P_OK;
         i++) {
        const char *path = getenv(system_variables[i]);
        if (path != NULL && path[0] != '\0')
            err = p2p_sandbox_allow(rules, path, P2P_SANDBOX_READ);
    }
    return err;
}
