// Which clocks there are, and what each can be used for: by root, and by somebody without privileges.
#include "report.h"
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>

static void try_all(int clock) {
    struct timespec now, none = {0, 0};
    struct itimerspec soon = {{0, 0}, {1000, 0}};
    printf("clock %d\n", clock);
    // What can be done with alarms otherwise depends on the computer's having a clock that wakes it.
    if (clock != CLOCK_REALTIME_ALARM && clock != CLOCK_BOOTTIME_ALARM) {
        TRY(syscall(SYS_clock_gettime, clock, &now));
        TRY(syscall(SYS_clock_getres, clock, &now));
        TRY(syscall(SYS_clock_getres, clock, NULL));
        TRY(syscall(SYS_clock_nanosleep, clock, 0, &none, NULL));
        int id;
        if (TRY(syscall(SYS_timer_create, clock, NULL, &id)) == 0) {
            TRY(syscall(SYS_timer_settime, id, 0, &soon, NULL));
            TRY(syscall(SYS_timer_delete, id));
        }
    }
    TRY(timerfd_create(clock, 0x1000));
    int fd = timerfd_create(clock, 0);
    if (report("timerfd_create", fd) < 0) return;
    TRY(timerfd_settime(fd, 0, &soon, NULL));
    TRY(timerfd_settime(fd, 8, &soon, NULL));
    close(fd);
}

int main(void) {
    for (int i = 0; i < 2; i++) {
        for (int clock = 0; clock <= 13; clock++) try_all(clock);
        try_all(100);
        if (setuid(65534)) return 1;
    }
    return 0;
}
