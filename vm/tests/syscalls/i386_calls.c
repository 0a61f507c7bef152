// Calls that only i386 has, and those whose arguments or structs differ there.
#include "report.h"
#include "int80.h"
#include <dirent.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

static char dir[] = "/tmp/i386.XXXXXX";
static char buf[4096];

struct timespec64 { int64_t seconds, nanos; };
struct timespec32 { int32_t seconds, nanos; };

static void long_offsets(void) {
    int fd = CALL(SYS_open, "big", O_RDWR | O_CREAT | O_EXCL, 0600);
    show("flags", INT80(SYS_fcntl, fd, F_GETFL));
    // 5 GiB and 7: low half, high half.
    CALL(SYS_ftruncate64, fd, 7, 5);
    CALL(SYS_ftruncate64, fd, 7, -1);
    CALL(SYS_ftruncate, fd, -1);
    int64_t at = -1;
    TRY(INT80(SYS__llseek, fd, 1, 2, &at, SEEK_SET));
    printf("%lld\n", (long long)at);
    TRY(INT80(SYS__llseek, fd, -1, -1, &at, SEEK_SET));
    CALL(SYS_write, fd, "x", 1);
    CALL(SYS_close, fd);
    CALL(SYS_open, "big", O_RDWR);
    CALL(SYS_openat, AT_FDCWD, "big", O_RDONLY);
    fd = CALL(SYS_open, "big", O_RDWR | 0100000);
    show("flags", INT80(SYS_fcntl, fd, F_GETFL) & 0100000);
    CALL(SYS_pwrite64, fd, "hello", 5, 3, 1);
    CALL(SYS_pread64, fd, buf, 5, 3, 1);
    printf("%.5s\n", buf);
    struct iovec vector[2] = {{buf, 2}, {buf + 8, 3}};
    CALL(SYS_preadv, fd, vector, 2, 3, 1);
    printf("%.2s %.3s\n", buf, buf + 8);
    CALL(SYS_pwritev, fd, vector, 2, 4, 1);
    CALL(SYS_preadv2, fd, vector, 2, 4, 1, 0);
    CALL(SYS_preadv2, fd, vector, 2, -1, -1, 0);
    vector[1].iov_len = -1;
    CALL(SYS_readv, fd, vector, 2);
    CALL(SYS_fallocate, fd, 0, 0, 1, 8, 0);
    CALL(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1, 8, 1);
    CALL(SYS_fadvise64, fd, 0, 1, 10, 0);
    CALL(SYS_fadvise64_64, fd, 0, 1, 0, 1, 0);
    CALL(SYS_readahead, fd, 0, 1, 10);
    CALL(SYS_lseek, fd, -1, SEEK_SET);
    CALL(SYS_lseek, fd, 100, SEEK_SET);
    struct stat st;
    CALL(SYS_stat, "big", buf);
    CALL(SYS_fstat, fd, buf);
    memset(&st, 1, sizeof st);
    CALL(SYS_truncate64, "big", 9, 0);
    CALL(SYS_close, fd);
    // Writing past two gigabytes without having said so.
    fd = CALL(SYS_open, "big", O_RDWR);
    TRY(INT80(SYS__llseek, fd, 0, 0x7ffffffd, &at, SEEK_SET));
    CALL(SYS_write, fd, "hello", 5);
    CALL(SYS_write, fd, "hello", 5);
    CALL(SYS_close, fd);
    // From file to file: offsets of 32 and of 64 bits.
    int from = open("big", O_RDWR | O_TRUNC), to = open("to", O_RDWR | O_CREAT, 0600);
    write(from, "0123456789", 10);
    int32_t offset = 2;
    CALL(SYS_sendfile, to, from, &offset, 3);
    int64_t offset64 = 5;
    CALL(SYS_sendfile64, to, from, &offset64, 3);
    printf("%d %lld\n", offset, (long long)offset64);
    offset64 = 1;
    CALL(SYS_copy_file_range, from, &offset64, to, 0, 4, 0);
    printf("%lld %.10s\n", (long long)offset64, buf + 100 + 0 * pread(to, buf + 100, 10, 0));
    close(from);
    close(to);
}

static void locks(void) {
    int fd = open("lock", O_RDWR | O_CREAT, 0600);
    struct { int16_t type, whence; int32_t start, length, pid; } old = {F_WRLCK, SEEK_SET, 10, 5, 0};
    struct __attribute__((packed, aligned(4))) { int16_t type, whence; int64_t start, length; int32_t pid; }
        new = {F_WRLCK, SEEK_SET, 1ll << 33, 5, 0};
    CALL(SYS_fcntl, fd, 6, &old);
    CALL(SYS_fcntl, fd, 13, &new);
    CALL(SYS_fcntl64, fd, 13, &new);
    if (fork() == 0) {
        old.start = 0, old.length = 0;
        CALL(SYS_fcntl64, fd, 5, &old);
        printf("%d %d %d %d\n", old.type, old.start, old.length, old.pid == getppid());
        new.start = 20, new.length = 0;
        CALL(SYS_fcntl64, fd, 12, &new);
        printf("%d %lld %lld %d\n", new.type, (long long)new.start, (long long)new.length, new.pid == getppid());
        old.type = F_WRLCK, old.start = 20, old.length = 0;
        CALL(SYS_fcntl, fd, 5, &old);
        new.type = F_WRLCK, new.start = 12, new.length = 1;
        CALL(SYS_fcntl64, fd, 13, &new);
        new.type = F_WRLCK, new.start = 1ll << 40, new.pid = 0;
        CALL(SYS_fcntl64, fd, 37, &new);
        exit(0);
    }
    int status;
    printf("%d\n", INT80(SYS_waitpid, -1, &status, 0) > 0);
    printf("%x\n", status);
    CALL(SYS_waitpid, -1, &status, 0);
    CALL(SYS_waitpid, -1, &status, 0x100);
    close(fd);
}

static void stats(void) {
    struct { uint32_t dev, ino; uint16_t mode, links, uid, gid; uint32_t rdev, size, block, blocks, times[6], unused[2]; } old;
    int fd = open("small", O_RDWR | O_CREAT, 0640);
    write(fd, "12345", 5);
    CALL(SYS_fchown, fd, 1000, 0xffff);
    CALL(SYS_chown32, "small", -1, 70000);
    CALL(SYS_stat, "small", &old);
    printf("%o %d %d %d %d\n", old.mode, old.links, old.uid, old.gid, old.size);
    CALL(SYS_lstat, "small", &old);
    CALL(SYS_fstat, fd, &old);
    CALL(SYS_fstat, 99, &old);
    struct __attribute__((packed)) {
        uint64_t dev; uint32_t pad, short_ino, mode, links, uid, gid; uint64_t rdev; uint32_t pad2; int64_t size;
        uint32_t block; uint64_t blocks; uint32_t times[6]; uint64_t ino;
    } new;
    struct timespec64 times[2] = {{0x1ffffffff, 5}, {-7, 6}};
    CALL(SYS_utimensat_time64, AT_FDCWD, "small", times, 0);
    memset(&new, 1, sizeof new);
    CALL(SYS_stat64, "small", &new);
    printf("%o %u %u %u %lld %d\n", new.mode, new.links, new.uid, new.gid, (long long)new.size, new.short_ino == new.ino);
    struct timespec32 short_times[2] = {{-5, 999999999}, {6, 1000000000}};
    CALL(SYS_utimensat, AT_FDCWD, "small", short_times, 0);
    short_times[1].nanos = 8;
    CALL(SYS_utimensat, AT_FDCWD, "small", short_times, 0);
    CALL(SYS_fstatat64, AT_FDCWD, "small", &new, 0);
    printf("%d %u %d %u\n", new.times[0], new.times[1], new.times[2], new.times[3]);
    // What lies above 32 bits of nanoseconds is not looked at.
    times[0] = (struct timespec64){9, 0x700000001};
    CALL(SYS_utimensat_time64, AT_FDCWD, "small", times, 0);
    int32_t two[4] = {100, 200, 300, 400};
    CALL(SYS_utime, "small", two);
    CALL(SYS_lstat64, "small", &new);
    printf("%d %d\n", new.times[0], new.times[2]);
    CALL(SYS_utimes, "small", two);
    CALL(SYS_fstat64, fd, &new);
    printf("%d %d %d %d\n", new.times[0], new.times[1], new.times[2], new.times[3]);
    struct { uint32_t type, block, blocks[5], fsid[2], name_len, fragment, flags, spare[4]; } fs;
    CALL(SYS_statfs, "/proc", &fs);
    printf("%x %u %u\n", fs.type, fs.block, fs.name_len);
    struct __attribute__((packed)) { uint32_t type, block; uint64_t blocks[5]; uint32_t fsid[2], name_len, fragment, flags, spare[4]; } fs64;
    CALL(SYS_statfs64, "/proc", sizeof fs64, &fs64);
    printf("%x %u %u\n", fs64.type, fs64.block, fs64.name_len);
    CALL(SYS_statfs64, "/proc", sizeof fs64 - 1, &fs64);
    CALL(SYS_fstatfs64, fd, 0, &fs64);
    close(fd);
    mkdir("entries", 0700);
    close(open("entries/first", O_CREAT, 0600));
    mkdir("entries/second", 0700);
    fd = open("entries", O_RDONLY | O_DIRECTORY);
    CALL(SYS_getdents, fd, buf, 10);
    long len = INT80(SYS_getdents, fd, buf, sizeof buf);
    int kinds[256] = {0};
    for (long at = 0; at < len;) {
        struct { uint32_t ino, next; uint16_t length; char name[]; } *entry = (void *)(buf + at);
        if (entry->length != ((10 + strlen(entry->name) + 2 + 3) & ~3u)) printf("%d %s\n", entry->length, entry->name);
        kinds[(unsigned char)buf[at + entry->length - 1]]++;
        at += entry->length;
    }
    printf("%ld: %d %d\n", len, kinds[DT_DIR], kinds[DT_REG]);
    close(fd);
}

static void ids(void) {
    uint16_t id16[3];
    uint32_t id32[3];
    CALL(SYS_getuid);
    CALL(SYS_getgid);
    // In a child, which may give up what it is.
    if (fork() == 0) {
        uint16_t groups[3] = {5, 6, 0xfffe};
        CALL(SYS_setgroups, 3, groups);
        memset(groups, 0, sizeof groups);
        CALL(SYS_getgroups, 3, groups);
        printf("%d %d %d\n", groups[0], groups[1], groups[2]);
        uint32_t long_groups[1] = {100000};
        CALL(SYS_setgroups32, 1, long_groups);
        CALL(SYS_getgroups, 3, groups);
        printf("%d\n", groups[0]);
        CALL(SYS_setresgid, 0xffff, 7, 0xffff);
        CALL(SYS_setresuid32, 70000, 80000, 0);
        CALL(SYS_getresuid, &id16[0], &id16[1], &id16[2]);
        printf("%d %d %d\n", id16[0], id16[1], id16[2]);
        CALL(SYS_getresuid32, &id32[0], &id32[1], &id32[2]);
        printf("%d %d %d\n", id32[0], id32[1], id32[2]);
        CALL(SYS_getresgid, &id16[0], &id16[1], &id16[2]);
        printf("%d %d %d\n", id16[0], id16[1], id16[2]);
        CALL(SYS_geteuid);
        CALL(SYS_geteuid32);
        CALL(SYS_setreuid, 0xffff, 0);
        CALL(SYS_setuid, 1000);
        CALL(SYS_setuid, 0);
        exit(0);
    }
    wait(NULL);
}

static void waiting(void) {
    int p[2];
    CALL(SYS_pipe, p);
    uint32_t set[32] = {0};
    struct timeval32 { int32_t seconds, micros; } soon = {0, 1000};
    set[0] = 1 << p[0];
    uint32_t arguments[5] = {p[1] + 1, (uint32_t)set, 0, 0, (uint32_t)&soon};
    CALL(SYS_select, arguments);
    printf("%x %d\n", set[0], soon.micros);
    write(p[1], "x", 1);
    set[0] = 1 << p[0];
    CALL(SYS__newselect, p[1] + 1, set, 0, 0, 0);
    printf("%x\n", set[0] == 1 << p[0]);
    set[0] = 1 << p[0];
    set[1] = 0x55555555;
    struct timespec32 short_time = {0, 0};
    struct timespec64 long_time = {0, 0};
    uint64_t mask = 0;
    uint32_t with_size[2] = {(uint32_t)&mask, 8};
    CALL(SYS_pselect6, 20, set, 0, 0, &short_time, with_size);
    CALL(SYS_pselect6_time64, 20, set, 0, 0, &long_time, with_size);
    with_size[1] = 4;
    CALL(SYS_pselect6, 20, set, 0, 0, &short_time, with_size);
    // Only as many words as there are descriptors.
    printf("%x\n", set[1]);
    struct { int fd; short wanted, found; } polled = {p[0], 1, 0};
    CALL(SYS_poll, &polled, 1, 0);
    CALL(SYS_ppoll, &polled, 1, &short_time, &mask, 8);
    CALL(SYS_ppoll_time64, &polled, 1, &long_time, &mask, 8);
    short_time.nanos = 1000000000;
    CALL(SYS_ppoll, &polled, 1, &short_time, 0, 8);
    CALL(SYS_nanosleep, &short_time, 0);
    short_time.nanos = 1000;
    CALL(SYS_nanosleep, &short_time, 0);
    long_time.nanos = 0x100001000;
    CALL(SYS_clock_nanosleep_time64, CLOCK_MONOTONIC, 0, &long_time, 0);
    int word = 5;
    CALL(SYS_futex, &word, 0, 5, &short_time);
    CALL(SYS_futex_time64, &word, 0, 5, &long_time);
    CALL(SYS_futex_time64, &word, 0, 6, &long_time);
    struct timespec64 now64;
    struct timespec32 now32;
    CALL(SYS_clock_gettime64, CLOCK_REALTIME, &now64);
    CALL(SYS_clock_gettime, CLOCK_REALTIME, &now32);
    printf("%d\n", now32.seconds - (int32_t)now64.seconds < 3);
    printf("%d\n", now32.seconds - (int32_t)INT80(SYS_time, 0) < 3);
    CALL(SYS_clock_getres_time64, CLOCK_MONOTONIC, &now64);
    CALL(SYS_sched_rr_get_interval, 0, &now32);
    struct { struct timespec64 interval, value; } timer = {{0, 0}, {1000, 5}}, left;
    int fd = CALL(SYS_timerfd_create, CLOCK_MONOTONIC, 0);
    CALL(SYS_timerfd_settime64, fd, 0, &timer, 0);
    CALL(SYS_timerfd_gettime64, fd, &left);
    printf("%d\n", (int)left.value.seconds);
    struct { struct timespec32 interval, value; } old_timer = {{7, 8}, {1000, 500000000}};
    CALL(SYS_timerfd_settime, fd, 0, &old_timer, &old_timer);
    CALL(SYS_timerfd_gettime, fd, &old_timer);
    printf("%d %d %d\n", old_timer.value.seconds, old_timer.interval.seconds, old_timer.interval.nanos);
    struct { struct timeval32 interval, value; } interval = {{3, 4}, {500, 600000}};
    CALL(SYS_setitimer, ITIMER_REAL, &interval, 0);
    CALL(SYS_getitimer, ITIMER_REAL, &interval);
    printf("%d %d %d\n", interval.interval.seconds, interval.interval.micros, interval.value.seconds);
    CALL(SYS_alarm, 0);
    uint64_t alarm = 1 << (SIGALRM - 1);
    CALL(SYS_rt_sigprocmask, SIG_BLOCK, &alarm, 0, 8);
    raise(SIGALRM);
    siginfo_t info;
    CALL(SYS_rt_sigtimedwait, &alarm, &info, &now32, 8);
    printf("%d %d %d\n", info.si_signo, info.si_code, info.si_pid == getpid());
    now64 = (struct timespec64){0, 1000};
    CALL(SYS_rt_sigtimedwait_time64, &alarm, &info, &now64, 8);
    CALL(SYS_rt_sigprocmask, SIG_UNBLOCK, &alarm, 0, 8);
    struct { int32_t user, system, children_user, children_system; } times = {-1, -1, -1, -1};
    printf("%d\n", INT80(SYS_times, &times) != 0);
    printf("%d %d\n", times.user >= 0, times.children_system >= 0);
    // A timer with the C library's union of 32 bits.
    struct { uint32_t value; int signal, notify; int rest[13]; } event = {0x12345678, SIGUSR1, SIGEV_SIGNAL};
    uint64_t user = 1 << (SIGUSR1 - 1);
    CALL(SYS_rt_sigprocmask, SIG_BLOCK, &user, 0, 8);
    int id;
    CALL(SYS_timer_create, CLOCK_MONOTONIC, &event, &id);
    old_timer.interval = (struct timespec32){0, 0}, old_timer.value = (struct timespec32){0, 1000};
    CALL(SYS_timer_settime, id, 0, &old_timer, 0);
    CALL(SYS_rt_sigtimedwait, &user, &info, 0, 8);
    printf("%d %d %x\n", info.si_code, info.si_overrun, info.si_value.sival_int);
    CALL(SYS_timer_gettime64, id, &timer);
    CALL(SYS_timer_delete, id);
    CALL(SYS_rt_sigprocmask, SIG_UNBLOCK, &user, 0, 8);
}

static void maps(void) {
    int fd = open("map", O_RDWR | O_CREAT, 0600);
    ftruncate(fd, 3 * 4096);
    pwrite(fd, "second", 6, 4096);
    uint32_t old[6] = {0, 4096, PROT_READ, MAP_PRIVATE, fd, 4096};
    char *at = (char *)INT80(SYS_mmap, old);
    printf("%.6s\n", at);
    old[5] = 5;
    CALL(SYS_mmap, old);
    at = (char *)int80(SYS_mmap2, 0, 4096, PROT_READ, MAP_PRIVATE, fd, 1);
    printf("%.6s\n", at);
    CALL(SYS_munmap, at, 4096);
    CALL(SYS_mmap2, 0, -1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("%d\n", (uint32_t)INT80(SYS_brk, 0) > 0x10000);
    close(fd);
}

// What may be done with a mapping, as the kernel tells it.
static void print_rights(const char *what, uint32_t addr) {
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        if (strtoul(line, NULL, 16) == addr) printf("%s: %.4s\n", what, strchr(line, ' ') + 1);
    fclose(maps);
}

// Programs from before there was a right to execute.
static void implied_rights(void) {
    CALL(SYS_personality, 0x400000);
    uint32_t at = 0x30000000, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    show("mapped", int80(SYS_mmap2, at, 4096, PROT_READ, flags, -1, 0) == at);
    print_rights("read", at);
    CALL(SYS_mprotect, at, 4096, PROT_WRITE);
    print_rights("write", at);
    CALL(SYS_mprotect, at, 4096, PROT_READ | PROT_WRITE);
    print_rights("both", at);
    CALL(SYS_personality, 0);
    CALL(SYS_mprotect, at, 4096, PROT_READ);
    print_rights("read", at);
    CALL(SYS_munmap, at, 4096);
}

static void sockets(void) {
    int pair[2];
    uint32_t a[6] = {AF_UNIX, SOCK_STREAM, 0, (uint32_t)pair};
    CALL(SYS_socketcall, 8, a);
    uint32_t send[4] = {pair[0], (uint32_t)"hello", 5, 0};
    CALL(SYS_socketcall, 9, send);
    uint32_t receive[4] = {pair[1], (uint32_t)buf, 100, 0};
    CALL(SYS_socketcall, 10, receive);
    printf("%.5s\n", buf);
    struct iovec vector = {"files", 5};
    char control[64] = {0};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(8)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_len = CMSG_LEN(8), header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(header), (int[]){pair[0], 1}, 8);
    CALL(SYS_sendmsg, pair[0], &message, 0);
    vector = (struct iovec){buf, 100};
    message.msg_controllen = sizeof control;
    uint32_t by_struct[3] = {pair[1], (uint32_t)&message, 0};
    CALL(SYS_socketcall, 17, by_struct);
    printf("%d %d %d\n", (int)message.msg_controllen, (int)header->cmsg_len, message.msg_flags);
    message.msg_iovlen = 2000;
    CALL(SYS_recvmsg, pair[1], &message, MSG_DONTWAIT);
    struct mmsghdr many[2] = {0};
    struct iovec parts[2] = {{"one", 3}, {"three", 5}};
    for (int i = 0; i < 2; i++) many[i].msg_hdr.msg_iov = &parts[i], many[i].msg_hdr.msg_iovlen = 1;
    CALL(SYS_sendmmsg, pair[0], many, 2, 0);
    printf("%d %d\n", many[0].msg_len, many[1].msg_len);
    struct ucred who;
    uint32_t len = sizeof who;
    CALL(SYS_getsockopt, pair[0], SOL_SOCKET, SO_PEERCRED, &who, &len);
    printf("%d %d\n", len, who.pid == getpid());
    CALL(SYS_socketcall, 0, a);
    CALL(SYS_socketcall, 21, a);
    CALL(SYS_socketcall, 1, 4);
}

static void machine(void) {
    char names[6 * 65];
    CALL(SYS_olduname, names);
    printf("%s %s\n", names, names + 4 * 65);
    CALL(SYS_oldolduname, names);
    printf("%s %s\n", names, names + 4 * 9);
    CALL(SYS_personality, -1);
    CALL(SYS_personality, 8);
    CALL(SYS_uname, names);
    printf("%s %s\n", names, names + 4 * 65);
    CALL(SYS_olduname, names);
    printf("%s\n", names + 4 * 65);
    CALL(SYS_personality, 0);
    uint32_t limit[2] = {1 << 20, -1};
    CALL(SYS_setrlimit, RLIMIT_STACK, limit);
    CALL(SYS_getrlimit, RLIMIT_STACK, limit);
    printf("%x %x\n", limit[0], limit[1]);
    CALL(SYS_ugetrlimit, RLIMIT_STACK, limit);
    printf("%x %x\n", limit[0], limit[1]);
    uint64_t long_limit[2];
    CALL(SYS_prlimit64, 0, RLIMIT_STACK, 0, long_limit);
    printf("%llx %llx\n", (long long)long_limit[0], (long long)long_limit[1]);
    CALL(SYS_getrlimit, 16, limit);
    uint32_t usage[18];
    memset(usage, -1, sizeof usage);
    CALL(SYS_getrusage, RUSAGE_SELF, usage);
    printf("%d\n", usage[4] != 0);
    struct { int32_t uptime, loads[3], total, free, shared, buffers, swap, free_swap; uint16_t procs, pad; uint32_t high, free_high, unit; } info;
    CALL(SYS_sysinfo, &info);
    printf("%d %d\n", info.uptime >= 0, info.total != 0);
    uint64_t mask;
    CALL(SYS_sched_getaffinity, 0, 2, &mask);
    CALL(SYS_sched_getaffinity, 0, 4, &mask);
    CALL(SYS_set_robust_list, 0, 24);
    CALL(SYS_set_robust_list, 0, 12);
    uint32_t head, len;
    CALL(SYS_get_robust_list, 0, &head, &len);
    printf("%u %u\n", head, len);
    CALL(SYS_arch_prctl, 0x1002, 0);
    CALL(SYS_nice, 3);
    // Who runs this may have lowered its priority.
    CALL(SYS_setpriority, 0, 0, 15);
    CALL(SYS_getpriority, 0, 0);
    CALL(SYS_break);
    CALL(SYS_clock_gettime, 77, buf);
    CALL(SYS_umount, "nowhere");
    CALL(9999);
}

int main(void) {
    OK(mkdtemp(dir) ? 0 : -1);
    OK(chdir(dir));
    long_offsets();
    locks();
    stats();
    ids();
    waiting();
    maps();
    implied_rights();
    sockets();
    machine();
    const char *files[] = {"big", "to", "lock", "small", "map", "entries/first"};
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) TRY(unlink(files[i]));
    TRY(rmdir("entries/second"));
    TRY(rmdir("entries"));
    TRY(rmdir(dir));
    return 0;
}
