#include "report.h"
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int total, turn;
static __thread int own;
static sem_t sem;

static void *add(void *arg) {
    for (int i = 0; i < 2000; i++) {
        pthread_mutex_lock(&mutex);
        total++;
        own++;
        pthread_mutex_unlock(&mutex);
    }
    return (void *)(long)(own + (long)arg);
}

static void *ping(void *arg) {
    for (int i = 0; i < 50; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != (long)arg) pthread_cond_wait(&cond, &mutex);
        turn = !turn;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void noted(int signal) { (void)signal; }

static void *poke(void *arg) {
    usleep(20000);
    pthread_kill((pthread_t)arg, SIGUSR1);
    return NULL;
}

static void *post_later(void *arg) {
    (void)arg;
    usleep(20000);
    sem_post(&sem);
    return NULL;
}

static void *sleeper(void *arg) {
    (void)arg;
    sem_post(&sem);
    for (;;) pause();
    return NULL;
}

// Takes two mutexes, and ends while somebody waits.
static void *hold_two(void *robust) {
    pthread_mutex_t *mutexes = robust;
    pthread_mutex_lock(&mutexes[0]);
    pthread_mutex_lock(&mutexes[1]);
    sem_post(&sem);
    usleep(20000);
    return NULL;
}

int main(void) {
    pthread_t t[8];
    void *result;
    for (long i = 0; i < 8; i++) TRY(pthread_create(&t[i], NULL, add, (void *)i));
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], &result);
        printf("%ld\n", (long)result);
    }
    printf("%d %d\n", total, own);
    pthread_create(&t[0], NULL, ping, (void *)0);
    pthread_create(&t[1], NULL, ping, (void *)1);
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
    printf("%d\n", turn);
    sem_init(&sem, 0, 0);
    pthread_create(&t[0], NULL, sleeper, NULL);
    sem_wait(&sem);
    TRY(pthread_cancel(t[0]));
    TRY(pthread_join(t[0], &result));
    printf("%d\n", result == PTHREAD_CANCELED);
    // A wait that a handler interrupts leaves nothing behind.
    struct sigaction action = {.sa_handler = noted};
    sigaction(SIGUSR1, &action, NULL);
    pthread_create(&t[0], NULL, poke, (void *)pthread_self());
    TRY(sem_wait(&sem));
    pthread_join(t[0], NULL);
    sem_post(&sem);
    TRY(sem_wait(&sem));
    int value;
    pthread_create(&t[0], NULL, post_later, NULL);
    TRY(sem_wait(&sem));
    pthread_join(t[0], NULL);
    TRY(sem_getvalue(&sem, &value));
    printf("%d\n", value);
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 5000000;
    if (soon.tv_nsec >= 1000000000) soon.tv_nsec -= 1000000000, soon.tv_sec++;
    TRY(sem_timedwait(&sem, &soon));
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    // A thread ends with a mutex: the kernel walks its list and wakes who waits.
    static pthread_mutex_t robust[3];
    for (int i = 0; i < 3; i++) pthread_mutex_init(&robust[i], &attr);
    pthread_create(&t[0], NULL, (void *(*)(void *))pthread_mutex_lock, &robust[0]);
    pthread_join(t[0], NULL);
    TRY(pthread_mutex_lock(&robust[0]) == EOWNERDEAD);
    TRY(pthread_mutex_consistent(&robust[0]));
    TRY(pthread_mutex_unlock(&robust[0]));
    TRY(pthread_mutex_lock(&robust[0]));
    pthread_create(&t[0], NULL, hold_two, robust + 1);
    sem_wait(&sem);
    TRY(pthread_mutex_lock(&robust[1]) == EOWNERDEAD);
    TRY(pthread_mutex_lock(&robust[2]) == EOWNERDEAD);
    pthread_join(t[0], NULL);
    TRY(syscall(SYS_gettid) == getpid());
    // A thread other than the first ends the process.
    pid_t pid = fork();
    if (pid == 0) {
        pthread_create(&t[0], NULL, (void *(*)(void *))exit, (void *)7);
        for (;;) pause();
    }
    int status;
    waitpid(pid, &status, 0);
    printf("%x\n", status);
    // The first thread ends, others go on.
    if ((pid = fork()) == 0) {
        pthread_create(&t[0], NULL, add, NULL);
        pthread_exit(NULL);
    }
    waitpid(pid, &status, 0);
    printf("%x\n", status);
    return 0;
}
