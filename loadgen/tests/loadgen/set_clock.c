/* CLOCK_REALTIME as a test sets it: the kernel's, plus the ns that stand in the file that SET_CLOCK names.
 *
 * Preloaded into the program under test (ld.so(8), LD_PRELOAD), since nobody sets the clock of a machine for a test.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL

static long long offset_ns(void) {
    char text[32] = {0};
    const char *path = getenv("SET_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) {
        return 0;
    }
    long length = read(file, text, sizeof text - 1);
    close(file);
    return length > 0 ? strtoll(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    long failed = syscall(SYS_clock_gettime, clock, time);
    if (failed || clock != CLOCK_REALTIME) {
        return (int)failed;
    }
    long long now_ns = time->tv_sec * NS_PER_S + time->tv_nsec + offset_ns();
    time->tv_sec = now_ns / NS_PER_S;
    time->tv_nsec = now_ns % NS_PER_S;
    return 0;
}
