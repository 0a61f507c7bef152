// Signal frames of i386, segment registers, the vDSO, and the ways into the kernel.
#include <cpuid.h>
#include "report.h"
#include "int80.h"
#include <elf.h>
#include <setjmp.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unwind.h>

struct old_sigaction { uint32_t handler, mask, flags, restorer; };
struct new_sigaction { uint32_t handler, flags, restorer; uint64_t mask; } __attribute__((packed));

static void old_action(int signal, void *handler, uint32_t flags) {
    struct old_sigaction action = {(uint32_t)handler, 1 << (SIGUSR2 - 1), flags, 0}, before;
    CALL(SYS_sigaction, signal, &action, &before);
    printf("%x %x\n", before.mask, before.flags);
}

static void new_action(int signal, void *handler, uint32_t flags) {
    struct new_sigaction action = {(uint32_t)handler, flags, 0, 1ull << 40 | 1 << (SIGUSR2 - 1)};
    CALL(SYS_rt_sigaction, signal, &action, 0, 8);
}

static void print_bytes(const char *what, const uint8_t *bytes, int count) {
    printf("%s:", what);
    for (int i = 0; i < count; i++) printf(" %02x", bytes[i]);
    printf("\n");
}

struct x87 { uint32_t control, status, tags, rest[4]; uint16_t registers[8][5], status_again, magic; };

static void print_context(const struct sigcontext *sc) {
    printf("cs %x ss %x ds %x es %x fs %x gs %x\n", sc->cs, sc->ss, sc->ds, sc->es, sc->fs, sc->gs);
    printf("trap %ld error %ld same stack %d\n", (long)sc->trapno, (long)sc->err, sc->esp == sc->esp_at_signal);
    const struct x87 *x87 = (void *)sc->fpstate;
    printf("aligned %d\n", (int)(((uintptr_t)x87 + sizeof *x87) % 64));
    printf("x87 %x %x %x, %x %x\n", x87->control, x87->status, x87->tags, x87->status_again, x87->magic);
    print_bytes("st", (void *)x87->registers[0], 10);
    print_bytes("st1", (void *)x87->registers[1], 10);
}

static volatile int count;

// The frame begins below the arguments: return address, signal, context by value.
__attribute__((noinline, used)) static void plain_body(uint32_t *frame) {
    struct sigcontext *sc = (void *)(frame + 2);
    printf("signal %d, aligned %d\n", frame[1], (int)((uintptr_t)frame & 15));
    print_bytes("returns to", (void *)frame[0], 8);
    print_bytes("code in the frame", (uint8_t *)frame + 8 + 88 + 624 + 4, 8);
    printf("masks %lx %x\n", (long)sc->oldmask, *(uint32_t *)((uint8_t *)frame + 8 + 88 + 624));
    print_context(sc);
    printf("ebx %d esi %lx\n", sc->ebx == getpid(), (long)sc->esi);
    // What the program is to find.
    sc->ebx = 0x11111111;
    ((struct x87 *)sc->fpstate)->registers[0][4] ^= 0x8000;
    uint8_t *fxsave = (uint8_t *)sc->fpstate + 112;
    print_bytes("xmm0", fxsave + 160, 16);
    fxsave[160] = 0x99;
    count++;
}
void plain_handler(void);
__asm__(".text\nplain_handler: mov %esp, %eax\n sub $8, %esp\n push %eax\n call plain_body\n add $12, %esp\n ret");

__attribute__((regparm(3))) static void in_registers(int signal, siginfo_t *info, ucontext_t *uc) {
    printf("by registers: %d %d %d\n", signal, info->si_signo, (int)((uint8_t *)uc - (uint8_t *)info));
    count++;
}

static void with_info(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    uint32_t *frame = (uint32_t *)__builtin_frame_address(0) + 1;
    printf("signal %d code %d aligned %d\n", signal, info->si_code, (int)((uintptr_t)frame & 15));
    print_bytes("returns to", (void *)frame[0], 7);
    print_bytes("code in the frame", (uint8_t *)(frame + 4) + 128 + 116, 8);
    printf("link %p stack %d %zu\n", (void *)uc->uc_link, uc->uc_stack.ss_flags, uc->uc_stack.ss_size);
    uint32_t *mask = (uint32_t *)((uint8_t *)uc + 108);
    printf("mask %x %x\n", mask[0], mask[1]);
    printf("trap %d error %d\n", uc->uc_mcontext.gregs[REG_TRAPNO], uc->uc_mcontext.gregs[REG_ERR]);
    mask[0] |= 1 << (SIGWINCH - 1);
    count++;
}

// Raises a signal with known values in registers, and says what came back.
__attribute__((noinline)) static void with_registers(int signal) {
    uint32_t ebx, esi = 0x22222222;
    struct { uint32_t xmm[4]; int pid; uint16_t st[6]; } data = {{1, 2, 3, 4}, getpid()};
    __asm__ volatile("fninit\n fldpi\n fld1\n movups (%%edi), %%xmm0\n push %%ebx\n mov 16(%%edi), %%ebx\n int $0x80\n"
                     "mov %%ebx, %%ecx\n pop %%ebx\n fstpt 20(%%edi)\n fstp %%st\n movups %%xmm0, (%%edi)"
                     : "=&c"(ebx), "+S"(esi) : "a"(SYS_kill), "0"(signal), "D"(&data) : "memory", "xmm0", "edx");
    printf("ebx %s esi %x\n", ebx == 0x11111111 ? "changed" : "kept", esi);
    print_bytes("st", (void *)data.st, 10);
    print_bytes("xmm0", (void *)data.xmm, 16);
}

static sigjmp_buf back;
static uintptr_t base;
// Error codes that name a selector are left out: our processor does not tell.
static int by_selector;

static void fault(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    greg_t *r = uc->uc_mcontext.gregs;
    printf("signal %d code %d trap %d error %d at %d\n", signal, info->si_code, r[REG_TRAPNO], by_selector ? 0 : r[REG_ERR],
           (int)(r[REG_EIP] - base));
    if (r[REG_TRAPNO] == 14) printf("address %p cr2 %lx\n", info->si_addr, (long)uc->uc_mcontext.cr2);
    siglongjmp(back, 1);
}

// Runs bytes of code.
static void run(const char *what, const char *code, int len) {
    static uint8_t *page;
    if (!page) page = mmap((void *)0x20000000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    base = (uintptr_t)page;
    memcpy(page, code, len);
    page[len] = 0xc3;
    printf("%s\n", what);
    fflush(stdout);
    if (sigsetjmp(back, 1) == 0) {
        int result = ((int (*)(void))page)();
        printf("returned %d\n", result);
    }
}
#define RUN(what, code) run(what, code, sizeof code - 1)

static void exceptions(void) {
    int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    for (int i = 0; i < 5; i++) new_action(signals[i], fault, SA_SIGINFO | SA_NODEFER);
    RUN("read of nothing", "\xa1\x08\x00\x00\x00");
    RUN("write of nothing", "\xa3\xf0\xff\xff\xff");
    RUN("int 0x81", "\xcd\x81");
    RUN("int 3", "\xcd\x03");
    RUN("int 4", "\xcd\x04");
    RUN("int3", "\xcc");
    RUN("hlt", "\xf4");
    RUN("ud2", "\x0f\x0b");
    RUN("div", "\x31\xc9\x31\xd2\xf7\xf1");
    RUN("jump to nothing", "\x31\xc0\xff\xe0");
    // mov $0x63 + n, %eax; mov %eax, %fs
    by_selector = 1;
    RUN("fs without entry", "\xb8\x73\x00\x00\x00\x8e\xe0");
    RUN("ds of the kernel", "\xb8\x18\x00\x00\x00\x8e\xd8");
    RUN("null in ss", "\x31\xc0\x8e\xd0");
    RUN("code in ds, and back", "\xb8\x23\x00\x00\x00\x8e\xd8\xb8\x2b\x00\x00\x00\x8e\xd8\x8c\xd8");
    RUN("null in es, and back", "\x06\x31\xc0\x8e\xc0\x8c\xc0\x07\x8c\xc0");
    RUN("push and pop", "\x6a\xff\x1e\x58\x58\x6a\xff\x83\xc4\x04\x0f\xa8\x58\x25\xff\xff\x00\x00");
    RUN("cs", "\x8c\xc8");
    RUN("ss", "\x8c\xd0");
    RUN("gs", "\x8c\xe8");
    RUN("fs", "\x8c\xe0");
}

static uint32_t read_fs(void) {
    uint32_t value;
    __asm__ volatile("mov %%fs:4, %0" : "=r"(value));
    return value;
}

// Loads FS now with one selector, now with the other, often enough to be compiled.
__attribute__((noinline)) static int alternate(uint16_t one, uint16_t other) {
    int sum = 0;
    for (int i = 0; i < 500; i++) {
        uint16_t selector = i % 3 ? one : other, read;
        uint32_t value, back;
        __asm__ volatile("mov %[selector], %%fs\n mov %%fs:4, %[value]\n mov %%fs, %[read]\n push %%fs\n push $0\n pop %%fs\n"
                         "mov %%fs, %[back]\n pop %%fs"
                         : [value] "=&r"(value), [read] "=&r"(read), [back] "=&r"(back) : [selector] "r"(selector));
        sum += value * i + (read != selector) + back;
    }
    return sum;
}

static void thread_areas(void) {
    static uint32_t words[2][2] = {{1, 2}, {3, 4}};
    struct { uint32_t entry, base, limit, flags; } area = {-1, (uint32_t)words[0], 0xfffff, 0x51}, other;
    CALL(SYS_set_thread_area, &area);
    printf("entry %d\n", area.entry);
    uint16_t selector = area.entry * 8 + 3;
    __asm__ volatile("mov %0, %%fs" : : "r"(selector));
    printf("fs:4 %d\n", read_fs());
    area.base = (uint32_t)words[1];
    CALL(SYS_set_thread_area, &area);
    printf("fs:4 %d\n", read_fs());
    if (fork() == 0) {
        printf("child %d\n", read_fs());
        exit(0);
    }
    wait(NULL);
    other.entry = area.entry;
    CALL(SYS_get_thread_area, &other);
    printf("%d %x %x\n", other.base == area.base, other.limit, other.flags);
    other.entry = area.entry + 1;
    CALL(SYS_get_thread_area, &other);
    printf("%x %x %x\n", other.base, other.limit, other.flags);
    other = (typeof(other)){-1, 0x1000, 5, 0x51};
    CALL(SYS_set_thread_area, &other);
    printf("entry %d\n", other.entry);
    struct { uint32_t entry, base, limit, flags; } second = {other.entry, (uint32_t)words[0], 0xfffff, 0x51};
    CALL(SYS_set_thread_area, &second);
    printf("alternate %d\n", alternate(selector, selector + 8));
    __asm__ volatile("mov %0, %%fs" : : "r"(selector));
    other.entry = -1;
    CALL(SYS_set_thread_area, &other);
    uint32_t wrong[] = {11, 15, 0, -2};
    for (int i = 0; i < 4; i++) {
        other.entry = wrong[i];
        CALL(SYS_set_thread_area, &other);
        CALL(SYS_get_thread_area, &other);
    }
    other.entry = area.entry;
    uint32_t flags[] = {0x50, 0x55, 0x71, 0x59, 0x53, 0x28, 0xd1};
    for (int i = 0; i < 7; i++) {
        other.flags = flags[i];
        CALL(SYS_set_thread_area, &other);
        CALL(SYS_get_thread_area, &other);
        printf("%x\n", other.flags);
    }
    // An empty entry takes the selector with it.
    area = (typeof(area)){area.entry, 0, 0, 0x28};
    CALL(SYS_set_thread_area, &area);
    __asm__ volatile("mov %%fs, %0" : "=r"(selector));
    printf("fs %x\n", selector);
    CALL(SYS_set_thread_area, 4);
}

static void vdso(void) {
    Elf32_Ehdr *header = (void *)getauxval(AT_SYSINFO_EHDR);
    printf("%.3s class %d type %d machine %d\n", (char *)header + 1, header->e_ident[EI_CLASS], header->e_type, header->e_machine);
    Elf32_Phdr *phdr = (void *)((char *)header + header->e_phoff);
    Elf32_Dyn *dynamic = NULL;
    for (int i = 0; i < header->e_phnum; i++)
        if (phdr[i].p_type == PT_DYNAMIC) dynamic = (void *)((char *)header + phdr[i].p_vaddr);
    Elf32_Sym *symbols = NULL;
    const char *strings = NULL;
    uint32_t *hash = NULL, soname = 0;
    for (; dynamic->d_tag; dynamic++) {
        void *at = (char *)header + dynamic->d_un.d_ptr;
        if (dynamic->d_tag == DT_SYMTAB) symbols = at;
        if (dynamic->d_tag == DT_STRTAB) strings = at;
        if (dynamic->d_tag == DT_HASH) hash = at;
        if (dynamic->d_tag == DT_SONAME) soname = dynamic->d_un.d_val;
    }
    printf("%s\n", strings + soname);
    const char *names[] = {"__kernel_vsyscall", "__kernel_sigreturn", "__kernel_rt_sigreturn"};
    for (int n = 0; n < 3; n++)
        for (uint32_t i = 1; i < hash[1]; i++) {
            if (strcmp(strings + symbols[i].st_name, names[n])) continue;
            uint8_t *at = (uint8_t *)header + symbols[i].st_value;
            printf("%s type %d", names[n], symbols[i].st_info);
            if (n) print_bytes("", at, n == 1 ? 8 : 7);
            else printf(" %d\n", (unsigned long)at == getauxval(AT_SYSINFO));
        }
    printf("platform %s\n", (char *)getauxval(AT_PLATFORM));
    int pid;
    __asm__ volatile("call *%1" : "=a"(pid) : "r"(getauxval(AT_SYSINFO)), "0"(SYS_getpid));
    printf("%d\n", pid == getpid());
}

// AMD's processors have `sysenter` in 32-bit kernels only.
static int has_sysenter(void) {
    unsigned a, b, c, d;
    __cpuid(0, a, b, c, d);
    return b == signature_INTEL_ebx;
}

// `sysenter` as the vDSO would make it; the sixth argument is where the stack pointer is.
__attribute__((noinline)) static long by_sysenter(long number, long a, long b, long c, long d, long e, long f) {
    if (!has_sysenter()) return int80(number, a, b, c, d, e, f);
    long result;
    __asm__ volatile("pushl %[f]\n push %%ebp\n mov 4(%%esp), %%ebp\n call 1f\n jmp 2f\n"
                     "1: push %%ecx\n push %%edx\n push %%ebp\n mov %%esp, %%ebp\n sysenter\n"
                     "2: pop %%ebp\n add $4, %%esp"
                     : "=a"(result)
                     : "0"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), [f] "m"(f) : "memory");
    return result;
}

static void interrupted(int signal) { count++; }

static void ways_in(void) {
    show("sysenter getpid", by_sysenter(SYS_getpid, 0, 0, 0, 0, 0, 0) == getpid());
    char *at = (char *)by_sysenter(SYS_mmap2, 0, 4096, PROT_READ, MAP_PRIVATE, open("/proc/self/exe", O_RDONLY), 0);
    printf("%.3s\n", at + 1);
    show("sysenter close", by_sysenter(SYS_close, -1, 0, 0, 0, 0, 0));
    int p[2];
    char byte;
    pipe(p);
    // Made again after a handler: by `int 0x80` in both cases.
    new_action(SIGALRM, interrupted, SA_RESTART);
    for (int i = 0; i < 4; i++) {
        if (i == 2) new_action(SIGALRM, interrupted, 0);
        if (fork() == 0) {
            usleep(60000);
            write(p[1], "z", 1);
            _exit(0);
        }
        ualarm(20000, 0);
        long got = (i & 1 ? by_sysenter : int80)(SYS_read, p[0], (long)&byte, 1, 0, 0, 0);
        show(i & 1 ? "sysenter read" : "int read", got);
        while (wait(NULL) < 0) {}
        if (got < 0) read(p[0], &byte, 1);
    }
}

int main(void);
static int seen;

// Whether unwinding leads out of the handler and the vDSO.
static _Unwind_Reason_Code look(struct _Unwind_Context *context, void *unused) {
    void *function = _Unwind_FindEnclosingFunction((void *)_Unwind_GetIP(context));
    if (function == (void *)main) seen = 1;
    return _URC_NO_REASON;
}

static void unwind(int signal) { _Unwind_Backtrace(look, NULL); }
static void unwind_with_info(int signal, siginfo_t *info, void *context) { _Unwind_Backtrace(look, NULL); }

__attribute__((noinline)) static void unwinding(void) {
    // In a call, by which the C library is within __kernel_vsyscall.
    struct timespec while_waiting = {0, 20000000};
    for (int i = 0; i < 2; i++) {
        if (i) new_action(SIGALRM, unwind_with_info, SA_SIGINFO);
        else new_action(SIGALRM, unwind, 0);
        seen = 0;
        ualarm(2000, 0);
        nanosleep(&while_waiting, NULL);
        printf("unwound to main: %d\n", seen);
    }
}

int main(void) {
    for (int signal = SIGRTMAX; signal > 0; signal--) sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    uint32_t few = 1 << (SIGCHLD - 1);
    uint64_t many = 1ull << 50 | few;
    CALL(SYS_rt_sigprocmask, SIG_SETMASK, &many, 0, 8);
    old_action(SIGUSR1, plain_handler, 0);
    with_registers(SIGUSR1);
    old_action(SIGUSR1, plain_handler, SA_ONSTACK);
    static uint8_t stack[32768];
    uint32_t alt[3] = {(uint32_t)stack + 4, 0, sizeof stack - 8};
    CALL(SYS_sigaltstack, alt, 0);
    with_registers(SIGUSR1);
    new_action(SIGUSR1, with_info, SA_SIGINFO | SA_ONSTACK);
    with_registers(SIGUSR1);
    uint64_t blocked = 0;
    CALL(SYS_rt_sigprocmask, SIG_BLOCK, 0, &blocked, 8);
    printf("%llx\n", (long long)blocked);
    new_action(SIGUSR1, in_registers, SA_SIGINFO);
    with_registers(SIGUSR1);
    alt[2] = 100;
    CALL(SYS_sigaltstack, alt, 0);
    // Masks of 32 bits.
    uint32_t old = 0;
    CALL(SYS_sigprocmask, SIG_SETMASK, &few, &old);
    printf("%x\n", old);
    CALL(SYS_rt_sigprocmask, SIG_BLOCK, 0, &blocked, 8);
    printf("%llx\n", (long long)blocked);
    show("sgetmask", INT80(SYS_sgetmask));
    CALL(SYS_ssetmask, 1 << (SIGUSR1 - 1));
    CALL(SYS_rt_sigprocmask, SIG_BLOCK, 0, &blocked, 8);
    printf("%llx\n", (long long)blocked);
    raise(SIGUSR1);
    CALL(SYS_sigpending, &old);
    printf("%x\n", old);
    printf("%d\n", INT80(SYS_signal, SIGUSR1, interrupted) == (long)in_registers);
    CALL(SYS_sigsuspend, 0, 0, 0);
    struct old_sigaction action;
    CALL(SYS_sigaction, SIGUSR1, 0, &action);
    printf("%x %x %x\n", action.handler, action.mask, action.flags);
    CALL(SYS_sigaction, SIGKILL, &action, 0);
    CALL(SYS_sigaction, SIGKILL, 0, &action);
    CALL(SYS_rt_sigaction, SIGUSR1, 0, 0, 4);
    CALL(SYS_ssetmask, 0);
    exceptions();
    thread_areas();
    vdso();
    ways_in();
    unwinding();
    printf("%d\n", count);
    return 0;
}
