// Futexes that the kernel hands over, and several at once.
#include "report.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

static unsigned word, other, cond;

static long futex(unsigned *addr, int op, unsigned value, const struct timespec *timeout, unsigned *addr2, unsigned value3) {
    return syscall(SYS_futex, addr, op, value, timeout, addr2, value3);
}
static int self(void) { return syscall(SYS_gettid); }

// What a word says, without numbers that differ from run to run.
static void show(const char *what, unsigned value, int tid) {
    printf("%s:%s%s%s\n", what, value & FUTEX_WAITERS ? " waiters" : "", value & FUTEX_OWNER_DIED ? " died" : "",
        (value & FUTEX_TID_MASK) == 0 ? " free" : (int)(value & FUTEX_TID_MASK) == tid ? " mine" : " other's");
}
#define SHOW(word) show(#word, word, self())

static struct timespec soon(clockid_t clock, long ms) {
    struct timespec t;
    clock_gettime(clock, &t);
    t.tv_nsec += ms * 1000000;
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    return t;
}

static void alone(void) {
    TRY(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    SHOW(word);
    TRY(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    TRY(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    TRY(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    SHOW(word);
    TRY(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    TRY(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    TRY(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    TRY(futex(&word, FUTEX_LOCK_PI2, 0, NULL, NULL, 0));
    TRY(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    // Held by a task that is not there.
    word = 0x3ffffff0;
    TRY(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    TRY(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    SHOW(word);
    // Held by nobody, as a holder has died.
    word = FUTEX_OWNER_DIED;
    TRY(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    SHOW(word);
    TRY(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    SHOW(word);
    TRY(futex((unsigned *)((char *)&word + 1), FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    TRY(futex(NULL, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    TRY(futex(&word, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 5, NULL, NULL, 0));
    TRY(futex(&word, FUTEX_LOCK_PI | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0));
    TRY(futex(&word, 99, 0, NULL, NULL, 0));
    word = 0;
}

static volatile int step;
static void reach(int n) { while (step < n) usleep(500); }
static void wait_for_waiters(unsigned *w) { while (!(__atomic_load_n(w, __ATOMIC_SEQ_CST) & FUTEX_WAITERS)) usleep(500); usleep(5000); }

static void *hold(void *arg) {
    (void)arg;
    futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
    step = 1;
    reach(2);
    wait_for_waiters(&word);
    futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
    return NULL;
}

static void handed_over(void) {
    pthread_t thread;
    step = 0;
    pthread_create(&thread, NULL, hold, NULL);
    reach(1);
    struct timespec t = soon(CLOCK_REALTIME, 20);
    TRY(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    TRY(futex(&word, FUTEX_LOCK_PI, 0, &t, NULL, 0));
    t = soon(CLOCK_MONOTONIC, 20);
    TRY(futex(&word, FUTEX_LOCK_PI2, 0, &t, NULL, 0));
    SHOW(word);
    TRY(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    TRY(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
    step = 2;
    TRY(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    SHOW(word);
    pthread_join(thread, NULL);
    TRY(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    SHOW(word);
}

static void *hold_and_die(void *arg) {
    (void)arg;
    futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
    step = 1;
    wait_for_waiters(&word);
    return NULL;
}

static void died(void) {
    pthread_t thread;
    step = 0;
    pthread_create(&thread, NULL, hold_and_die, NULL);
    reach(1);
    TRY(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    SHOW(word);
    pthread_join(thread, NULL);
    TRY(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
}

static void *cross(void *arg) {
    (void)arg;
    futex(&other, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
    step = 1;
    futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
    futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
    futex(&other, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
    return NULL;
}

static void deadlock(void) {
    pthread_t thread;
    step = 0;
    TRY(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    pthread_create(&thread, NULL, cross, NULL);
    reach(1);
    wait_for_waiters(&word);
    TRY(futex(&other, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    TRY(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    pthread_join(thread, NULL);
    SHOW(other);
}

static void *wait_to_lock(void *arg) {
    long result = futex(&cond, FUTEX_WAIT_REQUEUE_PI, 0, NULL, &word, 0xffffffff);
    int mine = (word & FUTEX_TID_MASK) == (unsigned)self();
    futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
    __atomic_add_fetch((int *)arg, result == 0 && mine, __ATOMIC_SEQ_CST);
    return NULL;
}

static void requeue(void) {
    pthread_t threads[3];
    int good = 0;
    cond = word = 0;
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, wait_to_lock, &good);
    usleep(50000);
    TRY(futex(&cond, FUTEX_WAKE, 1, NULL, NULL, 0));
    TRY(futex(&cond, FUTEX_REQUEUE, 1, (void *)1, &word, 0));
    TRY(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)5, &word, 1));
    TRY(futex(&cond, FUTEX_CMP_REQUEUE_PI, 2, (void *)5, &word, 0));
    TRY(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)5, &cond, 0));
    TRY(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)5, &other, 0));
    TRY(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    TRY(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)5, &word, 0));
    SHOW(word);
    TRY(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    printf("took it: %d\n", good);
    struct timespec t = soon(CLOCK_MONOTONIC, 10);
    TRY(futex(&cond, FUTEX_WAIT_REQUEUE_PI, 0, &t, &word, 0));
    TRY(futex(&cond, FUTEX_WAIT_REQUEUE_PI, 1, NULL, &word, 0xffffffff));
    TRY(futex(&cond, FUTEX_WAIT_REQUEUE_PI, 0, NULL, &cond, 0xffffffff));
}

// The C library's own.
static void *die_holding(void *arg) {
    pthread_mutex_lock(arg);
    return NULL;
}

static int count;
static void *add(void *arg) {
    for (int i = 0; i < 300; i++) {
        pthread_mutex_lock(arg);
        int before = count;
        sched_yield();
        count = before + 1;
        pthread_mutex_unlock(arg);
    }
    return NULL;
}

static void mutexes(void) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    printf("protocol: %d\n", pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT));
    pthread_mutex_t mutex;
    printf("init: %d\n", pthread_mutex_init(&mutex, &attributes));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, add, &mutex);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    printf("count: %d\n", count);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_t robust;
    pthread_mutex_init(&robust, &attributes);
    pthread_create(&threads[0], NULL, die_holding, &robust);
    pthread_join(threads[0], NULL);
    printf("lock: %s\n", strerrorname_np(pthread_mutex_lock(&robust)));
    printf("consistent: %d\n", pthread_mutex_consistent(&robust));
    printf("unlock: %d\n", pthread_mutex_unlock(&robust));
    // Between processes.
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutex_init(shared, &attributes);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(shared);
        usleep(20000);
        _exit(0);
    }
    usleep(10000);
    int result = pthread_mutex_lock(shared);
    printf("shared: %s\n", result ? strerrorname_np(result) : "ok");
    waitpid(pid, NULL, 0);
}

// ---- several at once ----

struct waiter { uint64_t value, addr; uint32_t flags, reserved; };
static unsigned words[3];

static void *wake_second(void *arg) {
    usleep(20000);
    while (futex(&words[1], FUTEX_WAKE | (int)(long)arg, 1, NULL, NULL, 0) == 0) usleep(1000);
    return NULL;
}

static void any_of_several(void) {
    struct waiter waiters[3];
    for (int i = 0; i < 3; i++) waiters[i] = (struct waiter){0, (uintptr_t)&words[i], 2 | FUTEX_PRIVATE_FLAG, 0};
    struct { int64_t s, ns; } t = {0, 0};
    TRY(syscall(SYS_futex_waitv, waiters, 0, 0, NULL, 0));
    TRY(syscall(SYS_futex_waitv, waiters, 129, 0, NULL, 0));
    TRY(syscall(SYS_futex_waitv, NULL, 1, 0, NULL, 0));
    TRY(syscall(SYS_futex_waitv, waiters, 3, 1, NULL, 0));
    TRY(syscall(SYS_futex_waitv, waiters, 3, 0, &t, 7));
    TRY(syscall(SYS_futex_waitv, waiters, 3, 0, &t, CLOCK_MONOTONIC));
    TRY(syscall(SYS_futex_waitv, waiters, 3, 0, &t, CLOCK_REALTIME));
    waiters[2].value = 1;
    TRY(syscall(SYS_futex_waitv, waiters, 3, 0, NULL, 0));
    waiters[2].value = 0;
    waiters[1].reserved = 1;
    TRY(syscall(SYS_futex_waitv, waiters, 3, 0, NULL, 0));
    waiters[1].reserved = 0;
    waiters[0].flags = FUTEX_PRIVATE_FLAG;
    TRY(syscall(SYS_futex_waitv, waiters, 3, 0, NULL, 0));
    waiters[0].flags = 2 | FUTEX_PRIVATE_FLAG;
    waiters[0].addr++;
    TRY(syscall(SYS_futex_waitv, waiters, 3, 0, NULL, 0));
    waiters[0].addr--;
    pthread_t thread;
    pthread_create(&thread, NULL, wake_second, (void *)FUTEX_PRIVATE_FLAG);
    TRY(syscall(SYS_futex_waitv, waiters, 3, 0, NULL, 0));
    pthread_join(thread, NULL);
    TRY(futex(&words[0], FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
    TRY(futex(&words[2], FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
}

int main(void) {
    alone();
    handed_over();
    died();
    deadlock();
    requeue();
    mutexes();
    any_of_several();
    return 0;
}
