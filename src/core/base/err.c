#include "p2p/err.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

static const struct {
    const char *name;
    const char *text;
    enum p2p_err_class class;
} table[P2P_ERR_COUNT] = {
#define ROW(name, class, text) {#name, text, P2P_CLASS_##class},
    P2P_ERR_TABLE(ROW)
#undef ROW
};

static bool
is_known(enum p2p_err err)
{
    return (unsigned)err < P2P_ERR_COUNT;
}

enum p2p_err_class
p2p_err_class(enum p2p_err err)
{
    return is_known(err) ? table[err].class : P2P_CLASS_LOCAL;
}

const char *
p2p_err_name(enum p2p_err err)
{
    return is_known(err) ? table[err].name : "UNKNOWN";
}

const char *
p2p_err_text(enum p2p_err err)
{
    return is_known(err) ? table[err].text : "an unknown error";
}

enum p2p_err
p2p_err_from_errno(int errnum)
{
    switch (errnum) {
    case 0:
        return P2P_OK;
    case ENOMEM:
        return P2P_ERR_NOMEM;
    case ENOSPC:
        return P2P_ERR_DISK_FULL;
    case EDQUOT:
        return P2P_ERR_QUOTA;
    case EFBIG:
        return P2P_ERR_FILE_TOO_BIG;
    case EROFS:
        return P2P_ERR_READ_ONLY;
    case EACCES:
    case EPERM:
        return P2P_ERR_PERMISSION;
    case ENOENT:
    case ENOTDIR:
        return P2P_ERR_NOT_FOUND;
    case EEXIST:
        return P2P_ERR_EXISTS;
    case EADDRINUSE:
        return P2P_ERR_IN_USE;
    case EADDRNOTAVAIL:
        return P2P_ERR_NOT_OWN_ADDR;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return P2P_ERR_UNREACHABLE;
    case ECONNRESET:
    case EPIPE:
        return P2P_ERR_CLOSED;
    case ETIMEDOUT:
        return P2P_ERR_TIMEOUT;
    case EAGAIN:
    case EMFILE:
    case ENFILE:
        return P2P_ERR_BUSY;
    case ENOSYS:
    case EOPNOTSUPP:
        return P2P_ERR_UNSUPPORTED;
    default:
        return P2P_ERR_SYS;
    }
}

bool
p2p_err_is_space(enum p2p_err err)
{
    return err == P2P_ERR_DISK_FULL || err == P2P_ERR_QUOTA || err == P2P_ERR_NO_INODES;
}

int
p2p_err_http_status(enum p2p_err err)
{
    static const int by_class[] = {
        [P2P_CLASS_OK] = 200,   [P2P_CLASS_CALLER] = 400, [P2P_CLASS_LOCAL] = 500,
        [P2P_CLASS_PEER] = 503, [P2P_CLASS_AUTH] = 403,   [P2P_CLASS_AGAIN] = 503,
    };

    switch (err) {
    case P2P_ERR_NOT_FOUND:
        return 404;
    case P2P_ERR_EXISTS:
    case P2P_ERR_AMBIGUOUS:
    case P2P_ERR_IN_THE_WAY:
        return 409;
    case P2P_ERR_GONE:
        return 410;
    case P2P_ERR_TOO_LARGE:
    case P2P_ERR_FILE_TOO_BIG:
    case P2P_ERR_DISK_TOO_SMALL:
        return 413;
    case P2P_ERR_RANGE:
        return 416;
    case P2P_ERR_RATE_LIMITED:
        return 429;
    case P2P_ERR_DISK_FULL:
    case P2P_ERR_QUOTA:
    case P2P_ERR_NO_INODES:
        return 507;
    default:
        return by_class[p2p_err_class(err)];
    }
}

unsigned
p2p_err_wire_code(enum p2p_err err)
{
    static const unsigned by_class[] = {
        [P2P_CLASS_OK] = 0,   [P2P_CLASS_CALLER] = 2, [P2P_CLASS_LOCAL] = 7,
        [P2P_CLASS_PEER] = 2, [P2P_CLASS_AUTH] = 4,   [P2P_CLASS_AGAIN] = 5,
    };

    switch (err) {
    case P2P_ERR_NOT_FOUND:
    case P2P_ERR_NAME:
    case P2P_ERR_GONE:
        return 1;
    case P2P_ERR_RANGE:
    case P2P_ERR_TOO_LARGE:
        return 3;
    case P2P_ERR_FILE_CHANGED:
        return 6;
    case P2P_ERR_RATE_LIMITED:
        return 8;
    default:
        return by_class[p2p_err_class(err)];
    }
}

enum p2p_err
p2p_err_from_wire_code(unsigned code)
{
    static const enum p2p_err meaning[] = {
        P2P_ERR_REMOTE,       P2P_ERR_NOT_FOUND,   P2P_ERR_PROTOCOL,
        P2P_ERR_RANGE,        P2P_ERR_NOT_ALLOWED, P2P_ERR_BUSY,
        P2P_ERR_FILE_CHANGED, P2P_ERR_REMOTE,      P2P_ERR_RATE_LIMITED,
    };

    return code < sizeof(meaning) / sizeof(meaning[0]) ? meaning[code] : P2P_ERR_REMOTE;
}

int
p2p_err_exit_status(enum p2p_err err)
{
    switch (err) {
    case P2P_OK:
        return 0;
    case P2P_ERR_USAGE:
    case P2P_ERR_NAME:
        return 2;
    case P2P_ERR_NOT_FOUND:
    case P2P_ERR_GONE:
        return 3;
    case P2P_ERR_UNREACHABLE:
    case P2P_ERR_TIMEOUT:
    case P2P_ERR_CLOSED:
    case P2P_ERR_NO_SOURCE:
    case P2P_ERR_NO_HOST:
    case P2P_ERR_TLS:
    case P2P_ERR_NOT_REGISTRY:
    case P2P_ERR_MOVED:
        return 4;
    case P2P_ERR_HASH_MISMATCH:
    case P2P_ERR_FILE_CHANGED:
        return 5;
    case P2P_ERR_DISK_FULL:
    case P2P_ERR_QUOTA:
    case P2P_ERR_NO_INODES:
    case P2P_ERR_FILE_TOO_BIG:
    case P2P_ERR_READ_ONLY:
    case P2P_ERR_TARGET_NAME:
    case P2P_ERR_IN_THE_WAY:
    case P2P_ERR_OTHER_DISK:
    case P2P_ERR_NO_SEEK:
    case P2P_ERR_DISK_TOO_SMALL:
    case P2P_ERR_PERMISSION:
    case P2P_ERR_NOT_FOLDER:
    case P2P_ERR_SYS:
        return 6;
    case P2P_ERR_CANCELLED:
        return 8;
    case P2P_ERR_AMBIGUOUS:
        return 9;
    default:
        return p2p_err_class(err) == P2P_CLASS_AUTH ? 7 : 1;
    }
}
