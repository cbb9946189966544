/* Capabilities, no_new_privs, and the order of the steps into the sandbox. */
#include "p2p/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/guard/sandbox_internal.h"

bool
p2p_sandbox_is_possible(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(undefined_behavior_sanitizer)
    return false;
#else
    return true;
#endif
#else
    return true;
#endif
}

/* Without capabilities, root has the rights of an ordinary user: files of other users
 * cannot be accessed. */
static enum p2p_err
drop_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0,
                    0); /* only root may do it, and only root needs it */
    return syscall(SYS_capset, &head, none) == 0 ? P2P_OK : p2p_err_from_errno(errno);
}

enum p2p_err
p2p_sandbox_enter(const struct p2p_sandbox_rules *rules,
                  struct p2p_sandbox_state *state)
{
    enum p2p_err err = drop_capabilities();

    *state = (struct p2p_sandbox_state){0};
    if (err == P2P_OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        err = p2p_err_from_errno(errno);
    if (err == P2P_OK)
        err = p2p_sandbox_enter_landlock(rules, &state->landlock_abi);
    if (err == P2P_OK || err == P2P_ERR_UNSUPPORTED)
        err = p2p_sandbox_enter_seccomp();
    state->seccomp = err == P2P_OK;
    return err == P2P_ERR_UNSUPPORTED ? P2P_OK : err;
}
