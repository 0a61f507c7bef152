// Capabilities: what they allow, how they follow user ids and programs, and what files give.
#include "report.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>

static const char *self;

// Whoever runs the tests lacks CAP_SYS_RESOURCE, perhaps.
#define SHOWN (~(1ull << CAP_SYS_RESOURCE) & ((1ull << 41) - 1))

static void show(const char *when) {
    FILE *status = fopen("/proc/self/status", "r");
    char line[200], name[20];
    unsigned long long set;
    printf("%s:", when);
    while (fgets(line, sizeof line, status))
        if (sscanf(line, "Cap%3s: %llx", name, &set) == 2) printf(" %s %llx", name, set & SHOWN);
    printf(", bits %x, keeps %d, dumpable %d\n", prctl(PR_GET_SECUREBITS), prctl(PR_GET_KEEPCAPS), prctl(PR_GET_DUMPABLE));
    fclose(status);
    fflush(stdout);
}

static int set(unsigned long long effective, unsigned long long permitted, unsigned long long inheritable) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{effective, permitted, inheritable}, {effective >> 32, permitted >> 32, inheritable >> 32}};
    return syscall(SYS_capset, &header, data);
}

static unsigned long long own(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    syscall(SYS_capget, &header, data);
    return data[0].permitted | (unsigned long long)data[1].permitted << 32;
}

#define BIT(name) (1ull << (name))

// In a child, so that the next one begins with everything again.
#define ALONE(body) do { fflush(stdout); pid_t child = fork(); if (child == 0) { body; fflush(stdout); _exit(0); } waitpid(child, NULL, 0); } while (0)

// What each allows, when it is the only one.
static void allowed(const char *name, unsigned long long capabilities) {
    printf("with %s\n", name);
    set(capabilities, capabilities, 0);
    struct rlimit limit = {10, 20}, raised = {10, 30};
    struct timeval now;
    gettimeofday(&now, NULL);
    setrlimit(RLIMIT_CORE, &limit);
    OK(open("/tmp/capabilities-secret", O_RDONLY));
    OK(open("/tmp/capabilities-secret", O_WRONLY));
    OK(open("/tmp/capabilities-dir/file", O_RDONLY));
    OK(access("/tmp/capabilities-dir", X_OK));
    OK(access("/tmp/capabilities-secret", W_OK));
    OK(faccessat(AT_FDCWD, "/tmp/capabilities-secret", W_OK, AT_EACCESS));
    OK(chmod("/tmp/capabilities-secret", 0));
    OK(chown("/tmp/capabilities-secret", 2, 3));
    OK(chown("/tmp/capabilities-secret", 1, 1));
    OK(utimensat(AT_FDCWD, "/tmp/capabilities-secret", NULL, 0));
    OK(unlink("/tmp/capabilities-sticky/file") ?: close(open("/tmp/capabilities-sticky/file", O_CREAT | O_WRONLY, 0600)) ?: fchownat(AT_FDCWD, "/tmp/capabilities-sticky/file", 1, 1, 0));
    OK(mknod("/tmp/capabilities-node", S_IFCHR | 0600, 0x103) ?: unlink("/tmp/capabilities-node"));
    OK(link("/tmp/capabilities-secret", "/tmp/capabilities-link") ?: unlink("/tmp/capabilities-link"));
    OK(setxattr("/tmp/capabilities-mine", "trusted.x", "y", 1, 0));
    OK(kill(getppid(), 0));
    OK(kill(1, 0));
    OK(setpriority(PRIO_PROCESS, 0, -1));
    OK(setrlimit(RLIMIT_CORE, &raised));
    OK(chroot("/"));
    OK(sethostname("", -1));
    OK(prctl(PR_CAPBSET_DROP, CAP_SYS_PACCT));
    OK(setgroups(0, NULL));
    OK(setgid(7));
    OK(setresuid(-1, 8, -1) ?: setresuid(-1, 0, -1));
    struct sockaddr_in low = {AF_INET, htons(79), {htonl(INADDR_LOOPBACK)}};
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    OK(bind(s, (void *)&low, sizeof low));
    close(s);
}

static void allowances(void) {
    static const struct { const char *name; int number; } all[] = {
        {"chown", CAP_CHOWN}, {"dac_override", CAP_DAC_OVERRIDE}, {"dac_read_search", CAP_DAC_READ_SEARCH}, {"fowner", CAP_FOWNER},
        {"fsetid", CAP_FSETID}, {"kill", CAP_KILL}, {"setgid", CAP_SETGID}, {"setuid", CAP_SETUID}, {"setpcap", CAP_SETPCAP},
        {"net_bind_service", CAP_NET_BIND_SERVICE}, {"sys_chroot", CAP_SYS_CHROOT}, {"sys_admin", CAP_SYS_ADMIN},
        {"sys_nice", CAP_SYS_NICE}, {"mknod", CAP_MKNOD},
    };
    close(open("/tmp/capabilities-secret", O_CREAT | O_WRONLY | O_TRUNC, 0600));
    close(open("/tmp/capabilities-mine", O_CREAT | O_WRONLY | O_TRUNC, 0600));
    mkdir("/tmp/capabilities-dir", 0700);
    mkdir("/tmp/capabilities-sticky", 0777);
    chmod("/tmp/capabilities-sticky", 01777);
    close(open("/tmp/capabilities-dir/file", O_CREAT | O_WRONLY, 0644));
    close(open("/tmp/capabilities-sticky/file", O_CREAT | O_WRONLY, 0600));
    chown("/tmp/capabilities-dir", 1, 1);
    chown("/tmp/capabilities-sticky", 1, 1);
    chown("/tmp/capabilities-sticky/file", 1, 1);
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        chmod("/tmp/capabilities-secret", 0600);
        chown("/tmp/capabilities-secret", 1, 1);
        ALONE(allowed(all[i].name, BIT(all[i].number)));
    }
    ALONE(allowed("none", 0));
    unlink("/tmp/capabilities-secret"), unlink("/tmp/capabilities-mine");
    unlink("/tmp/capabilities-dir/file"), rmdir("/tmp/capabilities-dir");
    unlink("/tmp/capabilities-sticky/file"), rmdir("/tmp/capabilities-sticky");
}

static void calls(void) {
    struct __user_cap_header_struct header = {0, 0};
    struct __user_cap_data_struct data[2] = {0};
    TRY(syscall(SYS_capget, &header, NULL));
    printf("%x\n", header.version);
    header.version = 5;
    TRY(syscall(SYS_capget, &header, data));
    header.version = _LINUX_CAPABILITY_VERSION_1;
    TRY(syscall(SYS_capget, &header, data));
    printf("%x %x\n", data[0].effective & (unsigned)SHOWN, data[1].effective);
    header.version = _LINUX_CAPABILITY_VERSION_2;
    TRY(syscall(SYS_capget, &header, data));
    printf("%x\n", data[1].effective);
    header.pid = -1;
    TRY(syscall(SYS_capget, &header, data));
    header.pid = 1 << 22;
    TRY(syscall(SYS_capget, &header, data));
    header.pid = getppid();
    TRY(syscall(SYS_capset, &header, data));
    TRY(syscall(SYS_capget, NULL, data));
    header.pid = getpid();
    TRY(syscall(SYS_capget, &header, (void *)8));
    TRY(syscall(SYS_capset, &header, (void *)8));
    TRY(prctl(PR_CAPBSET_READ, 40));
    TRY(prctl(PR_CAPBSET_READ, 41));
    TRY(prctl(PR_CAPBSET_READ, -1));
    TRY(prctl(PR_CAPBSET_DROP, 41));
    TRY(prctl(PR_SET_KEEPCAPS, 2));
    TRY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
    TRY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0));
    TRY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 41, 0, 0));
    TRY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 1, 0));
    TRY(prctl(PR_CAP_AMBIENT, 9, CAP_CHOWN, 0, 0));
    TRY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1, 0, 0));
    TRY(prctl(PR_SET_SECUREBITS, 0x10000));

    // More than there is.
    unsigned long long all = own();
    report("effective beyond permitted", set(BIT(CAP_CHOWN), 0, 0));
    report("inheritable", set(all, all, BIT(CAP_CHOWN) | BIT(CAP_FOWNER)));
    TRY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
    TRY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0));
    TRY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_FOWNER, 0, 0));
    show("ambient");
    report("fewer", set(all & ~BIT(CAP_KILL), all & ~BIT(CAP_KILL), BIT(CAP_FOWNER)));
    show("not inheritable");
    report("back again", set(all, all, 0));
    TRY(prctl(PR_CAPBSET_DROP, CAP_KILL));
    report("beyond the bounding set", set(all & ~BIT(CAP_KILL), all & ~BIT(CAP_KILL), BIT(CAP_KILL)));
    report("no SETPCAP", set(all & ~BIT(CAP_KILL) & ~BIT(CAP_SETPCAP), all & ~BIT(CAP_KILL), 0));
    TRY(prctl(PR_CAPBSET_DROP, CAP_KILL));
    TRY(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT));
    report("inheritable of those permitted", set(0, all & ~BIT(CAP_KILL), BIT(CAP_MKNOD)));
    show("fewer");
}

static void users(void) {
    ALONE(TRY(setuid(1000)); show("setuid"));
    ALONE(TRY(seteuid(1000)); show("seteuid"); TRY(seteuid(0)); show("back"); TRY(setresuid(1000, 1000, 0)); show("saved"); TRY(setuid(0)); show("again"));
    ALONE(TRY(setresuid(1000, 0, 1000)); show("real"); TRY(setreuid(-1, 1000)); show("all gone"));
    ALONE(syscall(SYS_setfsuid, 1000); show("setfsuid"); syscall(SYS_setfsuid, 0); show("back"));
    ALONE(TRY(prctl(PR_SET_KEEPCAPS, 1)); TRY(prctl(PR_GET_KEEPCAPS)); TRY(setresuid(1000, 1000, 1000)); show("kept");
          report("in effect", set(BIT(CAP_CHOWN), BIT(CAP_CHOWN) | BIT(CAP_SETUID), 0)); show("set"); TRY(setuid(0));
          report("more", set(BIT(CAP_SETUID), BIT(CAP_SETUID), 0)); TRY(setresuid(0, 0, 0)); show("root again"));
    ALONE(TRY(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED)); TRY(setresuid(1000, 1000, 1000)); show("not adjusted");
          TRY(prctl(PR_SET_SECUREBITS, 0)); TRY(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NOROOT)));
    ALONE(TRY(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS_LOCKED)); TRY(prctl(PR_SET_KEEPCAPS, 1)));
    ALONE(set(own(), own(), BIT(CAP_CHOWN)); prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0); prctl(PR_SET_KEEPCAPS, 1); setuid(1000); show("ambient is lost"));
}

// Runs this program again, to show what it has.
#define AGAIN(what, body) ALONE(body; fflush(stdout); execl(self, self, "show", what, NULL); report(what, -1))

static void programs(void) {
    unsigned long long all = own();
    AGAIN("root", );
    AGAIN("fewer of root's", set(BIT(CAP_CHOWN), BIT(CAP_CHOWN), 0));
    AGAIN("bounded", prctl(PR_CAPBSET_DROP, CAP_CHOWN); prctl(PR_CAPBSET_DROP, CAP_KILL));
    AGAIN("user", setuid(1000));
    AGAIN("kept", prctl(PR_SET_KEEPCAPS, 1); setuid(1000); show("before"));
    AGAIN("effective root", setresuid(1000, 0, 0));
    AGAIN("real root", setresuid(0, 1000, 1000));
    AGAIN("no root", prctl(PR_SET_SECUREBITS, SECBIT_NOROOT));
    AGAIN("inherited", prctl(PR_SET_SECUREBITS, SECBIT_NOROOT); set(all, all, BIT(CAP_CHOWN)));
    AGAIN("ambient", set(all, all, BIT(CAP_CHOWN) | BIT(CAP_KILL)); prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP); setuid(1000);
          TRY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0)); show("before"));
    AGAIN("no more ambient", set(all, all, BIT(CAP_CHOWN)); prctl(PR_SET_SECUREBITS, SECBIT_NO_CAP_AMBIENT_RAISE);
          TRY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0)));
}

static int grant(const char *path, unsigned permitted, unsigned inheritable, int effective) {
    struct vfs_cap_data data = {VFS_CAP_REVISION_2 | (effective ? VFS_CAP_FLAGS_EFFECTIVE : 0), {{permitted, inheritable}}};
    return setxattr(path, "security.capability", &data, sizeof data, 0);
}

#define COPY "/tmp/capabilities-program"
#define RUN(what, body) ALONE(body; fflush(stdout); execl(COPY, COPY, "show", what, NULL); report(what, -1))

static void copy(void) {
    char buf[1 << 16];
    int from = open(self, O_RDONLY), to = open(COPY, O_CREAT | O_TRUNC | O_WRONLY, 0755);
    for (ssize_t len; (len = read(from, buf, sizeof buf)) > 0;) write(to, buf, len);
    close(from), close(to);
}

static int given(void) {
    char value[64];
    return getxattr(COPY, "security.capability", value, sizeof value);
}

static void files(void) {
    unsigned long long all = own();
    copy();
    TRY(grant(COPY, BIT(CAP_NET_RAW) | BIT(CAP_CHOWN), 0, 1));
    RUN("user", setuid(1000));
    RUN("root", );
    RUN("effective root", setresuid(1000, 0, 0));
    RUN("bounded", prctl(PR_CAPBSET_DROP, CAP_CHOWN); setuid(1000));
    RUN("no new privileges", setuid(1000); prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    RUN("ambient", set(all, all, BIT(CAP_KILL)); prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP); setuid(1000); prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
    TRY(grant(COPY, BIT(CAP_CHOWN), BIT(CAP_KILL), 0));
    RUN("permitted", setuid(1000));
    RUN("inherited", set(all, all, BIT(CAP_KILL)); setuid(1000));
    RUN("bounded, not effective", prctl(PR_CAPBSET_DROP, CAP_CHOWN); setuid(1000));
    chmod(COPY, 04755);
    RUN("set-user-ID root with capabilities", setuid(1000));
    chmod(COPY, 0755);
    TRY(given());
    ALONE(set(0, 0, 0); TRY(grant(COPY, 1, 0, 0)); TRY(removexattr(COPY, "security.capability")));
    ALONE(set(BIT(CAP_SYS_ADMIN), BIT(CAP_SYS_ADMIN), 0); TRY(grant(COPY, 1, 0, 0)));
    ALONE(set(BIT(CAP_SETFCAP), BIT(CAP_SETFCAP), 0); TRY(grant(COPY, 1, 0, 0)));
    TRY(setxattr(COPY, "security.capability", "too short", 9, 0));
    struct vfs_cap_data wrong = {0x07000000};
    TRY(setxattr(COPY, "security.capability", &wrong, sizeof wrong, 0));
    int fd = open(COPY, O_WRONLY | O_APPEND);
    TRY(given());
    write(fd, "x", 1);
    TRY(given());
    TRY(grant(COPY, 1, 0, 0));
    ftruncate(fd, 100);
    TRY(given());
    TRY(grant(COPY, 1, 0, 0));
    TRY(chmod(COPY, 0700));
    TRY(given());
    TRY(chown(COPY, -1, -1));
    TRY(given());
    TRY(grant(COPY, 1, 0, 0));
    TRY(removexattr(COPY, "security.capability"));
    TRY(given());
    unlink(COPY);
}

int main(int argc, char **argv) {
    self = argv[0];
    if (argc > 2) return show(argv[2]), printf("secure %ld\n", getauxval(AT_SECURE)), 0;
    ALONE(calls());
    ALONE(allowances());
    users();
    programs();
    files();
}
