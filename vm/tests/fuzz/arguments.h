// Random calls with random arguments: half of them shaped as the call wants them.
#include <linux/futex.h>

// ---- random numbers (SplitMix64) ----

static uint64_t random_state;

static void seed_random(uint64_t seed) { random_state = seed; }

static uint64_t next_random(void) {
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static unsigned below(unsigned limit) { return next_random() % limit; }
static int chance(unsigned in) { return below(in) == 0; }
#define PICK(list) ((list)[below(sizeof(list) / sizeof *(list))])

// ---- memory that calls are pointed to ----

// The arena: pages that are written and read, one that may only be read, one without access, and nothing behind.
#define ARENA ((unsigned char *)0x30000000)
#define SHARED ((unsigned char *)0x38000000)
enum { PAGE = 4096, ARENA_PAGES = 16, SHARED_PAGES = 2, PATHS_AT = 0, STRUCTS_AT = 2 * PAGE, PATH_BYTES = 64 };

static int arena_map(void) {
    munmap(ARENA, (ARENA_PAGES + 8) * PAGE);
    int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if (mmap(ARENA, (ARENA_PAGES + 2) * PAGE, prot, flags, -1, 0) == MAP_FAILED) return -1;
    mprotect(ARENA + ARENA_PAGES * PAGE, PAGE, PROT_READ);
    mprotect(ARENA + (ARENA_PAGES + 1) * PAGE, PAGE, PROT_NONE);
    for (int i = 0; i < PATH_COUNT; i++) memcpy(ARENA + PATHS_AT + i * PATH_BYTES, PATHS[i], strlen(PATHS[i]) + 1);
    if (mmap(SHARED, SHARED_PAGES * PAGE, prot, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) return -1;
    return 0;
}

static long edge_pointer(void) {
    static const unsigned long BAD[] = {0, 1, PAGE, 0x7fffffff, 0x80000000, 0xfffff000, 0xffffffff, -1ul, -8ul, -4096ul};
    unsigned char *end = ARENA + (ARENA_PAGES + below(4)) * PAGE;
    switch (below(6)) {
    case 0: return PICK(BAD);
    case 1: return (long)next_random();
    case 2: return sizeof(long) == 8 ? (long)(1ul << (40 + below(24))) : (long)0xc0000000;
    case 3: return (long)(void *)&edge_pointer + (long)below(64) - 32;
    default: return (long)(end - below(70));
    }
}

static long pointer(void) {
    switch (below(16)) {
    case 0: case 1: return edge_pointer();
    case 2: return 0;
    case 3: return (long)(SHARED + 4 * below(16));
    case 4: return (long)(ARENA + below(ARENA_PAGES * PAGE));
    default: return (long)(ARENA + STRUCTS_AT + 16 * below(128));
    }
}

static long path(void) {
    if (chance(16)) return edge_pointer();
    // Names that are there come first.
    int index = chance(2) ? below(9) : below(PATH_COUNT);
    return (long)(ARENA + PATHS_AT + index * PATH_BYTES);
}

static long descriptor(void) {
    static const int EDGES[] = {-1, -100, -2, 1023, 1024, 0x7fffffff, 0x10000};
    if (chance(12)) return PICK(EDGES);
    return below(48);
}

static long length(void) {
    static const long EDGES[] = {0, 1, 2, 3, 4, 7, 8, 12, 16, 24, 28, 32, 56, 64, 88, 104, 112, 128, 144, 255, 256, 512, 1024,
        4095, 4096, 4097, 8192, 65535, 65536, 100000, 1 << 20, 0x7fffffff, -1, -4096, 0x7ffff000};
    return chance(4) ? (long)below(300) : PICK(EDGES);
}

static long flags(void) {
    long value = 0;
    for (int bits = below(4); bits > 0; bits--) value |= 1l << below(chance(4) ? 32 : 13);
    return chance(16) ? (long)next_random() : value;
}

static long number(void) {
    static const long EDGES[] = {-1, -2, 0x7fffffff, (long)0x80000000, 4096, 65536, 1000, 0x10000000, LONG_MAX, LONG_MIN};
    switch (below(8)) {
    case 0: return PICK(EDGES);
    case 1: return (long)next_random();
    case 2: return flags();
    case 3: return 1l << below(8 * sizeof(long));
    default: return below(40);
    }
}

static long process(void) {
    switch (below(4)) {
    case 0: return 0;
    case 1: return number();
    case 2: return syscall(SYS_gettid) + (long)below(5) - 2;
    default: return syscall(SYS_getpid);
    }
}

static long mapped(void) { return chance(8) ? edge_pointer() & -(long)PAGE : (long)(ARENA + PAGE * below(ARENA_PAGES + 8)); }

static long offset(void) { return chance(3) ? (long)below(5) * PAGE : chance(8) ? number() : (long)below(30000); }

// ---- calls ----

// f descriptor, p pointer, s path, l length, b flags, i number, t process, m page, o offset.
typedef struct { short number, other; const char *shape; } Shape;

#ifdef __x86_64__
#define OF(name, i386, shape) {SYS_##name, i386, shape}
#else
#define OF(name, i386, shape) {i386, i386, shape}
#endif

static const Shape SHAPES[] = {
    OF(read, 3, "fpl"), OF(write, 4, "fpl"), OF(open, 5, "sbi"), OF(close, 6, "f"), OF(poll, 168, "pii"),
    OF(lseek, 19, "foi"), OF(mprotect, 125, "mlb"), OF(munmap, 91, "ml"), OF(rt_sigaction, 174, "ippi"),
    OF(rt_sigprocmask, 175, "ippi"), OF(ioctl, 54, "fip"), OF(pread64, 180, "fplo"), OF(pwrite64, 181, "fplo"),
    OF(readv, 145, "fpi"), OF(writev, 146, "fpi"), OF(access, 33, "sb"), OF(pipe, 42, "p"), OF(select, 142, "ipppp"),
    OF(mremap, 163, "mllbm"), OF(msync, 144, "mlb"), OF(mincore, 218, "mlp"), OF(madvise, 219, "mli"),
    OF(shmget, 395, "ilb"), OF(shmat, 397, "imb"), OF(shmctl, 396, "iip"), OF(dup, 41, "f"), OF(dup2, 63, "ff"),
    OF(nanosleep, 162, "pp"), OF(setitimer, 104, "ipp"), OF(sendfile, 187, "ffpl"), OF(socket, 359, "iii"),
    OF(connect, 362, "fpl"), OF(accept4, 364, "fppb"), OF(sendto, 369, "fplbpl"), OF(recvfrom, 371, "fplbpp"),
    OF(sendmsg, 370, "fpb"), OF(recvmsg, 372, "fpb"), OF(shutdown, 373, "fi"), OF(bind, 361, "fpl"),
    OF(listen, 363, "fi"), OF(getsockname, 367, "fpp"), OF(getpeername, 368, "fpp"), OF(socketpair, 360, "iiip"),
    OF(setsockopt, 366, "fiipl"), OF(getsockopt, 365, "fiipp"), OF(clone, 120, "bpppp"), OF(fork, 2, ""),
    OF(vfork, 190, ""), OF(execve, 11, "spp"), OF(wait4, 114, "tpbp"), OF(kill, 37, "ti"), OF(semget, 393, "iib"),
    OF(semctl, 394, "iiip"), OF(msgget, 399, "ib"), OF(msgsnd, 400, "iplb"), OF(msgrcv, 401, "iplib"),
    OF(msgctl, 402, "iip"), OF(fcntl, 221, "fip"), OF(flock, 143, "fi"), OF(fsync, 118, "f"), OF(truncate, 92, "so"),
    OF(ftruncate, 93, "fo"), OF(getdents64, 220, "fpl"), OF(getcwd, 183, "pl"), OF(chdir, 12, "s"), OF(fchdir, 133, "f"),
    OF(rename, 38, "ss"), OF(mkdir, 39, "si"), OF(rmdir, 40, "s"), OF(link, 9, "ss"), OF(unlink, 10, "s"),
    OF(symlink, 83, "ss"), OF(readlink, 85, "spl"), OF(chmod, 15, "si"), OF(fchmod, 94, "fi"), OF(fchown, 207, "fii"),
    OF(getrlimit, 191, "ip"), OF(setrlimit, 75, "ip"), OF(getrusage, 77, "ip"), OF(sysinfo, 116, "p"), OF(times, 43, "p"),
    OF(ptrace, 26, "itpp"), OF(syslog, 103, "ipl"), OF(setpgid, 57, "tt"), OF(setresuid, 208, "iii"),
    OF(capget, 184, "pp"), OF(rt_sigtimedwait, 177, "pppi"), OF(rt_sigqueueinfo, 178, "tip"), OF(rt_sigreturn, 173, ""),
    OF(sigaltstack, 186, "pp"), OF(mknod, 14, "sii"), OF(personality, 136, "i"), OF(statfs, 99, "sp"),
    OF(fstatfs, 100, "fp"), OF(setpriority, 97, "iti"), OF(sched_setscheduler, 156, "tip"), OF(prctl, 172, "ipppp"),
    OF(chroot, 61, "s"), OF(mount, 21, "sssbp"), OF(umount2, 52, "sb"), OF(setxattr, 226, "spplb"),
    OF(fsetxattr, 228, "fpplb"), OF(getxattr, 229, "sppl"), OF(listxattr, 232, "spl"), OF(removexattr, 235, "ss"),
    OF(tkill, 238, "ti"), OF(futex, 240, "piippi"), OF(sched_setaffinity, 241, "tlp"), OF(io_setup, 245, "ip"),
    OF(io_submit, 248, "pip"), OF(io_getevents, 247, "piipp"), OF(epoll_ctl, 255, "fifp"), OF(epoll_pwait, 319, "fpiipl"),
    OF(semtimedop, 420, "ipip"), OF(timer_create, 259, "ipp"), OF(timer_settime, 260, "iipp"), OF(timer_gettime, 261, "ip"),
    OF(clock_gettime, 265, "ip"), OF(clock_nanosleep, 267, "iipp"), OF(tgkill, 270, "tti"), OF(mbind, 274, "mlipib"),
    OF(mq_open, 277, "sbip"), OF(mq_unlink, 278, "s"), OF(mq_timedsend, 279, "fplip"), OF(mq_timedreceive, 280, "fplpp"),
    OF(mq_notify, 281, "fp"), OF(mq_getsetattr, 282, "fpp"), OF(waitid, 284, "itpbp"), OF(inotify_add_watch, 292, "fsb"),
    OF(inotify_rm_watch, 293, "fi"), OF(openat, 295, "fsbi"), OF(mkdirat, 296, "fsi"), OF(fchownat, 298, "fsiib"),
    OF(unlinkat, 301, "fsb"), OF(linkat, 303, "fsfsb"), OF(symlinkat, 304, "sfs"), OF(readlinkat, 305, "fspl"),
    OF(fchmodat, 306, "fsi"), OF(pselect6, 308, "ippppp"), OF(ppoll, 309, "pippl"), OF(unshare, 310, "b"),
    OF(set_robust_list, 311, "pl"), OF(get_robust_list, 312, "tpp"), OF(splice, 313, "fpfplb"), OF(tee, 315, "fflb"),
    OF(sync_file_range, 314, "foob"), OF(vmsplice, 316, "fpib"), OF(move_pages, 317, "tippb"), OF(utimensat, 320, "fspb"),
    OF(signalfd4, 327, "fplb"), OF(timerfd_create, 322, "ib"), OF(fallocate, 324, "fboo"), OF(timerfd_settime, 325, "fbpp"),
    OF(timerfd_gettime, 326, "fp"), OF(eventfd2, 328, "ib"), OF(pipe2, 331, "pb"), OF(inotify_init1, 332, "b"),
    OF(preadv2, 378, "fpiiib"), OF(pwritev2, 379, "fpiiib"), OF(rt_tgsigqueueinfo, 335, "ttip"), OF(recvmmsg, 337, "fpibp"),
    OF(sendmmsg, 345, "fpib"), OF(prlimit64, 340, "tipp"), OF(process_vm_readv, 347, "tpipii"),
    OF(process_vm_writev, 348, "tpipii"), OF(kcmp, 349, "ttiff"), OF(renameat2, 353, "fsfsb"), OF(seccomp, 354, "ibp"),
    OF(getrandom, 355, "plb"), OF(memfd_create, 356, "sb"), OF(execveat, 358, "fsppb"), OF(membarrier, 375, "ibi"),
    OF(copy_file_range, 377, "fpfplb"), OF(statx, 383, "fsbbp"), OF(pidfd_send_signal, 424, "fipb"),
    OF(pidfd_open, 434, "tb"), OF(clone3, 435, "pl"), OF(close_range, 436, "ffb"), OF(openat2, 437, "fspl"),
    OF(pidfd_getfd, 438, "ffb"), OF(faccessat2, 439, "fsbb"), OF(epoll_pwait2, 441, "fpippl"),
    OF(futex_waitv, 449, "pibpi"),
};
enum { SHAPE_COUNT = sizeof SHAPES / sizeof *SHAPES, NUMBER_LIMIT = 460 };

static long argument(char kind) {
    switch (kind) {
    case 'f': return descriptor();
    case 'p': return pointer();
    case 's': return path();
    case 'l': return length();
    case 'b': return flags();
    case 't': return process();
    case 'm': return mapped();
    case 'o': return offset();
    default: return number();
    }
}

static long any_argument(void) { return argument("fpslbitmo"[below(9)]); }

// Calls that end whoever makes them, or wait for nothing: of x86-64, of i386.
static const short ENDING[] = {60, 231, 34, 130}, ENDING_I386[] = {1, 252, 29, 72, 179};
// Those that reach other processes: not for root, who may do them any harm.
static const short REACHING[] = {62, 200, 234, 129, 297, 101, 311, 302, 434, 424, 438, 141, 142, 144, 203, 314, 256, 279, 251};
static const short REACHING_I386[] = {37, 238, 270, 178, 335, 26, 348, 340, 434, 424, 438, 97, 34, 154, 156, 241, 351, 294, 317, 289};
// Making tasks.
static const short MAKING[] = {56, 57, 58, 435, 59, 322}, MAKING_I386[] = {2, 120, 190, 435, 11, 358};

static int is_in(const short *list, unsigned bytes, long number) {
    for (unsigned i = 0; i < bytes / sizeof *list; i++)
        if (list[i] == number) return 1;
    return 0;
}
#define IN(list, number) (is_i386 ? is_in(list##_I386, sizeof list##_I386, number) : is_in(list, sizeof list, number))

static int makes_tasks(long number) {
    int is_i386 = sizeof(long) == 4;
    return IN(MAKING, number);
}

// Whom signals about a file go to is the same as sending them.
static int sets_owner(const long *words, int is_i386) {
    int is_fcntl = words[0] == (is_i386 ? 221 : 72) || (is_i386 && words[0] == 55);
    int is_ioctl = words[0] == (is_i386 ? 54 : 16);
    return (is_fcntl && ((int)words[2] == F_SETOWN || (int)words[2] == F_SETOWN_EX))
        || (is_ioctl && ((int)words[2] == 0x8901 || (int)words[2] == 0x8902));
}

static void choose_call(long words[7], int as_root, int by_interrupt) {
    int is_i386 = by_interrupt || sizeof(long) == 4;
    do {
        const Shape *shape = &PICK(SHAPES);
        int is_shaped = !chance(4);
        words[0] = !is_shaped ? (long)below(NUMBER_LIMIT) : is_i386 ? shape->other : shape->number;
        int arguments = is_shaped ? strlen(shape->shape) : 0;
        for (int i = 0; i < 6; i++) words[i + 1] = i < arguments && !chance(24) ? argument(shape->shape[i]) : any_argument();
    } while (IN(ENDING, words[0]) || (IN(MAKING, words[0]) && !chance(8))
        || (as_root && (IN(REACHING, words[0]) || sets_owner(words, is_i386))));
}

// A 32-bit call of a 64-bit program.
static long interrupt_call(const long words[7]) {
    long result = words[0];
#ifdef __x86_64__
    // Below the red zone.
    __asm__ volatile("lea -128(%%rsp), %%rsp; push %%rbp; mov %[sixth], %%rbp; int $0x80; pop %%rbp; lea 128(%%rsp), %%rsp"
        : "+a"(result)
        : "b"(words[1]), "c"(words[2]), "d"(words[3]), "S"(words[4]), "D"(words[5]), [sixth] "r"(words[6])
        : "memory", "r8", "r9", "r10", "r11");
#endif
    return result;
}

// ---- what pointers point to ----

static void put_struct(long *at) {
    static const unsigned char ADDRESSES[][28] = {
        {2, 0, 0x1f, 0x90, 127, 0, 0, 1}, {2, 0, 0, 0, 0, 0, 0, 0},
        {10, 0, 0x1f, 0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
        {1, 0, 0, 'a'}, {1, 0, '/', 'f', 'u', 'z', 'z', '/', 's', 'o', 'c', 'k', 'e', 't'}, {16, 0},
        {32, 0, 0, 0, 18, 0, 1, 3}, {20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0},
        {4, 0, 0, 0, 4, 0, 0, 0, 0}, {2, 0, 0, 0, 3, 0, 0, 0},
    };
    switch (below(7)) {
    case 0: memcpy(at, PICK(ADDRESSES), 28); break;
    case 1: for (int i = 0; i < 4; i++) at[2 * i] = pointer(), at[2 * i + 1] = length(); break;
    case 2: at[0] = 0, at[1] = below(3000000), at[2] = 0, at[3] = below(3000000); break;
    case 3: { long message[] = {pointer(), 28, pointer(), below(4), pointer(), length(), flags()}; memcpy(at, message, sizeof message); } break;
    case 4: for (int i = 0; i < 8; i++) ((int *)at)[2 * i] = descriptor(), ((int *)at)[2 * i + 1] = flags() & 0xffff; break;
    case 5: { long control[] = {20 + below(2) * 8, 1l | 1l << 32 % (8 * sizeof(long)), descriptor(), descriptor()}; memcpy(at, control, sizeof control); } break;
    default: for (int i = 0; i < 11; i++) at[i] = any_argument();
    }
}

static void fill_arena(void) {
    int name = below(PATH_COUNT);
    memcpy(ARENA + PATHS_AT + name * PATH_BYTES, PATHS[name], strlen(PATHS[name]) + 1);
    for (int i = 0; i < 3; i++) put_struct((long *)(ARENA + STRUCTS_AT + 16 * below(128)));
    if (chance(64))
        for (int i = 0; i < 128; i++) put_struct((long *)(ARENA + STRUCTS_AT + 16 * i));
    // The last bytes before what can't be written, and what all children see.
    if (chance(4)) put_struct((long *)(ARENA + ARENA_PAGES * PAGE - 96));
    if (chance(4)) ((int *)SHARED)[below(16)] = chance(2) ? (int)syscall(SYS_gettid) : (int)number();
}
