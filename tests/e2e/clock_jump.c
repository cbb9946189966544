/* Preloaded: the time of day is off by as many seconds as the file $CLOCK_JUMP says. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long
offset_s(void)
{
    const char *path = getenv("CLOCK_JUMP");
    FILE *f = path != NULL ? fopen(path, "r") : NULL;
    long seconds = 0;

    if (f == NULL)
        return 0;
    if (fscanf(f, "%ld", &seconds) != 1)
        seconds = 0;
    fclose(f);
    return seconds;
}

int
clock_gettime(clockid_t clock, struct timespec *out)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, out);

    if (!failed && clock == CLOCK_REALTIME)
        out->tv_sec += offset_s();
    return failed;
}

time_t
time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL)
        *out = now.tv_sec;
    return now.tv_sec;
}
