/* Preloaded: the time of day is three hours later as soon as the file $CLOCK_JUMP is
 * there. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int
clock_gettime(clockid_t clock, struct timespec *out)
{
    const char *sign = getenv("CLOCK_JUMP");
    int failed = (int)syscall(SYS_clock_gettime, clock, out);

    if (!failed && clock == CLOCK_REALTIME && sign != NULL && access(sign, F_OK) == 0)
        out->tv_sec += 3 * 3600;
    return failed;
}
