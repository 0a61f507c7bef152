#include "report.h"
#include <sys/ipc.h>
#include <sys/sem.h>
#include <time.h>

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
    struct seminfo *info;
};

static int id, parent;

static void state(void) {
    struct semid_ds ds;
    unsigned short values[3];
    if (semctl(id, 0, IPC_STAT, (union semun){.buf = &ds}) < 0 || semctl(id, 0, GETALL, (union semun){.array = values}) < 0) {
        printf("  %s\n", strerrorname_np(errno));
        return;
    }
    printf("  %d %d %d, %ld of them, mode %o, times %d%d\n", values[0], values[1], values[2], (long)ds.sem_nsems,
           ds.sem_perm.mode, ds.sem_otime > 0, ds.sem_ctime > 0);
    for (int i = 0; i < 3; i++) {
        int pid = semctl(id, i, GETPID);
        printf("  %d/%d/%d", semctl(id, i, GETNCNT), semctl(id, i, GETZCNT), pid == 0 ? 0 : pid == parent ? 1 : 2);
    }
    printf("\n");
    fflush(stdout);
}

static int op(int index, int change, int flags) {
    struct sembuf one = {index, change, flags};
    return semop(id, &one, 1);
}

static int two(int i, int a, int j, int b, int flags) {
    struct sembuf both[] = {{i, a, flags}, {j, b, flags}};
    return semop(id, both, 2);
}

static void set(int a, int b, int c) {
    unsigned short values[] = {a, b, c};
    semctl(id, 0, SETALL, (union semun){.array = values});
}

// Waits until someone waits for a semaphore.
static void until_waiting(int index, int command, int count) {
    while (semctl(id, index, command) != count) usleep(1000);
}

static int child(void (*what)(void)) {
    fflush(stdout);
    int pid = fork();
    if (pid == 0) {
        what();
        fflush(stdout);
        _exit(0);
    }
    return pid;
}

static void takes(void) { TRY(op(0, -2, 0)); }
static void waits_for_zero(void) { TRY(op(1, 0, 0)); }
static void takes_both(void) { TRY(two(0, -1, 1, -1, 0)); }
static void undone(void) {
    TRY(op(0, 5, SEM_UNDO));
    TRY(op(1, -2, SEM_UNDO));
    TRY(op(2, 3, SEM_UNDO));
    TRY(op(2, -3, SEM_UNDO));
    state();
}
static void killed(void) {
    op(0, 7, SEM_UNDO);
    kill(getpid(), SIGKILL);
}
static void forgotten(void) {
    op(0, 7, SEM_UNDO);
    TRY(semctl(id, 0, SETVAL, (union semun){.val = 1}));
}
static void on_signal(int signal) { (void)signal; }
static void interrupted(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    TRY(op(2, -1, 0));
}
static void other_user(void) {
    setgid(1000), setuid(1000);
    TRY(op(0, 1, 0));
    TRY(op(0, 0, IPC_NOWAIT));
    TRY(semctl(id, 0, GETVAL) < 0 ? -1 : 0);
    TRY(semctl(id, 0, SETVAL, (union semun){.val = 1}));
    TRY(semctl(id, 0, IPC_RMID));
}

static void basics(void) {
    id = semget(IPC_PRIVATE, 3, 0600);
    ok("semget", id);
    state();
    TRY(op(0, 3, 0));
    TRY(op(0, -4, IPC_NOWAIT));
    TRY(op(0, -1, 0));
    TRY(op(0, 0, IPC_NOWAIT));
    TRY(op(1, 0, 0));
    TRY(two(0, -2, 0, 0, 0));
    TRY(two(1, 1, 0, -1, IPC_NOWAIT));
    TRY(two(2, 5, 2, -5, 0));
    TRY(op(3, 1, 0));
    TRY(op(0, 32767, 0));
    TRY(op(0, 1, 0));
    TRY(op(0, 1, IPC_NOWAIT));
    state();
    TRY(semctl(id, 0, SETVAL, (union semun){.val = 32768}));
    TRY(semctl(id, 0, SETVAL, (union semun){.val = -1}));
    TRY(semctl(id, 3, SETVAL, (union semun){.val = 1}));
    TRY(semctl(id, 2, SETVAL, (union semun){.val = 9}));
    TRY(semctl(id, 2, GETVAL));
    TRY(semctl(id, 3, GETVAL));
    TRY(semctl(id, -1, GETVAL));
    TRY(semop(id, NULL, 0));
    TRY(semop(id, NULL, 1));
    TRY(semop(id, NULL, 501));
    TRY(semop(-1, NULL, 1));
    struct timespec ten = {0, 10000000}, bad = {0, 1000000000};
    struct sembuf down = {1, -1, 0};
    set(0, 0, 0);
    TRY(semtimedop(id, &down, 1, &ten));
    TRY(semtimedop(id, &down, 1, &bad));
    ten.tv_nsec = 0;
    TRY(semtimedop(id, &down, 1, &ten));
    state();
    waitpid(child(other_user), NULL, 0);
}

static void waiting(void) {
    set(1, 0, 0);
    int pid = child(takes);
    until_waiting(0, GETNCNT, 1);
    state();
    // What it waited for is taken at once.
    int up = op(0, 1, 0), value = semctl(id, 0, GETVAL), down = op(0, -1, IPC_NOWAIT);
    waitpid(pid, NULL, 0);
    printf("%d %d %d\n", up, value, down);
    state();
    set(0, 2, 0);
    pid = child(waits_for_zero);
    until_waiting(1, GETZCNT, 1);
    state();
    up = op(1, -2, 0);
    waitpid(pid, NULL, 0);
    printf("%d\n", up);
    set(0, 0, 0);
    pid = child(takes_both);
    until_waiting(0, GETNCNT, 1);
    op(0, 1, 0);
    until_waiting(1, GETNCNT, 1);
    state();
    set(1, 1, 5);
    waitpid(pid, NULL, 0);
    state();
    set(0, 0, 0);
    pid = child(interrupted);
    until_waiting(2, GETNCNT, 1);
    kill(pid, SIGUSR1);
    waitpid(pid, NULL, 0);
    pid = child(takes);
    until_waiting(0, GETNCNT, 1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    state();
}

static void undo(void) {
    set(0, 4, 0);
    waitpid(child(undone), NULL, 0);
    state();
    waitpid(child(killed), NULL, 0);
    state();
    waitpid(child(forgotten), NULL, 0);
    state();
    TRY(op(0, -1, SEM_UNDO));
    TRY(op(0, 1, 0));
    set(0, 0, 0);
    // The end of one lets another go on.
    int waiter = child(takes);
    until_waiting(0, GETNCNT, 1);
    int holder = child(killed);
    waitpid(holder, NULL, 0);
    waitpid(waiter, NULL, 0);
    state();
}

static void keys(void) {
    int key = 0x5eed0000 + parent;
    TRY(semget(key, 1, 0600));
    int made = semget(key, 2, IPC_CREAT | 0600);
    ok("made", made);
    TRY(semget(key, 3, 0600));
    TRY(semget(key, 0, 0600) == made);
    TRY(semget(key, 2, IPC_CREAT | IPC_EXCL | 0600));
    TRY(semget(IPC_PRIVATE, 0, 0600));
    TRY(semget(IPC_PRIVATE, 32001, 0600));
    TRY(semget(IPC_PRIVATE, -1, 0600));
    semctl(made, 0, IPC_RMID);
    struct seminfo info;
    TRY(semctl(0, 0, IPC_INFO, (union semun){.info = &info}) >= 0);
    printf("%d %d %d %d %d %d %d %d %d %d\n", info.semmap, info.semmni, info.semmns, info.semmnu, info.semmsl, info.semopm,
           info.semume, info.semusz, info.semvmx, info.semaem);
    int pid = child(takes);
    until_waiting(0, GETNCNT, 1);
    int removed = semctl(id, 0, IPC_RMID);
    waitpid(pid, NULL, 0);
    printf("%d\n", removed);
    TRY(op(0, 1, 0));
    TRY(semctl(id, 0, IPC_RMID));
}

int main(void) {
    parent = getpid();
    basics();
    waiting();
    undo();
    keys();
    return 0;
}
