// Faults in the middle of code that runs often enough to be compiled: address, instruction and registers are exact, and
// handlers can mend what was wrong. Code that writes code.
#include "report.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

static sigjmp_buf back;
static char *guard;
static long faults, first_register;
static uintptr_t fault_addr, fault_rip;

static void note(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    faults++;
    fault_addr = (uintptr_t)info->si_addr;
    fault_rip = uc->uc_mcontext.gregs[REG_RIP];
    first_register = uc->uc_mcontext.gregs[REG_RCX];
    printf("signal %d code %d write %d\n", signal, info->si_code, (int)(uc->uc_mcontext.gregs[REG_ERR] >> 1 & 1));
    siglongjmp(back, 1);
}

// Opens the page and lets the instruction run again.
static void mend(int signal, siginfo_t *info, void *context) {
    faults++;
    mprotect((void *)((uintptr_t)info->si_addr & ~4095ul), 4096, PROT_READ | PROT_WRITE);
}

static void handle(void (*handler)(int, siginfo_t *, void *)) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

// Reads upwards; rcx counts, so the handler can see how far it came.
__attribute__((noinline)) static long read_up(const char *from, long count) {
    long sum = 0, i = 0;
#ifdef __i386__
    __asm__ volatile("1: movsbl (%[from],%%ecx), %%eax\n add %%eax, %[sum]\n inc %%ecx\n cmp %[count], %%ecx\n jb 1b"
                     : [sum] "+r"(sum), "+c"(i) : [from] "r"(from), [count] "r"(count) : "eax", "memory");
#else
    __asm__ volatile("1: movsbq (%[from],%%rcx), %%rax\n add %%rax, %[sum]\n inc %%rcx\n cmp %[count], %%rcx\n jb 1b"
                     : [sum] "+r"(sum), "+c"(i) : [from] "r"(from), [count] "r"(count) : "rax", "memory");
#endif
    return sum;
}

__attribute__((noinline)) static void write_up(char *to, long count) {
    for (long i = 0; i < count; i++) to[i] = (char)i;
}

static long where(void) { return (long)(fault_addr - (uintptr_t)guard); }

static void guard_pages(void) {
    guard = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(guard, 1, 4096);
    handle(note);
    for (int round = 0; round < 5; round++) {
        TRY(mprotect(guard + 4096, 4096, PROT_NONE));
        if (sigsetjmp(back, 1) == 0) printf("%ld\n", read_up(guard, 8192));
        printf("read at %ld, rcx %ld\n", where(), first_register);
        TRY(mprotect(guard + 4096, 4096, PROT_READ));
        if (sigsetjmp(back, 1) == 0) write_up(guard + 2000, 4000);
        printf("write at %ld\n", where());
        memset(guard, 1, 4096);
    }
    handle(mend);
    for (int round = 0; round < 5; round++) {
        mprotect(guard, 3 * 4096, PROT_NONE);
        write_up(guard, 3 * 4096);
        mprotect(guard, 3 * 4096, PROT_READ);
        printf("%ld\n", read_up(guard, 3 * 4096));
    }
    printf("faults %ld\n", faults);
}

// Loads that cross into a page that is not there, and addresses no program has.
static void odd_addresses(void) {
    handle(note);
    mprotect(guard, 4096, PROT_READ | PROT_WRITE);
    mprotect(guard + 4096, 4096, PROT_NONE);
    for (int round = 0; round < 3; round++) {
        for (int at = 4080; at <= 4096; at += 4) {
            long value = -1;
            // Often with a good address, then once with this one.
            for (int i = 0; i < 300 && value != -2; i++)
                if (sigsetjmp(back, 1) == 0) value = *(volatile long *)(guard + (i < 299 ? 8 * (i % 500) : at));
                else value = -2;
            printf("%d: %s\n", at, value == -2 ? "fault" : "fine");
            if (value == -2) printf("at %ld\n", where());
        }
        volatile uintptr_t far[] = {0, 8, 0x7ffffffff000, 0x123456789000, 0x8000000000001000};
        for (int i = 0; i < 5; i++) {
            long sum = 0;
            if (sigsetjmp(back, 1) == 0) {
                for (int k = 0; k < 400; k++) sum += *(volatile char *)(k < 399 ? (uintptr_t)guard : far[i]);
                printf("%ld\n", sum);
            } else printf("far %d: %lx\n", i, (long)fault_addr);
        }
    }
}

// A function that is written again and again, between calls and from within itself.
static void changing_code(void) {
    unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    // mov $N, %eax; ret
    unsigned char number[] = {0xb8, 0, 0, 0, 0, 0xc3};
    long sum = 0;
    for (int round = 0; round < 40; round++) {
        memcpy(number + 1, &round, 4);
        memcpy(code, number, sizeof number);
        for (int i = 0; i < 100; i++) sum += ((int (*)(void))code)();
    }
    printf("rewritten %ld\n", sum);
    // add $1, the constant two instructions on; mov $0, %eax; ret: returns how often it was called.
    unsigned char counting[] = {0x83, 0x05, 0x01, 0, 0, 0, 0x01, 0xb8, 0, 0, 0, 0, 0xc3};
#ifdef __i386__
    // The address is absolute here.
    uint32_t constant = (uint32_t)code + 64 + 8;
    memcpy(counting + 2, &constant, 4);
#endif
    memcpy(code + 64, counting, sizeof counting);
    int last = 0;
    for (int i = 0; i < 500; i++) last = ((int (*)(void))(code + 64))();
    printf("counted %d\n", last);
    // Data beside code, on one page.
    volatile int *data = (int *)(code + 2048);
    for (int i = 0; i < 3000; i++) *data += ((int (*)(void))code)();
    printf("beside %d\n", *data);
}

static void show_fault(int signal, siginfo_t *info, void *context) {
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    printf("signal %d code %d trap %d", signal, info->si_code, (int)r[REG_TRAPNO]);
    fault_rip = r[REG_RIP];
    siglongjmp(back, 1);
}

// Instructions that are too long, none, or not for programs, after some prefixes.
static void odd_instructions(void) {
    struct { const char *name, *bytes; } instructions[] = {
        {"nop", "\x90"}, {"ud2", "\x0f\x0b"}, {"rdpmc", "\x0f\x33"}, {"hlt", "\xf4"}, {"add imm", "\x05\x11\x12\x13\x14"},
    };
    struct sigaction action = {.sa_sigaction = show_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int prefixes = 0; prefixes < 18; prefixes++)
        for (int i = 0; i < 5; i++) {
            memset(code, 0x3e, prefixes);
            strcpy((char *)code + prefixes, instructions[i].bytes);
            code[prefixes + strlen(instructions[i].bytes)] = 0xc3;
            printf("%d prefixes, %s: ", prefixes, instructions[i].name);
            if (sigsetjmp(back, 1) == 0) ((void (*)(void))code)(), printf("fine\n");
            else printf(" at %d\n", (int)(fault_rip - (uintptr_t)code));
        }
}

int main(void) {
    odd_instructions();
    guard_pages();
    odd_addresses();
    changing_code();
    return 0;
}
