// POSIX message queues.
#include "report.h"
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

static const char *NAME = "/edgebox-test";

static void show(mqd_t q) {
    struct mq_attr a;
    if (TRY(mq_getattr(q, &a)) == 0) printf("%ld %ld %ld %ld\n", a.mq_flags & O_NONBLOCK, a.mq_maxmsg, a.mq_msgsize, a.mq_curmsgs);
}

static struct timespec in_ms(long ms) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += ms * 1000000;
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    return t;
}

static void opening(void) {
    TRY(mq_open("none", O_RDWR));
    TRY(mq_open("/", O_RDWR));
    TRY(mq_open("/a/b", O_RDWR | O_CREAT, 0600, NULL));
    char longest[300];
    memset(longest, 'n', 299);
    longest[0] = '/';
    longest[299] = 0;
    TRY(mq_open(longest, O_RDWR));
    TRY(mq_open(NAME, O_RDWR));
    TRY(mq_unlink(NAME));
    struct mq_attr bad[] = {{0, 0, 10}, {0, 10, 0}, {0, -1, 10}, {0, 65537, 1}, {0, 1, (16 << 20) + 1}};
    for (int i = 0; i < 5; i++) TRY(mq_open(NAME, O_RDWR | O_CREAT, 0600, &bad[i]));
    struct mq_attr a = {O_NONBLOCK, 4, 20};
    mqd_t q = mq_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0640, &a);
    TRY(mq_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0640, &a));
    TRY(syscall(SYS_mq_open, NAME + 1, O_ACCMODE, 0, NULL));
    show(q);
    struct stat s;
    fstat(q, &s);
    printf("%o %d\n", s.st_mode, (int)s.st_nlink);
    TRY(fcntl(q, F_GETFD));
    char link[64], target[100] = {0};
    sprintf(link, "/proc/self/fd/%d", q);
    readlink(link, target, 99);
    printf("%s\n", target);
    a.mq_flags = O_NONBLOCK;
    struct mq_attr old;
    TRY(mq_setattr(q, &a, &old));
    printf("%ld\n", old.mq_flags);
    show(q);
    a.mq_flags = 1;
    TRY(mq_setattr(q, &a, NULL));
    TRY(mq_getattr(0, &a));
    TRY(mq_close(q));
    mqd_t again = mq_open(NAME, O_RDONLY);
    show(again);
    TRY(mq_send(again, "x", 1, 0));
    mqd_t sender = mq_open(NAME, O_WRONLY | O_NONBLOCK);
    char bytes[20];
    TRY(mq_receive(sender, bytes, 20, NULL));
    TRY(write(sender, "x", 1));
    // Another user.
    if (setegid(1000) == 0 && seteuid(1000) == 0) {
        TRY(mq_open(NAME, O_RDONLY));
        TRY(mq_unlink(NAME));
        struct mq_attr more = {0, 11, 10};
        TRY(mq_open("/other-edgebox", O_RDWR | O_CREAT, 0600, &more));
        seteuid(0);
        setegid(0);
    }
    mq_close(again);
    mq_close(sender);
    TRY(mq_unlink(NAME));
    TRY(mq_open(NAME, O_RDONLY));
    struct rlimit limit = {500, 819200};
    setrlimit(RLIMIT_MSGQUEUE, &limit);
    TRY(mq_open(NAME, O_RDWR | O_CREAT, 0600, &(struct mq_attr){0, 4, 20}));
    mq_unlink(NAME);
    limit.rlim_cur = 400;
    setrlimit(RLIMIT_MSGQUEUE, &limit);
    TRY(mq_open(NAME, O_RDWR | O_CREAT, 0600, &(struct mq_attr){0, 4, 20}));
    limit.rlim_cur = 819200;
    setrlimit(RLIMIT_MSGQUEUE, &limit);
}

static void receive(mqd_t q) {
    char bytes[21] = {0};
    unsigned priority = 99;
    if (TRY(mq_receive(q, bytes, 20, &priority)) >= 0) printf("%s %u\n", bytes, priority);
}

static void events(mqd_t q) {
    struct pollfd p = {q, POLLIN | POLLOUT, 0};
    int n = poll(&p, 1, 0);
    printf("poll: %d %x\n", n, p.revents);
}

static void messages(mqd_t q) {
    events(q);
    TRY(mq_send(q, "low", 3, 1));
    TRY(mq_send(q, "high", 4, 9));
    TRY(mq_send(q, "high2", 5, 9));
    events(q);
    TRY(mq_send(q, "", 0, 0));
    events(q);
    TRY(mq_send(q, "full", 4, 0));
    struct timespec t = in_ms(5), bad = {0, 2000000000};
    struct mq_attr blocking = {0}, nonblocking = {O_NONBLOCK};
    mq_setattr(q, &blocking, NULL);
    TRY(mq_timedsend(q, "full", 4, 0, &t));
    TRY(mq_timedsend(q, "full", 4, 0, &bad));
    TRY(mq_send(q, "too long, far too long", 22, 0));
    TRY(mq_send(q, "x", 1, 32768));
    char small[5];
    TRY(mq_receive(q, small, 5, NULL));
    for (int i = 0; i < 4; i++) receive(q);
    t = in_ms(5);
    char bytes[20];
    TRY(mq_timedreceive(q, bytes, 20, NULL, &t));
    mq_setattr(q, &nonblocking, NULL);
    receive(q);
    show(q);
    TRY(mq_send(q, "x", 1, 0));
    TRY(mq_receive(q, (char *)-4096, 20, NULL));
    receive(q);
    mq_setattr(q, &blocking, NULL);
}

static void *send_later(void *arg) {
    usleep(20000);
    mq_send(*(mqd_t *)arg, "later", 5, 3);
    return NULL;
}

static volatile int got_signal, got_code, got_value, from_us;
static void noted(int signal, siginfo_t *info, void *context) {
    (void)context;
    got_signal = signal, got_code = info->si_code, got_value = info->si_value.sival_int, from_us = info->si_pid == getpid();
}

static sem_t told;
static int told_value;
static void on_thread(union sigval value) {
    told_value = value.sival_int;
    sem_post(&told);
}

static void notify(mqd_t q) {
    struct sigaction action = {.sa_sigaction = noted, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
    TRY(mq_notify(q, &e));
    TRY(mq_notify(q, &e));
    char line[100] = {0};
    TRY(lseek(q, 0, SEEK_SET));
    read(q, line, 50);
    printf("%s\n", line);
    pid_t pid = fork();
    if (pid == 0) {
        TRY(mq_notify(q, &e));
        TRY(mq_notify(q, NULL));
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    TRY(mq_send(q, "one", 3, 0));
    printf("signal %d %d %d %d\n", got_signal, got_code, got_value, from_us);
    got_signal = 0;
    TRY(mq_send(q, "two", 3, 0));
    printf("signal %d\n", got_signal);
    receive(q);
    TRY(mq_notify(q, &e));
    TRY(mq_send(q, "three", 5, 0));
    printf("not empty before: %d\n", got_signal);
    receive(q);
    receive(q);
    TRY(mq_send(q, "four", 4, 0));
    printf("now: %d\n", got_signal);
    receive(q);
    // Who waits for a message gets it, and nobody is told.
    got_signal = 0;
    TRY(mq_notify(q, &e));
    pthread_t thread;
    pthread_create(&thread, NULL, send_later, &q);
    receive(q);
    pthread_join(thread, NULL);
    printf("awaited: %d\n", got_signal);
    TRY(mq_notify(q, NULL));
    TRY(mq_notify(q, NULL));
    e.sigev_notify = SIGEV_NONE;
    TRY(mq_notify(q, &e));
    mqd_t other = mq_open(NAME, O_RDWR);
    TRY(mq_notify(other, &e));
    // Closing any of them ends it.
    TRY(mq_close(other));
    TRY(mq_notify(q, &e));
    TRY(mq_notify(q, NULL));
    e.sigev_notify = 77;
    TRY(mq_notify(q, &e));
    e.sigev_notify = SIGEV_SIGNAL, e.sigev_signo = 99;
    TRY(mq_notify(q, &e));
    TRY(mq_notify(0, NULL));
    sem_init(&told, 0, 0);
    e = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_int = 7};
    TRY(mq_notify(q, &e));
    TRY(mq_send(q, "five", 4, 0));
    sem_wait(&told);
    printf("told: %d\n", told_value);
    receive(q);
}

int main(void) {
    umask(022);
    mq_unlink(NAME);
    opening();
    mqd_t q = mq_open(NAME, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &(struct mq_attr){0, 4, 20});
    messages(q);
    notify(q);
    TRY(mq_unlink(NAME));
    TRY(mq_send(q, "still", 5, 0));
    receive(q);
    // Between processes.
    pid_t pid = fork();
    if (pid == 0) {
        usleep(10000);
        mq_send(q, "child", 5, 5);
        _exit(0);
    }
    receive(q);
    waitpid(pid, NULL, 0);
    return 0;
}
