// Waiting: it takes no processor time, it lasts as long as was asked for, and who never waits starves nobody.
#include "report.h"
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>

typedef long long ns;
static ns now(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t) < 0) return -1;
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// ---- what is waited for, and never comes ----

static int pair[2], sockets[2], locked;
static void in_read(void) { char c; read(pair[0], &c, 1); }
static void in_write(void) {
    char page[65536] = {0};
    for (;;) write(pair[1], page, sizeof page);
}
static void in_poll(void) { struct pollfd p = {pair[0], POLLIN}; poll(&p, 1, -1); }
static void in_select(void) {
    fd_set set;
    FD_ZERO(&set); FD_SET(pair[0], &set);
    select(pair[0] + 1, &set, NULL, NULL, NULL);
}
static void in_epoll(void) {
    int e = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(e, EPOLL_CTL_ADD, pair[0], &event);
    epoll_wait(e, &event, 1, -1);
}
static void in_sleep(void) { sleep(1000); }
static void in_pause(void) { pause(); }
static void in_suspend(void) { sigset_t none; sigemptyset(&none), sigsuspend(&none); }
static void in_sigwait(void) { sigset_t all; int s; sigfillset(&all), sigprocmask(SIG_BLOCK, &all, NULL), sigwait(&all, &s); }
static void in_recv(void) { char c; recv(sockets[0], &c, 1, 0); }
static void in_accept(void) {
    struct sockaddr_un address = {AF_UNIX};
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(s, (void *)&address, 2), listen(s, 1);
    accept(s, NULL, NULL);
}
static void in_semaphore(void) { sem_t s; sem_init(&s, 0, 0), sem_wait(&s); }
static void in_mutex(void) {
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&m), pthread_mutex_lock(&m);
}
static void in_wait(void) { if (fork() == 0) { pause(); _exit(0); } wait(NULL); }
static void in_lock(void) {
    // A description of its own, so that the parent's lock counts.
    char path[50];
    sprintf(path, "/proc/self/fd/%d", locked);
    flock(open(path, O_RDWR), LOCK_EX);
}
static void in_record(void) {
    struct flock all = {F_WRLCK};
    fcntl(locked, F_SETLKW, &all);
}
static void in_semop(void) { struct sembuf take = {0, -1}; semop(semget(IPC_PRIVATE, 1, 0600), &take, 1); }
static void in_msgrcv(void) { char m[20]; msgrcv(msgget(IPC_PRIVATE, 0600), m, 10, 0, 0); }
static void in_timer(void) {
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec far = {{0}, {1000, 0}};
    char eight[8];
    timerfd_settime(fd, 0, &far, NULL), read(fd, eight, 8);
}
static void in_fifo(void) {
    char path[50];
    sprintf(path, "/tmp/fifo.%d", getpid());
    mkfifo(path, 0600);
    int fd = open(path, O_RDWR);
    unlink(path);
    char c;
    read(fd, &c, 1);
}
static void in_terminal(void) {
    int m = posix_openpt(O_RDWR | O_NOCTTY);
    unlockpt(m);
    char c;
    read(open(ptsname(m), O_RDWR | O_NOCTTY), &c, 1);
}
static void in_stop(void) { raise(SIGSTOP); }

// The state of a process, and how often it has given up the processor.
static char state_of(int pid, long *switches) {
    char path[50], line[200], state = '?';
    sprintf(path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    *switches = 0;
    while (file && fgets(line, sizeof line, file)) {
        long count;
        sscanf(line, "State: %c", &state);
        if (sscanf(line, "voluntary_ctxt_switches: %ld", &count) == 1) *switches += count;
        if (sscanf(line, "nonvoluntary_ctxt_switches: %ld", &count) == 1) *switches += count;
    }
    if (file) fclose(file);
    return state;
}

// Lets a process wait; it must be asleep, and stay so.
static void costs(const char *what, void (*wait_for)(void)) {
    fflush(stdout);
    int pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        wait_for();
        _exit(0);
    }
    setpgid(pid, pid);
    clockid_t clock;
    clock_getcpuclockid(pid, &clock);
    long before, after;
    char state;
    // Asleep for good, not on the way there.
    ns used = -1;
    for (int same = 0; same < 5;) {
        state = state_of(pid, &before);
        int sleeps = (state == 'S' || state == 'T') && now(clock) == used;
        used = now(clock);
        same = sleeps ? same + 1 : 0;
        usleep(2000);
    }
    state = state_of(pid, &before);
    used = now(clock);
    usleep(30000);
    char then = state_of(pid, &after);
    printf("%s: %c %c, took %lld ns, went on %ld times\n", what, state, then, now(clock) - used, after - before);
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
#define COSTS(what) costs(#what, what)

// ---- how long ----

static void early(const char *what, ns asked, ns start) {
    ns took = now(CLOCK_MONOTONIC) - start;
    if (took < asked) printf("%s: %lld ns too early\n", what, asked - took);
}
#define LASTS(asked_ns, call) do { \
    for (int i_ = 0; i_ < 5; i_++) { ns start_ = now(CLOCK_MONOTONIC); call; early(#call, asked_ns, start_); } \
    printf(#call "\n"); \
} while (0)

static void ignore(int signal) { (void)signal; }

static void durations(void) {
    enum { MS = 1000000 };
    struct timespec one = {0, MS}, odd = {0, 1234567}, tiny = {0, 1};
    struct timeval tv;
    LASTS(MS, nanosleep(&one, NULL));
    LASTS(1, nanosleep(&tiny, NULL));
    LASTS(1234567, clock_nanosleep(CLOCK_MONOTONIC, 0, &odd, NULL));
    LASTS(3 * MS, poll(NULL, 0, 3));
    LASTS(1234567, ppoll(NULL, 0, &odd, NULL));
    LASTS(1500 * 1000, (tv = (struct timeval){0, 1500}, select(0, NULL, NULL, NULL, &tv)));
    LASTS(1234567, pselect(0, NULL, NULL, NULL, &odd, NULL));
    int e = epoll_create1(0);
    struct epoll_event event;
    LASTS(2 * MS, epoll_wait(e, &event, 1, 2));
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec soon = {{0}, {0, 1234567}};
    uint64_t count;
    LASTS(1234567, (timerfd_settime(fd, 0, &soon, NULL), read(fd, &count, 8)));
    sigset_t usr1, alarms;
    sigemptyset(&usr1), sigaddset(&usr1, SIGUSR1);
    sigemptyset(&alarms), sigaddset(&alarms, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarms, NULL);
    LASTS(1234567, sigtimedwait(&usr1, NULL, &odd));
    int number;
    struct itimerval once = {{0}, {0, 2500}};
    LASTS(2500 * 1000, (setitimer(ITIMER_REAL, &once, NULL), sigwait(&alarms, &number)));
    int word = 0;
    LASTS(1234567, syscall(SYS_futex, &word, 0 /* FUTEX_WAIT */, 0, &odd));
    int s[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    struct timeval limit = {0, 4000};
    setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char c;
    // Counted in ticks, of which there are 100 in a second at least.
    LASTS(4 * MS, recv(s[0], &c, 1, 0));
    // A point in time.
    for (int i = 1; i <= 10; i++) {
        ns at = now(CLOCK_MONOTONIC) + i * 700000;
        struct timespec until = {at / 1000000000, at % 1000000000};
        TRY(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL));
        early("until", 0, at);
    }
    // What is left when a signal comes.
    signal(SIGALRM, ignore);
    sigprocmask(SIG_UNBLOCK, &alarms, NULL);
    struct timespec long_sleep = {100, 0}, left;
    setitimer(ITIMER_REAL, &once, NULL);
    TRY(nanosleep(&long_sleep, &left));
    printf("%ld\n", (long)left.tv_sec);
}

// ---- who never waits ----

static void fairness(void) {
    // Each counts without end, by itself, by threads, and by calls; all must get on.
    volatile long *counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) for (;;) {
            counts[i]++;
            if (i == 1) getppid();
            if (i == 2) sched_yield();
            if (i == 3) usleep(1);
        }
    }
    for (int i = 0; i < 4; i++) {
        // Twice: it goes on as well.
        for (int round = 0; round < 2; round++) {
            long before = counts[i];
            while (counts[i] < before + 10) usleep(1000);
        }
    }
    printf("all get on\n");
    for (int i = 0; i < 4; i++) kill(pids[i], SIGKILL), waitpid(pids[i], NULL, 0);
    // What they used is accounted for, and their parent used next to nothing.
    struct rusage theirs, ours;
    getrusage(RUSAGE_CHILDREN, &theirs);
    getrusage(RUSAGE_SELF, &ours);
    ns theirs_us = theirs.ru_utime.tv_sec * 1000000LL + theirs.ru_utime.tv_usec;
    printf("%d\n", theirs_us > 0);
}

int main(void) {
    pipe(pair);
    socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
    locked = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    struct flock all = {F_WRLCK};
    TRY(flock(locked, LOCK_EX));
    TRY(fcntl(locked, F_SETLK, &all));
    COSTS(in_read), COSTS(in_poll), COSTS(in_select), COSTS(in_epoll), COSTS(in_sleep), COSTS(in_pause), COSTS(in_suspend);
    COSTS(in_sigwait), COSTS(in_recv), COSTS(in_accept), COSTS(in_semaphore), COSTS(in_mutex), COSTS(in_wait);
    COSTS(in_lock), COSTS(in_record), COSTS(in_semop), COSTS(in_msgrcv), COSTS(in_timer), COSTS(in_fifo);
    COSTS(in_terminal), COSTS(in_stop), COSTS(in_write);
    durations();
    fairness();
    return 0;
}
