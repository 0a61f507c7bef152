#include "report.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <time.h>

static long elapsed_ms(struct timespec since) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - since.tv_sec) * 1000 + (now.tv_nsec - since.tv_nsec) / 1000000;
}

static void nothing(int signal) {}

// The time that is left is told to who was interrupted, and to nobody else.
static void time_left(void) {
    struct timespec wanted = {0, 1000000}, left = {77, 88};
    TRY(nanosleep(&wanted, &left));
    printf("%ld %ld\n", (long)left.tv_sec, left.tv_nsec);
    TRY(syscall(SYS_nanosleep, &wanted, 8));
    TRY(clock_nanosleep(CLOCK_MONOTONIC, 0, &wanted, &left));
    printf("%ld %ld\n", (long)left.tv_sec, left.tv_nsec);
    struct itimerspec soon = {{0, 0}, {0, 5000000}};
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    timer_t timer;
    timer_create(CLOCK_MONOTONIC, NULL, &timer);
    wanted.tv_sec = 1000;
    timer_settime(timer, 0, &soon, NULL);
    TRY(nanosleep(&wanted, &left));
    printf("%ld\n", (long)left.tv_sec);
    timer_settime(timer, 0, &soon, NULL);
    TRY(syscall(SYS_nanosleep, &wanted, 8));
    timer_settime(timer, 0, &soon, NULL);
    TRY(nanosleep(&wanted, NULL));
    timer_delete(timer);
    signal(SIGALRM, SIG_DFL);
}

int main(void) {
    time_left();
    struct timespec start, t = {0, 20000000};
    TRY(clock_gettime(CLOCK_MONOTONIC, &start));
    TRY(nanosleep(&t, NULL));
    TRY(elapsed_ms(start) >= 20);
    t.tv_nsec = 1000000000;
    TRY(nanosleep(&t, NULL));
    TRY(clock_gettime(99, &t));
    TRY(clock_getres(CLOCK_REALTIME, &t));
    printf("%ld %ld\n", t.tv_sec, t.tv_nsec);
    clock_gettime(CLOCK_MONOTONIC, &start);
    struct timespec until = start;
    until.tv_sec++;
    until.tv_nsec -= until.tv_nsec > 970000000 ? 970000000 : 0;
    t = start;
    t.tv_nsec += 10000000;
    if (t.tv_nsec >= 1000000000) t.tv_nsec -= 1000000000, t.tv_sec++;
    TRY(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL));
    TRY(elapsed_ms(start) >= 10);
    int fd = TRY(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    struct itimerspec spec = {{0, 5000000}, {0, 5000000}}, old;
    uint64_t count;
    TRY(read(fd, &count, 8));
    TRY(timerfd_settime(fd, 0, &spec, NULL));
    struct pollfd p = {fd, POLLIN, 0};
    TRY(poll(&p, 1, 1000));
    TRY(read(fd, &count, 8));
    TRY(count >= 1);
    TRY(read(fd, &count, 4));
    TRY(timerfd_gettime(fd, &old));
    printf("%ld\n", old.it_interval.tv_nsec);
    int e = TRY(eventfd(3, EFD_NONBLOCK));
    TRY(read(e, &count, 8));
    printf("%ld\n", (long)count);
    TRY(read(e, &count, 8));
    count = 5;
    TRY(write(e, &count, 8));
    count = UINT64_MAX;
    TRY(write(e, &count, 8));
    count = UINT64_MAX - 1;
    TRY(write(e, &count, 8));
    p = (struct pollfd){e, POLLIN | POLLOUT, 0};
    TRY(poll(&p, 1, 0));
    printf("%x\n", p.revents);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(e, &set);
    struct timeval tv = {0, 10000};
    TRY(select(e + 1, &set, NULL, NULL, &tv));
    TRY(FD_ISSET(e, &set) != 0);
    read(e, &count, 8);
    TRY(select(e + 1, &set, NULL, NULL, &tv));
    FD_SET(77, &set);
    // Numbers past the table's room are not looked at. A child's table has room for what is open, whatever this one had.
    if (fork() == 0) {
        TRY(select(78, &set, NULL, NULL, &tv));
        TRY(FD_ISSET(77, &set) != 0);
        TRY(dup2(e, 100));
        TRY(close(100));
        TRY(select(78, &set, NULL, NULL, &tv));
        _exit(0);
    }
    wait(NULL);
    FD_SET(50, &set);
    TRY(select(78, &set, NULL, NULL, &tv));
    clock_gettime(CLOCK_MONOTONIC, &start);
    TRY(poll(NULL, 0, 15));
    TRY(elapsed_ms(start) >= 15);
    p = (struct pollfd){77, POLLIN, 0};
    TRY(poll(&p, 1, 0));
    printf("%x\n", p.revents);
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    TRY(timer_create(CLOCK_MONOTONIC, &event, &timer));
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    spec = (struct itimerspec){{0, 0}, {0, 2000000}};
    TRY(timer_settime(timer, 0, &spec, NULL));
    siginfo_t info;
    TRY(sigwaitinfo(&mask, &info));
    printf("%d\n", info.si_code);
    TRY(timer_delete(timer));
    TRY(alarm(10));
    TRY(alarm(0));
    return 0;
}
