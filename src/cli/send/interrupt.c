#include "cli/send/interrupt.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

#include "p2p/service.h"

static struct p2p_stop *the_stop;

static void
set_of_ends(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
}

static void *
wait_for_signal(void *arg)
{
    sigset_t set;
    int signum;

    (void)arg;
    set_of_ends(&set);
    if (sigwait(&set, &signum) != 0)
        return NULL;
    p2p_service_end_at_next(&set);
    p2p_stop_set(the_stop);
    return NULL;
}

enum p2p_err
interrupt_begin(struct p2p_stop **out)
{
    sigset_t set;
    pthread_t thread;
    enum p2p_err err = p2p_stop_new(&the_stop);

    *out = the_stop;
    if (err != P2P_OK)
        return err;
    signal(SIGPIPE, SIG_IGN);
    set_of_ends(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&thread, NULL, wait_for_signal, NULL) != 0)
        return P2P_ERR_SYS;
    pthread_detach(thread);
    return P2P_OK;
}
