#include "dl.h"

void *
dl_folder_main(void *arg)
{
    struct p2p_download *dl = arg;

    pthread_mutex_lock(&dl->lock);
    dl->over = true;
    dl_set_error(dl, P2P_ERR_UNSUPPORTED, "folders are not supported yet");
    dl_set_state(dl, P2P_DL_FAILED);
    dl->reported_end = true;
    pthread_cond_broadcast(&dl->changed);
    pthread_mutex_unlock(&dl->lock);
    return NULL;
}
