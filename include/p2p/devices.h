/*
 * devices - the devices that may use the dashboard: browsers of the owner, paired
 * browsers, tokens. Each has a random token of 256 bits that is shown only once; only
 * its SHA-256 is kept, in `<keys>/devices.db` (SQLite, 0600). p2p-ui and `p2p token`
 * share the file, so a device that one of them removes is refused by the other at once.
 * Knows nothing of HTTP, cookies or codes. Thread-safe.
 */
#ifndef P2P_DEVICES_H
#define P2P_DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_DEVICE_TOKEN_LEN 64 /* hex digits, without a NUL */
#define P2P_DEVICE_ID_LEN    16
#define P2P_DEVICE_NAME_MAX  64
#define P2P_DEVICES_MAX      256

/* The numbers are stored. */
enum p2p_device_kind {
    P2P_DEVICE_BROWSER, /* paired: may use the dashboard */
    P2P_DEVICE_TOKEN,   /* the same for a script */
    P2P_DEVICE_OWNER,   /* a browser that opened the owner's link: may do everything */
    P2P_DEVICE_KINDS
};
/* "browser", "token", "owner" */
const char *p2p_device_kind_name(enum p2p_device_kind kind);

struct p2p_device {
    char id[P2P_DEVICE_ID_LEN + 1]; /* public: to list and to remove */
    char name[P2P_DEVICE_NAME_MAX + 1];
    enum p2p_device_kind kind;
    bool is_admin; /* a paired browser that may do everything */
    uint64_t created_s;
    uint64_t last_seen_s; /* 0: not yet; kept to the minute */
    char address[64];     /* the address of its last request; may be empty */
};

struct p2p_devices; /* *returned owned*, free with p2p_devices_close */

/* `keys_dir` exists. CORRUPT, PERMISSION, SYS. */
P2P_MUST_CHECK enum p2p_err p2p_devices_open(const char *keys_dir,
                                             struct p2p_devices **out);
/* NULL is fine. No other thread uses `devices` any longer. */
void p2p_devices_close(struct p2p_devices *devices);

/*
 * Adds a device: `token` gets the secret, which cannot be read again later. `name` is
 * cut if necessary and loses control characters. TOO_LARGE beyond P2P_DEVICES_MAX.
 */
P2P_MUST_CHECK enum p2p_err p2p_devices_add(struct p2p_devices *devices,
                                            enum p2p_device_kind kind, const char *name,
                                            const char *address, struct p2p_device *out,
                                            char token[P2P_DEVICE_TOKEN_LEN + 1]);

/* Finds the device that a token belongs to, and notes that it was seen. NOT_ALLOWED: no
 * device has it. */
P2P_MUST_CHECK enum p2p_err p2p_devices_check(struct p2p_devices *devices,
                                              const char *token, const char *address,
                                              struct p2p_device *out);

/* All, oldest first; *returns owned* array of `*count`, free(). */
P2P_MUST_CHECK enum p2p_err p2p_devices_list(struct p2p_devices *devices,
                                             struct p2p_device **out, size_t *count);

/* Makes a paired browser an administrator, or an ordinary device again. NOT_FOUND: no
 * paired browser has this id; tokens and browsers of the owner have no such right. */
P2P_MUST_CHECK enum p2p_err p2p_devices_set_admin(struct p2p_devices *devices,
                                                  const char *id, bool is_admin);

/* Takes access away. NOT_FOUND. */
P2P_MUST_CHECK enum p2p_err p2p_devices_remove(struct p2p_devices *devices,
                                               const char *id);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
