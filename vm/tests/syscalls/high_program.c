// A program that is to be loaded at a high address, as proot's loader is: its heap is high, too, and other mappings are not
// in its way.
#include "report.h"
#include <elf.h>

#define BASE 0x600000000000
#define DATA (BASE + 0x10000)

extern const char code[], code_end[];

// Exits with 42, or the number of what failed. r12 is where the heap starts.
__asm__(".pushsection .rodata\n.globl code, code_end\ncode:\n"
        "mov $1, %ebx\n"
        "mov $0x600000010000, %r13\n movl $5, 0x2ffc(%r13)\n cmpl $0, 0x1000(%r13)\n jne 9f\n"
        "inc %ebx\n mov $12, %eax\n xor %edi, %edi\n syscall\n mov %rax, %r12\n"
        "sub %r13, %rax\n cmp $0x3000, %rax\n jb 9f\n shr $32, %rax\n jnz 9f\n"
        "inc %ebx\n mov $12, %eax\n lea 0x20000(%r12), %rdi\n syscall\n sub %r12, %rax\n cmp $0x20000, %rax\n jne 9f\n"
        "movl $6, (%r12)\n movl $7, 0x1fffc(%r12)\n"
        // An anonymous mapping, and a child that sees the heap.
        "inc %ebx\n mov $9, %eax\n xor %edi, %edi\n mov $0x5000, %esi\n mov $3, %edx\n mov $0x22, %r10d\n mov $-1, %r8\n"
        "xor %r9d, %r9d\n syscall\n cmp $-4096, %rax\n ja 9f\n movl $8, 0x4ffc(%rax)\n"
        "inc %ebx\n mov $57, %eax\n syscall\n test %eax, %eax\n jl 9f\n jnz 1f\n"
        "movl 0x1fffc(%r12), %edi\n movl $1, 0x1fffc(%r12)\n mov $60, %eax\n syscall\n"
        "1: mov %eax, %edi\n mov $61, %eax\n sub $8, %rsp\n mov %rsp, %rsi\n xor %edx, %edx\n xor %r10d, %r10d\n syscall\n"
        "cmpl $0x700, (%rsp)\n jne 9f\n inc %ebx\n cmpl $7, 0x1fffc(%r12)\n jne 9f\n"
        // The heap gets smaller.
        "inc %ebx\n mov $12, %eax\n lea 0x1000(%r12), %rdi\n syscall\n sub %r12, %rax\n cmp $0x1000, %rax\n jne 9f\n"
        "cmpl $6, (%r12)\n jne 9f\n mov $42, %ebx\n"
        "9: mov %ebx, %edi\n mov $60, %eax\n syscall\n"
        "code_end:\n.popsection\n");

static void put_program(const char *path) {
    Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT}, .e_type = ET_EXEC,
                         .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_entry = BASE + 0x200, .e_phoff = sizeof header,
                         .e_ehsize = sizeof header, .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2};
    size_t bytes = 0x200 + (code_end - code);
    Elf64_Phdr parts[] = {
        {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = BASE, .p_filesz = bytes, .p_memsz = bytes, .p_align = 0x1000},
        {.p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_vaddr = DATA, .p_memsz = 0x3000, .p_align = 0x1000},
    };
    int fd = open(path, O_WRONLY);
    fchmod(fd, 0700);
    pwrite(fd, &header, sizeof header, 0);
    pwrite(fd, parts, sizeof parts, sizeof header);
    pwrite(fd, code, code_end - code, 0x200);
    close(fd);
}

int main(void) {
    char path[] = "/tmp/high-XXXXXX";
    close(mkstemp(path));
    put_program(path);
    int pid = fork(), status;
    if (pid == 0) execl(path, path, NULL), _exit(errno);
    waitpid(pid, &status, 0);
    printf("status %x\n", status);
    unlink(path);
    return 0;
}
