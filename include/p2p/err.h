/*
 * err - the list of all errors. Every function of libp2pcore that can fail returns an
 * enum p2p_err. The table below gives each error a name (stable, for machines), a text
 * (for people) and a class. The HTTP status, the error code on the wire and the exit
 * status are each derived in one function here, mostly from the class. Knows nothing of
 * the rest of the core. Thread-safe: constant data only.
 */
#ifndef P2P_ERR_H
#define P2P_ERR_H

#include <stdbool.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_MUST_CHECK __attribute__((warn_unused_result))

/* The class of an error tells who has to act. */
enum p2p_err_class {
    P2P_CLASS_OK,
    P2P_CLASS_CALLER, /* the request is impossible: change it */
    P2P_CLASS_LOCAL,  /* this machine: memory, disk, files, libraries */
    P2P_CLASS_PEER,   /* the other side broke the protocol or went away */
    P2P_CLASS_AUTH,   /* the identity is wrong, or the peer is not allowed */
    P2P_CLASS_AGAIN,  /* no failure: try again later, or with more bytes */
};

/* clang-format off */
/*    name           class   text */
#define P2P_ERR_TABLE(X)                                                  \
    X(OK,            OK,     "ok")                                        \
    X(USAGE,         CALLER, "invalid option or argument")                \
    X(NAME,          CALLER, "this file name is not allowed")             \
    X(NOT_FOUND,     CALLER, "not found")                                 \
    X(EXISTS,        CALLER, "a file with this name exists already")        \
    X(RANGE,         CALLER, "out of range")                              \
    X(TOO_LARGE,     CALLER, "larger than the limit")                     \
    X(CANCELLED,     CALLER, "cancelled")                                 \
    X(AMBIGUOUS,     CALLER, "several different files have this name")    \
    X(NOMEM,         LOCAL,  "out of memory")                             \
    X(SYS,           LOCAL,  "the operating system refused the operation")              \
    X(DISK_FULL,     LOCAL,  "the disk is full")                          \
    X(PERMISSION,    LOCAL,  "permission denied")                         \
    X(NOT_FOLDER,    LOCAL,  "not a folder")                      \
    X(AWAY,          LOCAL,  "the folder is missing: it was moved, deleted or unmounted")         \
    X(IN_USE,        LOCAL,  "the address is already in use")             \
    X(NOT_OWN_ADDR,  LOCAL,  "this machine does not have this address")    \
    X(CORRUPT,       LOCAL,  "a state file is damaged")                   \
    X(KEY_FILE,      LOCAL,  "the key file is unusable")                  \
    X(CRYPTO,        LOCAL,  "the cryptographic library failed")          \
    X(UNSUPPORTED,   LOCAL,  "not supported by this build or system")     \
    X(UNREACHABLE,   PEER,   "cannot be reached")          \
    X(NO_HOST,       PEER,   "no such host")                              \
    X(TLS,           PEER,   "the TLS connection failed")                 \
    X(NOT_REGISTRY,  PEER,   "not a registry")                          \
    X(MOVED,         PEER,   "the registry has moved")                    \
    X(CLOSED,        PEER,   "the other side closed the connection")      \
    X(TIMEOUT,       PEER,   "the other side did not answer in time")     \
    X(MALFORMED,     PEER,   "malformed message")                       \
    X(PROTOCOL,      PEER,   "unexpected message")       \
    X(REMOTE,        PEER,   "the other side reported an error")          \
    X(HASH_MISMATCH, PEER,   "the received data does not match its hash") \
    X(FILE_CHANGED,  PEER,   "the file changed at its source")            \
    X(NO_SOURCE,     PEER,   "no peer could deliver the file")            \
    X(WRONG_SIZE,    PEER,   "the size differs from the announced size") \
    X(AUTH,          AUTH,   "authentication failed")                     \
    X(WRONG_PEER,    AUTH,   "a different peer answered than the requested one") \
    X(KEY_CHANGED,   AUTH,   "the key of a remembered peer has changed")  \
    X(NOT_ALLOWED,   AUTH,   "not allowed")                               \
    X(DOWNGRADE,     AUTH,   "protocol 1 is refused: protocol 2 has worked with this peer") \
    X(PASSPHRASE,    AUTH,   "wrong or missing passphrase")             \
    X(MORE,          AGAIN,  "the message is incomplete")                     \
    X(BUSY,          AGAIN,  "busy, try again later")                     \
    X(RATE_LIMITED,  AGAIN,  "too many requests, try again later")        \
    /* p2p-ui stores the numbers: new errors go to the end */               \
    X(QUOTA,         LOCAL,  "the disk quota is used up")                 \
    X(NO_INODES,     LOCAL,  "the file system has no room for more files") \
    X(FILE_TOO_BIG,  LOCAL,  "this file system does not allow files of this size") \
    X(READ_ONLY,     LOCAL,  "the file system is read-only")              \
    X(TARGET_NAME,   LOCAL,  "this file system does not allow this file name") \
    X(IN_THE_WAY,    LOCAL,  "a file or a link is in the way of a folder") \
    X(OTHER_DISK,    LOCAL,  "another file system is mounted at this folder") \
    X(GONE,          CALLER, "this content is no longer kept") \
    X(REFUSED,       PEER,   "it refused this device: it may share with devices that it trusts only, or be busy") \
    X(NO_SEEK,       LOCAL,  "this file system writes files only from beginning to end") \
    X(DISK_TOO_SMALL, LOCAL, "the disk is too small for the file")
/* clang-format on */

enum p2p_err {
#define P2P_ERR_ENUM(name, class, text) P2P_ERR_##name,
    P2P_ERR_TABLE(P2P_ERR_ENUM)
#undef P2P_ERR_ENUM
        P2P_ERR_COUNT
};
#define P2P_OK P2P_ERR_OK

/* The class in the table above. */
enum p2p_err_class p2p_err_class(enum p2p_err err);

/* The stable upper-case name, such as "HASH_MISMATCH". Never NULL. */
const char *p2p_err_name(enum p2p_err err);
/* The text for people. Never NULL. */
const char *p2p_err_text(enum p2p_err err);

/* The error that is nearest to an errno value: ENOSPC is DISK_FULL, EACCES PERMISSION,
 * ... */
enum p2p_err p2p_err_from_errno(int errnum);
/* True if space is missing, which may become free: DISK_FULL, QUOTA, NO_INODES. */
bool p2p_err_is_space(enum p2p_err err);

/* The HTTP status of an error (docs/HTTP.md, "Errors"). */
int p2p_err_http_status(enum p2p_err err);
/* The error code of docs/PROTOCOL.md for an error. */
unsigned p2p_err_wire_code(enum p2p_err err);

/* The error that a received wire code stands for. */
enum p2p_err p2p_err_from_wire_code(unsigned code);

/*
 * Exit status of a program: 0 done, 1 failed, 2 usage, and finer ones a script can
 * act on (docs/man/p2p.1): 3 not found, 4 unreachable or timed out, 5 verification
 * failed, 6 disk full or local I/O, 7 identity (key changed, wrong peer, refused),
 * 8 cancelled, 9 a choice is needed: several different files have the name.
 */
int p2p_err_exit_status(enum p2p_err err);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
