// Many processes and many threads at a time: each has its own memory, sees what is shared, and runs again after all others.
#include "report.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { PROCESSES = 200, THREADS = 600, ROUNDS = 3, WORDS = 3000 };

static int words[WORDS];
static int *counter;

static void fill(int with) {
    for (int i = 0; i < WORDS; i++) words[i] = with * 31 + i;
}

static int is_filled(int with) {
    for (int i = 0; i < WORDS; i++)
        if (words[i] != with * 31 + i) return 0;
    return 1;
}

// Answers each byte with what it has found of its memory.
static void serve(int number, int asked, int answers) {
    char byte;
    // What it was forked with, until it writes.
    int expected = -1;
    while (read(asked, &byte, 1) == 1) {
        byte = is_filled(expected) ? '+' : '-';
        if (byte == '-') printf("%d: its memory has changed\n", number), fflush(stdout);
        fill(expected = number);
        __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
        if (write(answers, &byte, 1) != 1) break;
    }
    _exit(number % 7);
}

static void many_processes(void) {
    static int to[PROCESSES], from[PROCESSES], pids[PROCESSES];
    counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fill(-1);
    for (int i = 0; i < PROCESSES; i++) {
        int asked[2], answers[2];
        pipe(asked);
        pipe(answers);
        pids[i] = fork();
        if (pids[i] < 0) { printf("%d: fork: %s\n", i, strerrorname_np(errno)); exit(1); }
        if (pids[i] == 0) {
            for (int k = 0; k < i; k++) close(to[k]), close(from[k]);
            close(asked[1]);
            close(answers[0]);
            // Some are children of children.
            if (i % 9 == 0 && fork() > 0) _exit(0);
            serve(i, asked[0], answers[1]);
        }
        close(asked[0]);
        close(answers[1]);
        to[i] = asked[1], from[i] = answers[0];
    }
    fill(PROCESSES);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < PROCESSES; i++) write(to[i], "?", 1);
        int good = 0;
        char byte;
        for (int i = 0; i < PROCESSES; i++) good += read(from[i], &byte, 1) == 1 && byte == '+';
        printf("round %d: %d of %d are as they were\n", round, good, PROCESSES);
    }
    for (int i = 0; i < PROCESSES; i++) close(to[i]);
    int sum = 0, status;
    for (int i = 0; i < PROCESSES; i++)
        if (waitpid(pids[i], &status, 0) == pids[i]) sum += status;
    printf("statuses %d, counted %d, the first's memory is %s\n", sum, *counter, is_filled(PROCESSES) ? "its own" : "not its own");
}

static pthread_barrier_t all_there;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long total;

static void *work(void *argument) {
    // Some of the stack, too far down to be where it began.
    volatile char deep[200000];
    deep[0] = (char)(long)argument;
    pthread_barrier_wait(&all_there);
    pthread_mutex_lock(&lock);
    total += deep[0] == (char)(long)argument;
    pthread_mutex_unlock(&lock);
    return argument;
}

// Their stacks, of 8 MiB each, are more than 4 GiB together.
static void many_threads(void) {
    static pthread_t threads[THREADS];
    int started = 0, joined = 0;
    pthread_barrier_init(&all_there, NULL, THREADS + 1);
    for (long i = 0; i < THREADS; i++) {
        int error = pthread_create(&threads[i], NULL, work, (void *)i);
        if (error) { printf("%ld: %s\n", i, strerrorname_np(error)); exit(1); }
        started++;
    }
    pthread_barrier_wait(&all_there);
    for (long i = 0; i < THREADS; i++) {
        void *result;
        joined += pthread_join(threads[i], &result) == 0 && result == (void *)i;
    }
    printf("threads: %d started, %d joined, %ld counted\n", started, joined, total);
}

int main(void) {
    many_processes();
    // A 32-bit program has no room for so many.
    if (sizeof(long) == 8) many_threads();
    return 0;
}
