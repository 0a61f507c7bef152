#include "report.h"
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

static int parent;

static void state(int id) {
    struct shmid_ds ds;
    if (shmctl(id, IPC_STAT, &ds) < 0) {
        printf("  %s\n", strerrorname_np(errno));
        return;
    }
    printf("  size %ld mode %o attached %ld own %d%d%d%d creator %d last %d times %d%d%d key %d\n", (long)ds.shm_segsz,
           ds.shm_perm.mode, (long)ds.shm_nattch, ds.shm_perm.uid == geteuid(), ds.shm_perm.gid == getegid(),
           ds.shm_perm.cuid == geteuid(), ds.shm_perm.cgid == getegid(), ds.shm_cpid == parent,
           ds.shm_lpid == 0 ? 0 : ds.shm_lpid == parent ? 1 : 2, ds.shm_atime > 0, ds.shm_dtime > 0, ds.shm_ctime > 0,
           ds.shm_perm.__key == IPC_PRIVATE);
    fflush(stdout);
}

static void in_child(void (*what)(int), int argument) {
    fflush(stdout);
    int pid = fork();
    if (pid == 0) {
        what(argument);
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static char *shared;

static void writes(int at) {
    shared[at] = 'c';
    shared[at + 4096] = 'd';
}

static void attaches(int id) {
    char *own = shmat(id, NULL, 0);
    printf("child sees %c\n", own[10]);
    own[11] = 'z';
    state(id);
}

static void other_user(int id) {
    setgid(1000), setuid(1000);
    TRY(shmat(id, NULL, 0) == (void *)-1 ? -1 : 0);
    TRY(shmat(id, NULL, SHM_RDONLY) == (void *)-1 ? -1 : 0);
    TRY(shmctl(id, IPC_RMID, NULL));
    struct shmid_ds ds;
    TRY(shmctl(id, IPC_STAT, &ds));
    TRY(shmctl(id, IPC_SET, &ds));
    int key = 0x5eed0000 + parent;
    TRY(shmget(key, 0, 0600));
    TRY(shmget(key, 0, 0) < 0);
    TRY(shmget(key, 0, 0404) < 0);
}

static void segments(void) {
    int id = shmget(IPC_PRIVATE, 10000, 0640);
    ok("shmget", id);
    state(id);
    shared = shmat(id, NULL, 0);
    ok("shmat", shared == (void *)-1 ? -1 : 0);
    shared[10] = 'p';
    state(id);
    in_child(writes, 100);
    printf("%c%c\n", shared[100], shared[4196]);
    state(id);
    in_child(attaches, id);
    printf("%c\n", shared[11]);
    state(id);
    char *read_only = shmat(id, NULL, SHM_RDONLY);
    printf("%c %d\n", read_only[10], read_only == shared);
    TRY(mprotect(read_only, 4096, PROT_READ | PROT_WRITE));
    shared[10] = 'q';
    printf("%c\n", read_only[10]);
    state(id);
    TRY(mprotect(shared, 4096, PROT_READ));
    state(id);
    TRY(shmdt(read_only));
    TRY(shmdt(read_only));
    state(id);
    TRY(shmdt(shared + 4096));
    TRY(shmdt(shared + 1));
    TRY(shmdt(shared));
    state(id);
    // At a place of ours.
    char *place = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TRY(shmat(id, place, 0) == (void *)-1 ? -1 : 0);
    TRY(shmat(id, place, SHM_REMAP) == place);
    printf("%c\n", place[10]);
    TRY(shmat(id, place + 1, 0) == (void *)-1 ? -1 : 0);
    TRY(shmat(id, NULL, SHM_REMAP) == (void *)-1 ? -1 : 0);
    munmap(place + (1 << 19), 1 << 19);
    TRY(shmat(id, place + (1 << 19) + 77, SHM_RND) == place + (1 << 19));
    state(id);
    TRY(munmap(place, 4096));
    state(id);
    TRY(shmdt(place));
    TRY(shmctl(id, SHM_LOCK, NULL));
    state(id);
    TRY(shmctl(id, SHM_UNLOCK, NULL));
    in_child(other_user, id);
    struct shmid_ds ds;
    shmctl(id, IPC_STAT, &ds);
    ds.shm_perm.mode = 0604;
    TRY(shmctl(id, IPC_SET, &ds));
    in_child(other_user, id);
    TRY(shmctl(id, IPC_RMID, NULL));
    state(id);
    TRY(shmat(id, NULL, 0) == (void *)-1 ? -1 : 0);
    state(id);
    TRY(munmap(place + (1 << 19), 12288));
    state(id);
}

static void keys(void) {
    int key = 0x5eed0000 + parent;
    TRY(shmget(key, 100, 0600));
    int id = shmget(key, 5000, IPC_CREAT | 0600);
    ok("made", id);
    TRY(shmget(key, 100, 0600) == id);
    TRY(shmget(key, 5001, 0600));
    TRY(shmget(key, 0, 0) == id);
    TRY(shmget(key, 100, IPC_CREAT | IPC_EXCL | 0600));
    TRY(shmget(key + 1, 2 << 20, IPC_CREAT | SHM_HUGETLB | 0600));
    TRY(shmget(key, 100, IPC_CREAT | 0666) == id);
    in_child(other_user, id);
    TRY(shmctl(id, IPC_RMID, NULL));
    TRY(shmctl(id, IPC_RMID, NULL));
    TRY(shmget(key, 100, 0));
    TRY(shmget(IPC_PRIVATE, 0, 0600));
    TRY(shmat(-1, NULL, 0) == (void *)-1 ? -1 : 0);
    TRY(shmctl(-1, IPC_STAT, NULL));
    TRY(shmctl(id, 99, NULL));
    struct shminfo limits;
    TRY(shmctl(0, IPC_INFO, (void *)&limits) >= 0);
    printf("%lx %lx %lx %lx %lx\n", limits.shmmax, limits.shmmin, limits.shmmni, limits.shmseg, limits.shmall);
}

// Memory shared in other ways.
static void mappings(void) {
    shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared[0] = 'a', shared[4096] = 'b';
    in_child(writes, 0);
    printf("anonymous %c%c\n", shared[0], shared[4096]);
    char path[] = "/tmp/shared-XXXXXX";
    int fd = mkstemp(path);
    ftruncate(fd, 8192);
    shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *again = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *private = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    in_child(writes, 5);
    printf("file %c%c %c%c %c%c\n", shared[5], shared[4101], again[5], again[4101], private[5], private[4101]);
    char c[2];
    pread(fd, c, 1, 5), pread(fd, c + 1, 1, 4101);
    printf("read %c%c\n", c[0], c[1]);
    pwrite(fd, "w", 1, 6);
    printf("written %c %c\n", shared[6], again[6]);
    private[5] = 'x';
    printf("private %c %c\n", shared[5], private[5]);
    unlink(path);
    close(fd);
    again[7] = 'y';
    printf("unlinked %c\n", shared[7]);
    fd = memfd_create("shared", 0);
    ftruncate(fd, 8192);
    shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    in_child(writes, 5);
    pread(fd, c, 1, 5);
    printf("memfd %c%c %c\n", shared[5], shared[4101], c[0]);
    char name[40];
    sprintf(name, "/shared-%d-%d", parent, (int)sizeof(long));
    fd = shm_open(name, O_CREAT | O_RDWR, 0600);
    ok("shm_open", fd);
    ftruncate(fd, 8192);
    shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    in_child(writes, 9);
    printf("shm %c%c\n", shared[9], shared[4105]);
    shm_unlink(name);
}

// Two processes that hand a word back and forth.
static void ping_pong(void) {
    volatile int *turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int pid = fork();
    for (int i = 0; i < 200; i++) {
        while (*turn % 2 != (pid == 0)) sched_yield();
        __atomic_add_fetch(turn, 1, __ATOMIC_SEQ_CST);
    }
    if (pid == 0) _exit(0);
    waitpid(pid, NULL, 0);
    printf("%d\n", *turn);
}

int main(void) {
    parent = getpid();
    segments();
    keys();
    mappings();
    ping_pong();
    return 0;
}
